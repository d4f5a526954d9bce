import { f32x4, i32x4, v128 } from '../assembler.js'
import type { MathContext, Vector } from './interface.js'
import { at, Stages } from './stages.js'

const log2E = Math.LOG2E
/** ln 2 in two parts: the first has so few bits that its product with an exponent is exact. */
const ln2High = 0.693359375
const ln2Low = -2.1219444005469057e-4
/** Added to a number below 2²², rounds it to an integer and leaves that in the low bits. */
const rounder = 1.5 * 2 ** 23
const signBit = -0x80000000

/** `e^r = 1 + r + r² q(r)` on ±½ ln 2: relative error 2^-28.2. */
const expRest = [0.4999999403953552, 0.1666652113199234, 0.04166829213500023, 0.0083687212318182, 0.001381874200887978]
/** The same, relative to `e^r − 1`: 2^-26.1. */
const expm1Rest = [0.5, 0.1666654348373413, 0.04166640341281891, 0.008366596885025501, 0.0013940662611275911]

/**
 * `e^x` within 1.3 ulp, denormal results too. `e^−∞ = 0`, `e^∞ = ∞`, above 88.72284 ∞, NaN stays NaN.
 *
 * `x = n ln 2 + r`; the result is `e^r · 2^n`, where 2^n is applied as two factors whose exponents add up to n:
 * neither overflows or underflows before the result does.
 */
export function emitExp(context: MathContext, x: readonly Vector[]): readonly Vector[] {
  const stages = new Stages(context, x.length)
  const { f32, mad } = context
  // t's low bits hold n + 254. At the lower clamp that is 0: both factors are 0, and nothing is denormal on the way.
  const c = stages.let((i) => f32x4.pmax(f32x4.pmin(at(x, i), f32(89)), f32(-176)))
  const t = stages.let((i) => mad(at(c, i), f32(log2E), f32(rounder + 254)))
  const n = stages.let((i) => f32x4.sub(at(t, i), f32(rounder + 254)))
  stages.set(c, (i, c) => mad(at(n, i), f32(-ln2High), c))
  stages.set(c, (i, c) => mad(at(n, i), f32(-ln2Low), c))
  stages.release(n)
  const y = stages.polynomial(expRest, c)
  stages.set(y, (i, y) => mad(y, f32x4.mul(at(c, i), at(c, i)), f32x4.add(at(c, i), f32(1))))
  stages.set(c, (i) => i32x4.shr_u(at(t, i), 1))
  stages.set(t, (i, t) => i32x4.sub(t, at(c, i)))
  stages.set(y, (i, y) => f32x4.mul(y, i32x4.shl(at(c, i), 23)))
  stages.set(y, (i, y) => f32x4.mul(y, i32x4.shl(at(t, i), 23)))
  stages.release(c, t)
  return y
}

/** `e^v · 2^−down` for `−80 ≤ v ≤ 80`, where nothing overflows or underflows, in `v`, which is overwritten. */
export function expInRange(stages: Stages, v: readonly Vector[], down = 0): void {
  const { f32, mad } = stages.context
  const t = stages.let((i) => mad(at(v, i), f32(log2E), f32(rounder + 127 - down)))
  const n = stages.let((i) => f32x4.sub(at(t, i), f32(rounder + 127 - down)))
  stages.set(v, (i, v) => mad(at(n, i), f32(-ln2High), v))
  stages.set(v, (i, v) => mad(at(n, i), f32(-ln2Low), v))
  stages.release(n)
  const y = stages.polynomial(expRest, v)
  stages.set(y, (i, y) => mad(y, f32x4.mul(at(v, i), at(v, i)), f32x4.add(at(v, i), f32(1))))
  stages.set(v, (i) => f32x4.mul(at(y, i), i32x4.shl(at(t, i), 23)))
  stages.release(t, y)
}

/** `e^x = 2 s (1 + r + rest)`: what expm1 puts together without cancelling. */
interface Parts {
  readonly s: Vector[]
  readonly r: Vector[]
  readonly rest: Vector[]
}

function expm1Parts(stages: Stages, x: readonly Vector[]): Parts {
  const { f32, mad } = stages.context
  const s = stages.let((i) => mad(at(x, i), f32(log2E), f32(rounder + 126)))
  const n = stages.let((i) => f32x4.sub(at(s, i), f32(rounder + 126)))
  const high = stages.let((i) => mad(at(n, i), f32(-ln2High), at(x, i)))
  stages.set(n, (_, n) => f32x4.mul(n, f32(-ln2Low)))
  const r = stages.let((i) => f32x4.add(at(high, i), at(n, i)))
  // What rounding r lost.
  stages.set(n, (i, n) => f32x4.add(f32x4.sub(at(high, i), at(r, i)), n))
  stages.release(high)
  const rest = stages.polynomial(expm1Rest, r)
  stages.set(rest, (i, rest) => mad(rest, f32x4.mul(at(r, i), at(r, i)), at(n, i)))
  stages.release(n)
  stages.set(s, (_, s) => i32x4.shl(s, 23))
  return { s, r, rest }
}

/**
 * `e^x − 1` within 1.6 ulp, small results too. −1 at −∞, ∞ at ∞ and above 88.72284, NaN stays NaN, ±0 is kept.
 *
 * With `2^n = 2 s`: `2 ((s − ½) + s r + s·rest)`, the larger terms added first.
 */
export function emitExpm1(context: MathContext, x: readonly Vector[]): readonly Vector[] {
  const stages = new Stages(context, x.length)
  const { f32, i32, mad } = context
  const c = stages.let((i) => f32x4.pmax(f32x4.pmin(at(x, i), f32(89)), f32(-18)))
  const { s, r, rest } = expm1Parts(stages, c)
  stages.set(c, (i) => mad(at(s, i), at(r, i), f32x4.sub(at(s, i), f32(0.5))))
  stages.set(c, (i, c) => mad(at(s, i), at(rest, i), c))
  stages.set(c, (i, c) => v128.or(f32x4.add(c, c), v128.and(at(x, i), i32(signBit))))
  stages.release(s, r, rest)
  return c
}
