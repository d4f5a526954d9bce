import { CaptureError, OptionError } from '../shapes/errors.js'
import { withoutTape } from '../tensor/tape.js'
import type { PathPattern } from './paths.js'
import { selectTensors } from './patterns.js'
import { startOf } from './start.js'
import { tensorsOf, untied } from './walk.js'

/**
 * Gives the selected tensors new first values, in place, as their layers did when they were made: weights are drawn
 * anew, running statistics forgotten. All of them when no pattern is given, frozen ones too. Parameters of your own start again if
 * they were made by a function: `parameter(() => normal([64]))`. An optimizer keeps its moments until `optimizer.reset()`.
 *
 * Throws: `OptionError` listing tensors whose start is not known, or when a pattern matches nothing; `CaptureError` in
 * a compiled function. Nothing is written then.
 * Torch: `model.apply(lambda m: m.reset_parameters())`.
 * @example resetParameters(model, 'head.*')
 */
export function resetParameters<M extends object>(model: M, ...patterns: readonly PathPattern<M>[]): void {
  const all = tensorsOf(model)
  const chosen = patterns.length === 0 ? all : selectTensors('resetParameters', all, patterns)
  const tensors = new Set(chosen.map(({ tensor }) => tensor))
  const entries = untied(all).filter(({ tensor }) => tensors.has(tensor))
  const unknown = entries.flatMap(({ path, tensor }) => (startOf(tensor) ? [] : [path]))
  if (unknown.length > 0) {
    const remedy = 'make them by a function, as in parameter(() => ones([64])), or leave them out with patterns'
    throw new OptionError(`resetParameters: how ${unknown.join(', ')} started is not known; ${remedy}.`, {
      op: 'resetParameters',
    })
  }
  if (entries.some(({ tensor }) => tensor.device.recorder))
    throw new CaptureError('compile: parameters are reset outside compiled functions, where they would be at each run.')
  for (const { tensor } of entries) tensor.storage.requireOwn()
  withoutTape(() => {
    for (const { tensor } of entries) {
      tensor.storage.settleReaders()
      startOf(tensor)?.(tensor)
      tensor.storage.changed()
    }
  })
}
