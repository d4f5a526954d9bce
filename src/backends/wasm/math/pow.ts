import { f32x4, f64x2, i32x4, i64x2, type V128, v128 } from '../assembler.js'
import type { MathContext, Vector } from './interface.js'
import { at, Stages } from './stages.js'

const rootHalf = 0x3f3504f3
const mantissa = 0x7fffff
const signBit = -0x80000000
const infinityBits = 0x7f800000
/** Rounds an f64 to an integer plus 1023, the exponent's offset, and leaves that in its low bits. */
const rounder = 1.5 * 2 ** 52 + 1023

/** `log2 m = s L(s²)` with `s = (m − 1) / (m + 1)`, m from √½ to √2, in f64: relative error 2^-45.1. */
const log2 = [
  2.8853900817778495, 0.9617966941154695, 0.5770779416573012, 0.4122093293784649, 0.31990236180702447,
  0.28294999206882016,
]
/** `2^f` on ±½, in f64: relative error 2^-34.5. */
const exp2 = [
  0.9999999999613791, 0.6931471807297979, 0.2402265120114798, 0.055504103503617466, 0.009618026849073725,
  0.0013333924044727301, 0.0001546942185830012, 1.5201810681680684e-5,
]

/**
 * `x^y` within 0.51 ulp, as `2^(y log2 |x|)` in f64. Every special case is C's and PyTorch's, which differ from
 * JavaScript's `**` in `1^NaN = 1` and `(±1)^±∞ = 1`; `NaN^0 = 1`.
 */
export function emitPow(context: MathContext, x: readonly Vector[], y: readonly Vector[]): readonly Vector[] {
  const { fn } = context
  const stages = new Stages(context, x.length)
  const bases = stages.let((i) => at(x, i))
  const exponents = stages.let((i) => at(y, i))
  const results = stages.let((i) => at(x, i))
  // The code is long, so there is one copy of it: the vectors take turns in the first place.
  const round = fn.local('i32')
  fn.set(round, x.length)
  fn.doWhile(() => {
    const one = at(bases, 0)
    fn.set(at(results, 0), powOfVector(context, one, at(exponents, 0)))
    if (x.length > 1) for (const group of [bases, exponents, results]) turn(context, group)
    fn.inc(round, -1)
  }, round)
  stages.release(bases, exponents)
  return results
}

/** The first vector goes to the end. */
function turn({ fn, temp, release }: MathContext, group: readonly Vector[]): void {
  const first = temp()
  fn.set(first, at(group, 0))
  for (const [i, x] of group.entries()) fn.set(x, group[i + 1] ?? first)
  release(first)
}

function powOfVector(context: MathContext, x: Vector, y: Vector): V128 {
  const { fn, f32, i32, temp, release } = context
  const [a, e, edge, low, high] = [temp(), temp(), temp(), temp(), temp()]

  // |x| = 2^e m.
  fn.set(a, f32x4.abs(x))
  fn.set(
    edge,
    v128.bitselect(f32(Number.NEGATIVE_INFINITY), v128.and(a, f32x4.eq(a, i32(infinityBits))), f32x4.eq(a, f32(0))),
  )
  fn.set(e, f32x4.lt(a, f32(2 ** -126)))
  fn.set(a, v128.bitselect(f32x4.mul(a, f32(2 ** 23)), a, e))
  fn.set(e, v128.and(e, i32(23)))
  fn.set(a, i32x4.sub(a, i32(rootHalf)))
  fn.set(e, i32x4.sub(i32x4.shr_s(a, 23), e))
  fn.set(a, i32x4.add(v128.and(a, i32(mantissa)), i32(rootHalf)))
  const upper = (v: V128) => i32x4.shuffle(v, v, [2, 3, 2, 3])
  exp2OfProduct(context, [
    { m: f64x2.promote_low_f32x4(a), e, edge, y, result: low },
    { m: f64x2.promote_low_f32x4(upper(a)), e: upper(e), edge: upper(edge), y: upper(y), result: high },
  ])
  fn.set(low, i32x4.shuffle(low, high, [0, 1, 4, 5]))

  // Signs and the cases in which one of the numbers is not one.
  const integer = e
  fn.set(integer, f32x4.eq(f32x4.trunc(y), y))
  const half = a
  fn.set(half, f32x4.mul(y, f32(0.5)))
  const odd = v128.and(integer, f32x4.ne(f32x4.trunc(half), half))
  fn.set(low, v128.xor(low, v128.and(v128.and(x, i32(signBit)), odd)))
  const noRoot = v128.and(v128.andnot(f32x4.lt(x, f32(0)), integer), f32x4.gt(x, f32(Number.NEGATIVE_INFINITY)))
  fn.set(low, v128.or(low, v128.or(noRoot, v128.or(f32x4.ne(x, x), f32x4.ne(y, y)))))
  const bothUnbounded = v128.and(f32x4.eq(f32x4.abs(x), f32(1)), f32x4.eq(f32x4.abs(y), i32(infinityBits)))
  const isOne = v128.or(v128.or(f32x4.eq(x, f32(1)), f32x4.eq(y, f32(0))), bothUnbounded)
  for (const dead of [a, e, edge, low, high]) release(dead)
  return v128.bitselect(f32(1), low, isOne)
}

interface Half {
  readonly m: V128
  readonly e: V128
  readonly edge: V128
  readonly y: V128
  readonly result: Vector
}

/**
 * `result = 2^(y (e + log2 m + edge))` of two lanes each, rounded to f32 in the lower two. The halves go side by
 * side, so that a constant is built once for both: V8 builds one anew for every mention.
 */
function exp2OfProduct({ fn, temp, release }: MathContext, halves: readonly Half[]): void {
  const lanes = halves.map((half) => ({ ...half, s: temp(), z: temp() }))
  const constant = temp()
  const step = (value: number, next: (lane: (typeof lanes)[number]) => readonly [target: Vector, value: V128]) => {
    fn.set(constant, f64x2.const(value))
    for (const lane of lanes) fn.set(...next(lane))
  }
  const horner = (coefficients: readonly number[]) => {
    const falling = [...coefficients].reverse()
    step(falling[0] ?? 0, ({ result }) => [result, constant])
    for (const c of falling.slice(1)) step(c, ({ result, z }) => [result, f64x2.add(f64x2.mul(result, z), constant)])
  }
  for (const { m, s } of lanes) fn.set(s, m)
  step(1, ({ s }) => [s, f64x2.div(f64x2.sub(s, constant), f64x2.add(s, constant))])
  for (const { s, z } of lanes) fn.set(z, f64x2.mul(s, s))
  horner(log2)
  for (const { e, edge, y, s, z, result } of lanes) {
    const log = f64x2.add(f64x2.convert_low_i32x4_s(e), f64x2.mul(s, result))
    fn.set(z, f64x2.mul(f64x2.promote_low_f32x4(y), f64x2.add(log, f64x2.promote_low_f32x4(edge))))
  }
  // Beyond these the result is 0 or ∞ in f32, and in f64 neither yet.
  step(300, ({ z }) => [z, f64x2.pmin(z, constant)])
  step(-300, ({ z }) => [z, f64x2.pmax(z, constant)])
  step(rounder, ({ s, z }) => [s, f64x2.add(z, constant)])
  for (const { s, z } of lanes) fn.set(z, f64x2.sub(z, f64x2.sub(s, constant)))
  horner(exp2)
  for (const { s, result } of lanes) fn.set(result, f32x4.demote_f64x2_zero(f64x2.mul(result, i64x2.shl(s, 52))))
  for (const dead of [constant, ...lanes.flatMap(({ s, z }) => [s, z])]) release(dead)
}
