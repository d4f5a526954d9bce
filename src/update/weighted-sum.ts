import { type Expr, input, scalar } from '../kernels/expr.js'
import { foreachTensors, type Stretch } from '../model/foreach.js'
import { isHalf } from '../shapes/dtype.js'
import type { TensorRecord } from '../tensor/record.js'
import { blendDType } from './blend.js'

/** More sources than this in one pass would not fit the registers. */
const mostSources = 6

/** A tensor of the target with those of the sources. */
export interface WeightedEntry {
  readonly target: TensorRecord
  readonly sources: readonly TensorRecord[]
}

/**
 * `Σ wᵢ·xᵢ` as the first plus weighted differences from it: equal models stay equal. Shares add up to 1, none is 0, and
 * they may be negative. Several passes where need be, but for halves, whose sums would be rounded between them.
 */
export function weightedSum(entries: readonly WeightedEntry[], shares: readonly number[]): void {
  for (const group of byDType(entries)) {
    const { target: to } = group[0] ?? {}
    if (!to) continue
    const dtype = blendDType(to.dtype)
    const read = (slot: number) => input(slot, to.dtype).cast(dtype)
    const add = (sum: Expr, from: number, count: number) => {
      let next = sum
      for (let i = 0; i < count; i++) next = scalar(i, dtype).fma(read(from + i).sub(read(0)), next)
      return next.cast(to.dtype)
    }
    const most = isHalf(to.dtype) ? shares.length : mostSources
    // The first source is slot 0; what is there already, if anything, is slot 1.
    for (let from = 1; from === 1 || from < shares.length; from += most) {
      const part = shares.slice(from, from + most)
      const going = from > 1
      const stretches = group.map(({ target, sources }): Stretch => {
        const [base = target] = sources
        return {
          reads: [base, ...(going ? [target] : []), ...sources.slice(from, from + most)],
          writes: [target],
        }
      })
      foreachTensors([add(read(going ? 1 : 0), going ? 2 : 1, part.length)], stretches, part)
    }
  }
}

function byDType(entries: readonly WeightedEntry[]): WeightedEntry[][] {
  const groups = new Map<string, WeightedEntry[]>()
  for (const entry of entries) {
    const group = groups.get(entry.target.dtype) ?? []
    groups.set(entry.target.dtype, group)
    group.push(entry)
  }
  return [...groups.values()]
}
