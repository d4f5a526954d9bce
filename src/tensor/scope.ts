import { OptionError } from '../shapes/errors.js'
import type { TensorRecord } from './record.js'

/** Tensors created while a scope is open, by scope, innermost last. */
const open: Set<TensorRecord>[] = []

/** Called for every new tensor that is not a parameter or a buffer. */
export function noteCreated(record: TensorRecord): void {
  open.at(-1)?.add(record)
}

const isTensor = (value: object): value is TensorRecord => 'storage' in value && 'recording' in value

/** The tensors inside a result: a tensor, or arrays and plain objects of them. */
function* tensorsIn(value: unknown, depth = 0): Generator<TensorRecord> {
  if (typeof value !== 'object' || value === null || depth > 8) return
  if (isTensor(value)) yield value
  else for (const item of Object.values(value)) yield* tensorsIn(item, depth + 1)
}

/**
 * Runs `fn` and releases every tensor made inside it, except those it returns (alone, or in arrays and
 * objects) and what a returned taped tensor needs for its backward. Parameters and buffers are never touched.
 *
 * Throws: `OptionError` when `fn` returns a promise: read results after the scope instead.
 * Torch: nothing; memory follows reference counts there.
 * @example const accuracy = scope(() => model.forward(x).argmax(-1).eq(y).to('f32').mean())
 */
export function scope<R>(fn: () => R): R {
  const created = new Set<TensorRecord>()
  open.push(created)
  let result: R
  try {
    result = fn()
  } catch (error) {
    open.pop()
    for (const record of created) record.dispose()
    throw error
  }
  open.pop()
  const outer = open.at(-1)
  const keep = new Set(tensorsIn(result))
  const tapes = new Set([...keep].flatMap((record) => (record.recording ? [record.recording.root] : [])))
  for (const record of created) {
    if (keep.has(record) || (record.recording && tapes.has(record.recording.root))) outer?.add(record)
    else record.dispose('the scope() it was made in has ended; return it from the scope to keep it')
  }
  if (result instanceof Promise)
    throw new OptionError('scope: the function returned a promise; return tensors and await their values outside.')
  return result
}
