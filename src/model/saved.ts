import type { DType } from '../shapes/dtype.js'
import { sizeOf } from '../shapes/strides.js'
import { OptionError, ShapeError } from '../shapes/errors.js'
import { type TypedArray, toBytes } from '../tensor/elements.js'
import type { TensorRecord } from '../tensor/record.js'
import { fieldsOf, isCount, requireSound, type StateField } from './state-fields.js'

/** One tensor of a saved state. */
export interface SavedTensor {
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly data: TypedArray
}

/** What something needs to go on bit for bit: plain data, which can be cloned, posted and written to a file. */
export interface SavedState {
  /** Of what it is the state. */
  readonly kind: string
  readonly version: number
  readonly tensors: Readonly<Record<string, SavedTensor>>
}

/** The key of a method that checks a state and returns what writes it: several can be checked before any is written. */
export const PREPARE: unique symbol = Symbol('dfdt.prepare')

/** Something with a state: an optimizer, a shadow. */
export interface Stateful {
  state(): Promise<SavedState>
  [PREPARE](state: SavedState): () => void
}

/** The values of some tensors, by name. */
export async function readTensors(tensors: ReadonlyMap<string, TensorRecord>): Promise<Record<string, SavedTensor>> {
  const saved = [...tensors].map(async ([name, tensor]): Promise<[string, SavedTensor]> => {
    tensor.storage.requireOwn()
    tensor.storage.requireWhole(`state: "${name}"`)
    const { dtype, shape } = tensor
    return [name, { dtype, shape, data: await tensor.data() }]
  })
  return Object.fromEntries(await Promise.all(saved))
}

/** Throws: `OptionError` when this is no state of that kind. */
export function requireKind(state: unknown, kind: string): void {
  if (state instanceof Promise)
    throw new OptionError(`load: this is a promise of a state; await it: load(await ${kind}.state()).`, { op: 'load' })
  const found = typeof state === 'object' && state !== null && 'kind' in state ? state.kind : state
  if (found !== kind)
    throw new OptionError(`load: this is no state of the kind "${kind}": ${String(found)}.`, { op: 'load' })
  const version = typeof state === 'object' && state !== null && 'version' in state ? state.version : undefined
  if (version !== 1)
    throw new OptionError(
      `load: version ${String(version)} of states of the kind "${kind}" is not known here; update dfdt.`,
      {
        op: 'load',
      },
    )
}

/** Throws: `OptionError` listing what two descriptions differ in. */
export function requireSameWords(
  what: string,
  here: Readonly<Record<string, string>>,
  saved: Readonly<Record<string, string>>,
): void {
  const problems = differing(here, saved)
  if (problems.length === 0) return
  throw new OptionError(`load: ${what}; nothing was written:\n  ${problems.join('\n  ')}`, { op: 'load' })
}

/**
 * What writes the saved values.
 *
 * Throws: `FormatError` listing what is no saved tensor; `ShapeError` listing tensors that are missing, extra, or of another shape or dtype.
 */
export function prepareTensors(
  tensors: ReadonlyMap<string, TensorRecord>,
  saved: Readonly<Record<string, SavedTensor>>,
): () => void {
  const given = fieldsOf(saved) as Readonly<Record<string, SavedTensor>>
  requireSound('tensors', Object.entries(given).map(tensorField))
  const show = (tensor: { shape: readonly number[]; dtype: DType }) => `[${tensor.shape.join(', ')}] ${tensor.dtype}`
  const here = Object.fromEntries([...tensors].map(([name, tensor]) => [name, show(tensor)]))
  const there = Object.fromEntries(Object.entries(given).map(([name, tensor]) => [name, show(tensor)]))
  const problems = differing(here, there)
  if (problems.length > 0)
    throw new ShapeError(`load: the state does not fit; nothing was written:\n  ${problems.join('\n  ')}`, {
      op: 'load',
    })
  for (const { storage } of tensors.values()) storage.requireOwn()
  return () => {
    for (const [name, { storage, dtype }] of tensors) {
      const tensor = given[name]
      if (tensor) storage.write(0, toBytes(tensor.data, dtype))
    }
  }
}

/** What callers without types may get wrong. */
function tensorField([name, value]: [string, unknown]): StateField {
  const { shape, dtype, data } = fieldsOf(value)
  const count = Array.isArray(shape) && shape.every(isCount) ? sizeOf(shape) : undefined
  const sound = typeof dtype === 'string' && ArrayBuffer.isView(data) && 'length' in data && data.length === count
  return [`"${name}"`, sound ? data : value, sound, 'a dtype, a shape and as many numbers as fill it']
}

/** Where two descriptions differ, with `missing` for what is not there. */
function differing(here: Readonly<Record<string, string>>, saved: Readonly<Record<string, string>>): string[] {
  const names = new Set([...Object.keys(here), ...Object.keys(saved)])
  return [...names].flatMap((name) => {
    const [a, b] = [here[name] ?? 'missing', saved[name] ?? 'missing']
    return a === b ? [] : [`"${name}" is ${a} here but ${b} in the state`]
  })
}
