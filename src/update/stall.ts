import { type DType, type FloatDType, isFloat } from '../shapes/dtype.js'

/** The largest rounding error of a number, as a share of it: half a unit of the last place. */
const halfUnit: Readonly<Record<FloatDType, number>> = { f64: 2 ** -53, f32: 2 ** -24, f16: 2 ** -11, bf16: 2 ** -8 }

/**
 * How near an element may be to its source, as a share of its own size, and yet not move when rounding to the nearest:
 * steps of `tau · |s − t|` below half a unit of the last place of t are lost. Within half of that none moves.
 */
const reachOf = (dtype: DType, tau: number): number => (isFloat(dtype) ? halfUnit[dtype] / tau : 0)

/** A line of advice where that is 0.1 % or more. */
export function stallAdvice(dtypes: Iterable<DType>, tau: number): string | undefined {
  const worst = [...dtypes].sort((a, b) => reachOf(b, tau) - reachOf(a, tau))[0]
  const reach = worst === undefined || tau === 0 ? 0 : reachOf(worst, tau)
  if (!(reach >= 1e-3)) return undefined
  const share = `${Number((100 * reach).toPrecision(2))} %`
  const remedy = "precision: 'kahan' keeps what is lost, and metrics().stalled says how much that is"
  return `rounding in ${worst}: elements that differ by less than ${share} may not move at this rate; ${remedy}`
}
