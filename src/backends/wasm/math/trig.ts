import { f32, f32x4, f64, f64x2, i32, i32x4, i64, v128 } from '../assembler.js'
import type { MathContext, Vector } from './interface.js'
import { at, Stages } from './stages.js'

/** `sin r = r + r³ S(r²)`, `cos r = 1 − r²/2 + r⁴ C(r²)` on ±π/4: relative errors 2^-28.0 and 2^-33.0. */
const sinRest = [-0.16666655242443085, 0.008332190103828907, -0.0001951840822584927]
const cosRest = [0.04166664555668831, -0.0013887309469282627, 2.4432327336398885e-5]
/** π/2 in two f64: the first has 33 bits, so that its product with a quotient below 2²⁰ is exact. */
const halfPiHigh = 1.5707963267341256
const halfPiLow = 6.077100506506192e-11
/** Rounds an f64 to an integer and leaves that in its low 32 bits. */
const rounder = 1.5 * 2 ** 52
/** From here on the quotient has too many bits for the short reduction. */
const large = 2 ** 20
const largeExponent = 127 + 20
const signBit = -0x80000000
/** The bits of 2/π after eight zeros, 64 in each word. */
const twoOverPi = [0x00a2f9836e4e4415n, 0x29fc2757d1f534ddn, 0xc0db6295993c4390n, 0x41fe5163abdebbc5n] as const

/** `x = q π/2 + r` with `|r| ≤ π/4`; only the last two bits of q are right. r is NaN when x is NaN or infinite. */
interface Reduced {
  readonly r: Vector[]
  readonly q: Vector[]
}

function reduce(stages: Stages, x: readonly Vector[]): Reduced {
  const { fn, temp, release } = stages.context
  const r: Vector[] = []
  const q: Vector[] = []
  // V8 builds a constant anew for every mention of it.
  const [perQuadrant, round, high, low] = [2 / Math.PI, rounder, halfPiHigh, halfPiLow].map((value) => {
    const constant = temp()
    fn.set(constant, f64x2.const(value))
    return constant
  })
  if (!perQuadrant || !round || !high || !low) return { r, q }
  // One vector after the other: in f64 each takes two, and there are few registers.
  for (const argument of x) {
    const [a, b, ta, tb] = [temp(), temp(), temp(), temp()]
    fn.set(a, f64x2.promote_low_f32x4(argument))
    fn.set(b, f64x2.promote_low_f32x4(i32x4.shuffle(argument, argument, [2, 3, 2, 3])))
    for (const [y, t] of [
      [a, ta],
      [b, tb],
    ] as const)
      fn.set(t, f64x2.add(f64x2.mul(y, perQuadrant), round))
    const quotient = temp()
    fn.set(quotient, i32x4.shuffle(ta, tb, [0, 2, 4, 6]))
    for (const [y, t] of [
      [a, ta],
      [b, tb],
    ] as const) {
      fn.set(t, f64x2.sub(t, round))
      fn.set(y, f64x2.sub(y, f64x2.mul(t, high)))
      fn.set(y, f64x2.sub(y, f64x2.mul(t, low)))
    }
    const rest = temp()
    fn.set(rest, i32x4.shuffle(f32x4.demote_f64x2_zero(a), f32x4.demote_f64x2_zero(b), [0, 1, 4, 5]))
    for (const dead of [a, b, ta, tb]) release(dead)
    r.push(rest)
    q.push(quotient)
  }
  for (const dead of [perQuadrant, round, high, low]) release(dead)
  const anyLarge = x
    .map((_, i) => f32x4.ge(f32x4.abs(at(x, i)), stages.context.f32(large)))
    .reduce((a, b) => v128.or(a, b))
  fn.if(v128.any_true(anyLarge), () => reduceLarge(stages, x, r, q))
  return { r, q }
}

/**
 * Payne and Hanek's reduction for the lanes at or above `large`: multiplies the 24 bits of x with the 96 bits of
 * 2/π that decide the quotient modulo 4 and the 62 bits after it, in integers. One lane at a time: all vectors are
 * turned by one lane between rounds, so there is one copy of the code.
 */
function reduceLarge(stages: Stages, x: readonly Vector[], r: readonly Vector[], q: readonly Vector[]): void {
  const { fn } = stages.context
  const copy = stages.let((i) => at(x, i))
  const [x0, r0, q0] = [at(copy, 0), at(r, 0), at(q, 0)]
  const bits = fn.local('i32')
  const exponent = fn.local('i32')
  const offset = fn.local('i32')
  const quotient = fn.local('i32')
  const round = fn.local('i32')
  const [high, middle, low, mantissa, shift, product] = Array.from({ length: 6 }, () => fn.local('i64'))
  if (!high || !middle || !low || !mantissa || !shift || !product) return
  fn.set(round, 4 * x.length)
  fn.doWhile(() => {
    fn.set(bits, i32x4.extract_lane(x0, 0))
    fn.set(exponent, bits.shrU(23).and(255))
    fn.if(exponent.ge(largeExponent).and(exponent.lt(255)), () => {
      // x = m · 2^E. A bit of 2/π with a weight of 4 / 2^E or more only adds multiples of 4 to the quotient.
      fn.set(mantissa, i64.extend_i32_u(bits.and(0x7fffff).or(0x800000)))
      fn.set(offset, exponent.sub(150 - 6))
      fn.set(shift, i64.extend_i32_u(offset.and(63)))
      const [w0, w1, w2, w3] = twoOverPi.map((word) => i64.const(word))
      if (!w0 || !w1 || !w2 || !w3) return
      fn.if(
        offset.lt(64),
        () => {
          fn.set(high, w0)
          fn.set(middle, w1)
          fn.set(low, w2)
        },
        () => {
          fn.set(high, w1)
          fn.set(middle, w2)
          fn.set(low, w3)
        },
      )
      // The window: 64 bits in `high`, the next 32 in `middle`. Two shifts, because a count of 64 counts as 0.
      fn.set(high, i64.or(i64.shl(high, shift), i64.shr_u(i64.shr_u(middle, 1), i64.sub(63, shift))))
      fn.set(middle, i64.or(i64.shl(middle, shift), i64.shr_u(i64.shr_u(low, 1), i64.sub(63, shift))))
      fn.set(middle, i64.shr_u(i64.mul(mantissa, i64.shr_u(middle, 32)), 32))
      fn.set(product, i64.add(i64.mul(mantissa, high), middle))
      fn.set(quotient, i32.wrap_i64(i64.shr_u(i64.add(product, i64.const(2n ** 61n)), 62)))
      fn.set(product, i64.sub(product, i64.shl(i64.extend_i32_u(quotient), 62)))
      const rest = f32.demote_f64(f64.mul(f64.convert_i64_s(product), (Math.PI / 2) * 2 ** -62))
      // For negative x both change their sign: r by its bit, q as the complement plus one.
      fn.set(r0, i32x4.replace_lane(r0, 0, i32.reinterpret_f32(rest).xor(bits.and(signBit))))
      fn.set(q0, i32x4.replace_lane(q0, 0, quotient.xor(bits.shrS(31)).sub(bits.shrS(31))))
    })
    for (const group of [copy, r, q]) turn(stages, group)
    fn.inc(round, -1)
  }, round)
  stages.release(copy)
}

/** Lane 0 of the first vector goes to the end, all others one lane down. */
function turn(stages: Stages, group: readonly Vector[]): void {
  const { fn, temp, release } = stages.context
  const first = temp()
  fn.set(first, at(group, 0))
  for (const [i, x] of group.entries()) fn.set(x, i32x4.shuffle(x, group[i + 1] ?? first, [1, 2, 3, 4]))
  release(first)
}

/** `sin` of the reduced argument, or `cos` where bit 0 of `q` is set, negated where bit 1 is: in `r`. */
function combine(stages: Stages, { r, q }: Reduced): void {
  const { f32, i32, mad } = stages.context
  const z = stages.let((i) => f32x4.mul(at(r, i), at(r, i)))
  const cos = stages.polynomial(cosRest, z)
  stages.set(cos, (i, cos) => mad(cos, f32x4.mul(at(z, i), at(z, i)), f32x4.sub(f32(1), f32x4.mul(at(z, i), f32(0.5)))))
  const sin = stages.polynomial(sinRest, z)
  stages.set(sin, (i, sin) => mad(sin, f32x4.mul(at(z, i), at(r, i)), at(r, i)))
  stages.set(z, (i) => i32x4.shr_s(i32x4.shl(at(q, i), 31), 31))
  stages.set(r, (i) => v128.bitselect(at(cos, i), at(sin, i), at(z, i)))
  stages.set(r, (i, r) => v128.xor(r, i32x4.shl(v128.and(at(q, i), i32(2)), 30)))
  stages.release(z, cos, sin)
}

/** `sin x` within 1.6 ulp, however large x is. NaN at ±∞, NaN stays NaN, ±0 is kept. */
export function emitSin(context: MathContext, x: readonly Vector[]): readonly Vector[] {
  const stages = new Stages(context, x.length)
  const { r, q } = reduce(stages, x)
  combine(stages, { r, q })
  stages.release(q)
  stages.set(r, (i, r) => v128.bitselect(at(x, i), r, f32x4.eq(at(x, i), context.f32(0))))
  return r
}

/** `cos x` within 1.6 ulp, however large x is. NaN at ±∞, NaN stays NaN. */
export function emitCos(context: MathContext, x: readonly Vector[]): readonly Vector[] {
  const stages = new Stages(context, x.length)
  const { r, q } = reduce(stages, x)
  stages.set(q, (_, q) => i32x4.add(q, context.i32(1)))
  combine(stages, { r, q })
  stages.release(q)
  return r
}
