import type { PathPattern } from './paths.js'
import { selectTensors } from './patterns.js'
import { tensorsOf } from './walk.js'

/**
 * Takes the selected parameters out of training: they get no gradient and optimizers leave them alone.
 * All of them when no pattern is given. Tied parameters freeze under each of their paths.
 *
 * Throws: `OptionError` when a pattern matches nothing.
 * Torch: `requires_grad_(False)`.
 * @example freeze(model, 'encoder.*')
 */
export function freeze<M extends object>(model: M, ...patterns: readonly PathPattern<M>[]): void {
  setFrozen('freeze', model, patterns, true)
}

/** Undoes `freeze`. */
export function unfreeze<M extends object>(model: M, ...patterns: readonly PathPattern<M>[]): void {
  setFrozen('unfreeze', model, patterns, false)
}

function setFrozen(op: string, model: object, patterns: readonly string[], frozen: boolean): void {
  const all = tensorsOf(model)
  const chosen = patterns.length === 0 ? all : selectTensors(op, all, patterns)
  for (const { role, tensor } of chosen) if (role === 'parameter') tensor.frozen = frozen
}
