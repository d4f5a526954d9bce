import { constant, type Expr } from '../kernels/expr.js'
import type { UpdateRule } from './define.js'
import type { Weights } from './rate.js'

/**
 * Many blends in one, `t + tau·(s − t)` or from tau ½ on `s − decay·(s − t)`, rounded once: what the difference, the
 * weight, their product and the sum lose is added at the end. The numbers are those of `coalescedNumbers`.
 */
export const coalesced: UpdateRule['next'] = ({ target, source }, numbers) => {
  const [tau = target, keep = target, tauRest = target, keepRest = target] = numbers
  const near = tau.lt(0.5)
  const [base, other] = [near.select(target, source), near.select(source, target)]
  const [weight, rest] = [near.select(tau, keep.neg()), near.select(tauRest, keepRest.neg())]
  const [difference, ofDifference] = exactSum(other, base.neg())
  const [step, ofStep] = exactProduct(weight, difference)
  const [sum, ofSum] = exactSum(base, step)
  const lost = weight.mul(ofDifference).add(rest.mul(difference)).add(ofStep)
  const better = sum.add(ofSum.add(lost))
  const blended = sum.isFinite().select(better, sum)
  return { target: tau.eq(0).select(target, keep.eq(0).select(source, blended)) }
}

/** `tau` and `−decay`, each rounded to the dtype, and what that has lost. */
export function coalescedNumbers({ tau, decay }: Weights, dtype: 'f32' | 'f64'): readonly number[] {
  const [high, rest] = parted(tau, dtype)
  const [keepHigh, keepRest] = parted(-decay, dtype)
  return [high, keepHigh, rest, keepRest]
}

/** A number in two parts. */
export function parted(value: number, dtype: 'f32' | 'f64'): readonly [high: number, rest: number] {
  if (dtype === 'f64') return [value, 0]
  const high = Math.fround(value)
  return [high, value - high]
}

/** A sum and what rounding it has lost (Knuth's two-sum). */
function exactSum(a: Expr, b: Expr): readonly [sum: Expr, lost: Expr] {
  const sum = a.add(b)
  const part = sum.sub(a)
  return [sum, a.sub(sum.sub(part)).add(b.sub(part))]
}

/** A product and what rounding it has lost (Dekker): of halves of the digits, products are exact. In f64 nothing is kept. */
function exactProduct(a: Expr, b: Expr): readonly [product: Expr, lost: Expr] {
  const product = a.mul(b)
  if (a.dtype !== 'f32') return [product, constant(0, a.dtype)]
  const upper = (x: Expr) => x.bitcast('u32').shr(12).shl(12).bitcast('f32')
  const [aHigh, bHigh] = [upper(a), upper(b)]
  const [aLow, bLow] = [a.sub(aHigh), b.sub(bHigh)]
  const crossed = aHigh.mul(bHigh).sub(product).add(aHigh.mul(bLow)).add(aLow.mul(bHigh))
  return [product, crossed.add(aLow.mul(bLow))]
}
