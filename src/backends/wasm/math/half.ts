/**
 * f16, which no vector instruction knows. ns an element in the cache, one core, Node 26, 128-bit FMA: copying f32 0.075,
 * f32 → bf16 (three integer operations and one for NaN, in `lowering.ts`) 0.16, f16 → f32 0.31, f32 → f16 0.38, exp 0.48.
 * So a pass over bf16 keeps up with the memory on two cores, one over f16 is bound by these conversions. Multiplying by
 * 2^112 would save four operations of the first, but subnormals cost a microcode assist each on some processors.
 */
import { f32x4, i32x4, v128 } from '../assembler.js'
import type { MathContext, Vector } from './interface.js'
import { at, Stages } from './stages.js'

/** The least normal f16, 2^-14, and the least number whose f16 is infinite whatever its fraction, 2^16, as bits of f32. */
const leastNormal = 0x38800000
const infinite = 0x47800000
/** The exponents of f32 are larger by 127 - 15. */
const bias = 112 << 23
/** Bits of 0.5, whose last bit is worth 2^-24, as that of a subnormal f16 is. */
const oneHalf = 0x3f000000

/** f32 of f16, exact: bits in, numbers out. */
export function emitFromF16(context: MathContext, x: readonly Vector[]): readonly Vector[] {
  const stages = new Stages(context, x.length)
  const { f32, i32 } = context
  const size = stages.let((i) => v128.and(at(x, i), i32(0x7fff)))
  const y = stages.let((i) => i32x4.add(i32x4.shl(at(size, i), 13), i32(bias)))
  stages.set(y, (i, y) => v128.or(y, v128.and(i32x4.gt_s(at(size, i), i32(0x7bff)), i32(0x7f800000))))
  const small = (i: number) => f32x4.sub(v128.or(at(size, i), i32(oneHalf)), f32(0.5))
  stages.set(y, (i, y) => v128.bitselect(small(i), y, i32x4.gt_s(i32(0x400), at(size, i))))
  stages.set(y, (i, y) => v128.or(y, i32x4.shl(v128.xor(at(x, i), at(size, i)), 16)))
  stages.release(size)
  return y
}

/** The nearest f16, ties to even: numbers in, bits out. */
export function emitToF16(context: MathContext, x: readonly Vector[]): readonly Vector[] {
  const stages = new Stages(context, x.length)
  const { f32, i32 } = context
  const size = stages.let((i) => i32x4.min_s(v128.and(at(x, i), i32(0x7fffffff)), i32(infinite)))
  const y = stages.let((i) => v128.and(i32x4.shr_u(at(size, i), 13), i32(1)))
  stages.set(y, (i, y) => i32x4.shr_u(i32x4.add(i32x4.add(at(size, i), i32(0xfff - bias)), y), 13))
  // The addition rounds to a multiple of 2^-24.
  const small = (i: number) => i32x4.sub(f32x4.add(at(size, i), f32(0.5)), i32(oneHalf))
  stages.set(y, (i, y) => v128.bitselect(small(i), y, i32x4.gt_s(i32(leastNormal), at(size, i))))
  stages.set(y, (i, y) => v128.or(y, v128.and(i32x4.shr_u(at(x, i), 16), i32(0x8000))))
  stages.set(y, (i, y) => v128.or(y, i32x4.shr_u(f32x4.ne(at(x, i), at(x, i)), 17)))
  stages.release(size)
  return y
}
