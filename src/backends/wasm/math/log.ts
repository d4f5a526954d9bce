import { f32x4, i32x4, v128 } from '../assembler.js'
import type { MathContext, Vector } from './interface.js'
import { at, Stages } from './stages.js'

const ln2High = 0.693359375
const ln2Low = -2.1219444005469057e-4
/** The bits of √½: numbers are split into `2^e · m` with m from √½ to √2. */
const rootHalf = 0x3f3504f3
const mantissa = 0x7fffff
const smallestNormal = 2 ** -126
const infinityBits = 0x7f800000
const signBit = -0x80000000

/** `log((1 + s) / (1 − s)) = 2 s + s R(s²)`, R without its constant term: relative error 2^-30.2. */
const logRest = [0.6666677594184875, 0.39977553486824036, 0.29872122406959534]

/** `log(2^e (1 + f)) + correction`; all are overwritten or given back, the result is in `e`. */
function logOfParts(stages: Stages, e: readonly Vector[], f: readonly Vector[], correction?: readonly Vector[]): void {
  const { f32, mad } = stages.context
  const s = stages.let((i) => f32x4.div(at(f, i), f32x4.add(at(f, i), f32(2))))
  const z = stages.let((i) => f32x4.mul(at(s, i), at(s, i)))
  const rest = stages.polynomial(logRest, z)
  stages.set(rest, (i, rest) => f32x4.mul(rest, at(z, i)))
  stages.set(z, (i) => f32x4.mul(f32x4.mul(at(f, i), at(f, i)), f32(0.5)))
  stages.set(rest, (i, rest) => f32x4.add(rest, at(z, i)))
  const low = stages.let((i) =>
    correction ? mad(at(e, i), f32(ln2Low), at(correction, i)) : f32x4.mul(at(e, i), f32(ln2Low)),
  )
  stages.set(s, (i, s) => mad(s, at(rest, i), at(low, i)))
  // e ln 2 + (f − (f²/2 − s (f²/2 + R) − low)): f is the largest term after the exponent's, and exact.
  stages.set(s, (i, s) => f32x4.sub(at(f, i), f32x4.sub(at(z, i), s)))
  stages.set(e, (i, e) => mad(e, f32(ln2High), at(s, i)))
  stages.release(s, z, rest, low)
}

/**
 * `ln x` within 1 ulp, denormal arguments too. −∞ at ±0, NaN below 0, ∞ at ∞, NaN stays NaN.
 */
export function emitLog(context: MathContext, x: readonly Vector[]): readonly Vector[] {
  const stages = new Stages(context, x.length)
  const { f32, i32 } = context
  const small = stages.let((i) => f32x4.lt(at(x, i), f32(smallestNormal)))
  const f = stages.let((i) => v128.bitselect(f32x4.mul(at(x, i), f32(2 ** 23)), at(x, i), at(small, i)))
  stages.set(f, (_, f) => i32x4.sub(f, i32(rootHalf)))
  const e = stages.let((i) => f32x4.convert_i32x4_s(i32x4.shr_s(at(f, i), 23)))
  stages.set(e, (i, e) => f32x4.sub(e, v128.and(at(small, i), f32(23))))
  stages.release(small)
  stages.set(f, (_, f) => f32x4.sub(i32x4.add(v128.and(f, i32(mantissa)), i32(rootHalf)), f32(1)))
  logOfParts(stages, e, f)
  stages.release(f)
  stages.set(e, (i, e) => v128.bitselect(at(x, i), e, f32x4.eq(at(x, i), i32(infinityBits))))
  stages.set(e, (i, e) => v128.bitselect(f32(Number.NEGATIVE_INFINITY), e, f32x4.eq(at(x, i), f32(0))))
  // All bits set is a NaN.
  stages.set(e, (i, e) => v128.or(e, v128.not(f32x4.ge(at(x, i), f32(0)))))
  return e
}

/**
 * `ln(1 + x)` within 1.5 ulp, small results too. −∞ at −1, NaN below −1, ∞ at ∞, NaN stays NaN, ±0 is kept.
 *
 * `u = 1 + x` is split like log's argument; what its rounding lost, divided by u, is added to the logarithm.
 */
export function emitLog1p(context: MathContext, x: readonly Vector[]): readonly Vector[] {
  const stages = new Stages(context, x.length)
  const { f32, i32 } = context
  const u = stages.let((i) => f32x4.add(at(x, i), f32(1)))
  // Knuth's two-sum: exact whichever of 1 and x is larger.
  const lost = stages.let((i) => f32x4.sub(at(u, i), at(x, i)))
  const rest = stages.let((i) => f32x4.sub(at(x, i), f32x4.sub(at(u, i), at(lost, i))))
  stages.set(lost, (i, lost) => f32x4.add(f32x4.sub(f32(1), lost), at(rest, i)))
  stages.set(lost, (i, lost) => f32x4.div(lost, at(u, i)))
  stages.release(rest)
  const f = stages.let((i) => i32x4.sub(at(u, i), i32(rootHalf)))
  const e = stages.let((i) => f32x4.convert_i32x4_s(i32x4.shr_s(at(f, i), 23)))
  stages.set(f, (_, f) => f32x4.sub(i32x4.add(v128.and(f, i32(mantissa)), i32(rootHalf)), f32(1)))
  logOfParts(stages, e, f, lost)
  stages.release(f, lost)
  stages.set(e, (i, e) => v128.or(e, v128.and(at(x, i), i32(signBit))))
  stages.set(e, (i, e) => v128.bitselect(at(x, i), e, f32x4.eq(at(x, i), i32(infinityBits))))
  stages.set(e, (i, e) => v128.bitselect(f32(Number.NEGATIVE_INFINITY), e, f32x4.eq(at(u, i), f32(0))))
  stages.set(e, (i, e) => v128.or(e, v128.not(f32x4.ge(at(u, i), f32(0)))))
  stages.release(u)
  return e
}
