import type { TensorPair } from '../model/compare.js'
import { selectTensors } from '../model/patterns.js'
import { type ModelTensor, tensorsOf } from '../model/walk.js'
import type { DType } from '../shapes/dtype.js'
import { OptionError } from '../shapes/errors.js'
import type { Role } from '../tensor/record.js'
import type { Treatment } from './define.js'
import { requireFunction, requireOneOf, written } from './options.js'

/**
 * What happens to the buffers of a target. Integers and bools never blend: they are copied where floats blend.
 * `recompute` leaves running statistics alone, for `recomputeStatistics` to find anew.
 */
export type BufferPolicy = 'copy' | 'blend' | 'skip' | 'recompute'

/** One tensor of a model, as predicates see it. */
export interface TensorInfo {
  readonly path: string
  readonly role: Role
  readonly frozen: boolean
  readonly shape: readonly number[]
  readonly dtype: DType
}

/** Which tensors of a model an update is for, and how. P are the patterns that the model has. */
export interface Selection<P extends string = string> {
  /** Only what one of these patterns selects: a path, `encoder.*`, `*.bias`. The rest stays as it is. */
  readonly only?: readonly P[]
  /** Not what one of these patterns selects. */
  readonly except?: readonly P[]
  /** Only where this holds: `({ shape }) => shape.length > 1`. */
  readonly where?: (tensor: TensorInfo) => boolean
  /** Running statistics and other buffers. Default `copy`. */
  readonly buffers?: BufferPolicy
  /** Parameters that are frozen in the source. Default `blend`, which finds equal values and leaves them so. */
  readonly frozen?: Treatment
}

/** What an update does to one pair of tensors, and why. */
export interface Treated {
  readonly pair: TensorPair
  readonly treatment: Treatment
  readonly reason: string
  /** Left alone, but still the average's own: statistics that are recomputed for it. */
  readonly own?: true
}

/** The names of what a selection says. */
export const selecting = ['only', 'except', 'where', 'buffers', 'frozen'] as const satisfies (keyof Selection)[]

const bufferPolicies: readonly BufferPolicy[] = ['copy', 'blend', 'skip', 'recompute']
const treatments: readonly Treatment[] = ['blend', 'copy', 'skip']

/** What callers without types may get wrong. */
export function requireSelection(op: string, selection: Selection): void {
  const { buffers, frozen, only, except, where } = selection
  requireOneOf(op, 'buffers', buffers, bufferPolicies)
  requireOneOf(op, 'frozen', frozen, treatments)
  requireFunction(op, 'where', where)
  for (const [name, patterns] of Object.entries({ only, except })) {
    if (patterns === undefined || Array.isArray(patterns)) continue
    const remedy = `write { ${name}: [${written(patterns)}] }`
    throw new OptionError(`${op}: ${name} is a list of patterns; ${remedy}.`, { op })
  }
}

/**
 * What happens to each pair: the patterns first, then the policy of its role, then the rule.
 *
 * Throws: `OptionError` when a pattern matches nothing, or nothing at all is selected.
 */
export function treat(
  op: string,
  model: object,
  pairs: readonly TensorPair[],
  rule: { readonly name: string; readonly treatment: Treatment },
  selection: Selection,
): Treated[] {
  const selected = selector(op, model, selection)
  let left = 0
  const treated = pairs.map((pair): Treated => {
    const { within, leftOut } = selected(pair.target)
    const shared = pair.target.tensor.storage === pair.source.tensor.storage ? ', shared with the source' : ''
    if (leftOut !== undefined) return { pair, treatment: 'skip', reason: leftOut + shared }
    left++
    const { reason, ...how } = byRole(pair, rule, selection)
    return { pair, ...how, reason: within === undefined ? reason : `${reason}, only ${within}` }
  })
  if (pairs.length > 0 && left === 0)
    throw new OptionError(`${op}: no tensor is left to update by ${given(selection).join(' and ')}; select one.`, {
      op,
    })
  return treated
}

/** Says of the tensors of a model which pattern selects each, or why it is left out. */
export function selector(op: string, model: object, selection: Selection) {
  // Tied tensors are selected under each of their paths.
  const all = tensorsOf(model)
  /** The first pattern that selects each tensor. */
  const selected = (patterns: readonly string[] | undefined) =>
    patterns &&
    new Map(
      [...patterns]
        .reverse()
        .flatMap((pattern) => selectTensors(op, all, [pattern]).map(({ tensor }) => [tensor, pattern] as const)),
    )
  const [only, except] = [selected(selection.only), selected(selection.except)]
  return (one: ModelTensor): { readonly within?: string | undefined; readonly leftOut?: string } => {
    const [within, without] = [only?.get(one.tensor), except?.get(one.tensor)]
    if (only && within === undefined) return { leftOut: 'not in only' }
    if (without !== undefined) return { leftOut: `except ${without}` }
    if (selection.where && !selection.where(infoOf(one))) return { leftOut: 'where says no' }
    return { within }
  }
}

/** Which of its options select. */
export const given = ({ only, except, where }: Selection): string[] =>
  Object.entries({ only, except, where }).flatMap(([name, value]) => (value === undefined ? [] : [name]))

const infoOf = ({ path, role, tensor: { frozen, shape, dtype } }: ModelTensor): TensorInfo => ({
  path,
  role,
  frozen,
  shape,
  dtype,
})

const blends = (dtype: DType): boolean => dtype !== 'i32' && dtype !== 'u32' && dtype !== 'bool'

function byRole(
  { target, source }: TensorPair,
  rule: { readonly name: string; readonly treatment: Treatment },
  { buffers = 'copy', frozen = 'blend' }: Selection,
): Omit<Treated, 'pair'> {
  const { dtype } = target.tensor
  const buffer = target.role === 'buffer'
  const policy = buffer ? buffers : source.tensor.frozen ? frozen : 'blend'
  const reason = buffer ? `buffers: ${policy}` : policy === 'blend' ? rule.name : `frozen: ${policy}`
  if (policy === 'recompute') return { treatment: 'skip', reason, own: true }
  if (policy !== 'blend') return { treatment: policy, reason }
  if (!blends(dtype)) return { treatment: 'copy', reason: `${dtype} is copied` }
  return { treatment: rule.treatment, reason }
}
