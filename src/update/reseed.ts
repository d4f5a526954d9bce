import { constant, type Expr, input } from '../kernels/expr.js'
import { zipModels } from '../model/compare.js'
import { foreachTensors, type Stretch } from '../model/foreach.js'
import { isFloat } from '../shapes/dtype.js'
import type { TensorRecord } from '../tensor/record.js'
import { blendDType } from './blend.js'
import type { UpdatePair } from './update.js'

/**
 * Repairs a poisoned model: elements of the target that are NaN or infinite become those of the source, and all others
 * stay as they are, buffers too. An average never gets rid of a NaN by itself. A shadow repairs itself and what it keeps
 * with `shadow.reseed()`.
 *
 * Throws: `ShapeError` listing every difference between the two models, before anything is written.
 * Torch: `torch.where(torch.isfinite(t), t, s)` for every tensor.
 * @example reseed({ target: teacher, source: student })
 */
export function reseed<A extends object, B extends object>({ target, source }: UpdatePair<A, B>): void {
  const pairs = zipModels('reseed', target, source as object)
  repair(pairs.map((pair) => ({ target: pair.target.tensor, source: pair.source.tensor })))
}

/** What is not finite in `target` becomes `source`, or 0 without one. */
export interface Repair {
  readonly target: TensorRecord
  readonly source?: TensorRecord
}

/** All of it in one pass for each pair of dtypes; integers are always finite. */
export function repair(repairs: readonly Repair[]): void {
  const groups = new Map<string, { readonly expr: Expr; readonly stretches: Stretch[] }>()
  for (const { target, source } of repairs) {
    if (!isFloat(target.dtype)) continue
    const key = `${target.dtype} ${source?.dtype}`
    const group = groups.get(key) ?? { expr: repaired(target, source), stretches: [] }
    groups.set(key, group)
    group.stretches.push({ reads: source ? [target, source] : [target], writes: [target] })
  }
  for (const { expr, stretches } of groups.values()) foreachTensors([expr], stretches, [])
}

function repaired({ dtype }: TensorRecord, source: TensorRecord | undefined): Expr {
  const own = input(0, dtype).cast(blendDType(dtype))
  const other = source ? input(1, source.dtype).cast(own.dtype) : constant(0, own.dtype)
  return own.isFinite().select(own, other).cast(dtype)
}
