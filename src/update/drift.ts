import { type Expr, input } from '../kernels/expr.js'
import type { PassReduction } from '../model/foreach.js'
import { blendDType, type GroupTypes } from './blend.js'

/** How far a target and its source were apart at the last update, over all blended elements. */
export interface Drift {
  /** ‖source − target‖, before the update. */
  readonly distance: number
  /** ‖target‖, before the update. */
  readonly norm: number
  /** The largest |source − target|. */
  readonly largest: number
  /** Elements of the source that are NaN or infinite. */
  readonly nonFinite: number
  /**
   * The share of elements that differ from the source and whose step rounding has swallowed. Compensated averages keep
   * such steps, and stochastic rounding takes them now and then.
   */
  readonly stalled: number
}

/** What a blend measures on its way; `stays` is where it changes nothing that is stored. */
export function driftReductions({ target, source }: GroupTypes, stays: Expr): PassReduction[] {
  const dtype = blendDType(target)
  const stored = input(0, target)
  const [t, s] = [stored.cast(dtype), input(1, source).cast(dtype)]
  const difference = s.sub(t)
  const over = 'all'
  return [
    { combine: 'sum', expr: difference.square(), over },
    { combine: 'sum', expr: t.square(), over },
    { combine: 'max', expr: difference.abs(), over },
    { combine: 'sum', expr: s.isFinite().not().cast('u32'), over },
    { combine: 'sum', expr: stays.and(s.ne(t)).and(s.isFinite()).cast('u32'), over },
  ]
}

/** The numbers of all groups together. */
export function driftOf(groups: readonly (readonly number[])[], size: number): Drift {
  const sum = (i: number) => groups.reduce((total, group) => total + (group[i] ?? 0), 0)
  const largest = groups.reduce((most, group) => {
    const value = group[2] ?? 0
    // A NaN stays.
    return value > most || Number.isNaN(value) ? value : most
  }, 0)
  return {
    distance: Math.sqrt(sum(0)),
    norm: Math.sqrt(sum(1)),
    largest,
    nonFinite: sum(3),
    stalled: size === 0 ? 0 : sum(4) / size,
  }
}
