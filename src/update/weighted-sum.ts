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
  /** Of variances: the means, whose distance from that of the target is part of a variance of all data together. */
  readonly around?: Omit<WeightedEntry, 'around'> | undefined
}

/** `x`, or as a variance around another mean than its own: `x + (mean − centre)²`. */
export const spreadOf = (x: Expr, mean: Expr, centre: Expr): Expr => {
  const distance = mean.sub(centre)
  return x.add(distance.mul(distance))
}

/**
 * `Σ wᵢ·xᵢ` as the first plus weighted differences from it: equal models stay equal. Shares add up to 1, none is 0, and
 * they may be negative. Several passes where need be, but for halves, whose sums would be rounded between them.
 */
export function weightedSum(entries: readonly WeightedEntry[], shares: readonly number[]): void {
  for (const group of groupsOf(entries)) {
    const [{ target: to, around } = { target: undefined, around: undefined }] = group
    if (!to) continue
    const dtype = blendDType(to.dtype)
    const most = isHalf(to.dtype) ? shares.length : mostSources
    for (let from = 1; from === 1 || from < shares.length; from += most) {
      const part = shares.slice(from, from + most)
      const going = from > 1
      // What is there already and the centre, if any, then the first source and the others, each with its mean.
      const stretches = group.map(({ target, sources, around: means }): Stretch => {
        const of = (tensors: readonly TensorRecord[], i: number) => tensors[i] ?? target
        const at = (i: number) => [of(sources, i), ...(means ? [of(means.sources, i)] : [])]
        const common = [...(going ? [target] : []), ...(means ? [means.target] : [])]
        return { reads: [...common, ...at(0), ...part.flatMap((_, i) => at(from + i))], writes: [target] }
      })
      const read = (slot: number, of = to) => input(slot, of.dtype).cast(dtype)
      const first = Number(going) + (around ? 1 : 0)
      const value = (i: number) => {
        if (!around) return read(first + i)
        return spreadOf(read(first + 2 * i), read(first + 2 * i + 1, around.target), read(first - 1, around.target))
      }
      let sum = going ? read(0) : value(0)
      for (const i of part.keys()) sum = scalar(i, dtype).fma(value(i + 1).sub(value(0)), sum)
      foreachTensors([sum.cast(to.dtype)], stretches, part)
    }
  }
}

/** Those that one kernel can sum. */
function groupsOf(entries: readonly WeightedEntry[]): WeightedEntry[][] {
  const groups = new Map<string, WeightedEntry[]>()
  for (const entry of entries) {
    const key = `${entry.target.dtype} ${entry.around?.target.dtype}`
    const group = groups.get(key) ?? []
    groups.set(key, group)
    group.push(entry)
  }
  return [...groups.values()]
}
