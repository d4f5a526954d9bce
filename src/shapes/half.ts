import type { HalfDType } from './dtype.js'

/**
 * Numbers of 16 bits. f16 (IEEE binary16) has 5 bits of exponent and 10 of fraction; bf16 is the upper half of an f32.
 * Widening to f32 is exact. Narrowing rounds to the nearest, ties to even: too large is infinite, too small subnormal or 0,
 * NaN stays NaN.
 */

const single = new Float32Array(1)
const word = new Uint32Array(single.buffer)

/** The bits of the f16 or bf16 nearest to the f32 nearest to `value`. */
export function halfBits(value: number, dtype: HalfDType): number {
  single[0] = value
  const bits = word[0] ?? 0
  if (Number.isNaN(value))
    return (
      ((bits >>> 16) & 0x8000) | (dtype === 'bf16' ? 0x7fc0 | ((bits >>> 16) & 0x7f) : 0x7e00 | ((bits >>> 13) & 0x3ff))
    )
  if (dtype === 'bf16') return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16
  const sign = (bits >>> 16) & 0x8000
  // From 2^16 on infinite; what rounds up to that is carried into the exponent.
  const size = Math.min(bits & 0x7fffffff, 0x47800000)
  // Below 2^-14 a multiple of 2^-24. Adding 2^52 leaves no bits for a fraction.
  if (size < 0x38800000) return sign | (Math.abs(single[0]) * 2 ** 24 + 2 ** 52 - 2 ** 52)
  return sign | ((size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13)
}

/** The number that the bits of an f16 or bf16 stand for. */
export function halfValue(bits: number, dtype: HalfDType): number {
  word[0] = dtype === 'bf16' ? bits << 16 : wideBits(bits)
  return single[0] ?? 0
}

/** The bits of the f32 that equals an f16. */
function wideBits(bits: number): number {
  const sign = (bits & 0x8000) << 16
  const exponent = (bits >>> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13)
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13)
  single[0] = fraction * 2 ** -24
  return sign | (word[0] ?? 0)
}

/** Widens bits to f32; NaN payloads are kept. */
export function widen(bits: ArrayLike<number>, dtype: HalfDType): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(bits.length)
  for (let i = 0; i < bits.length; i++) words[i] = dtype === 'bf16' ? (bits[i] ?? 0) << 16 : wideBits(bits[i] ?? 0)
  return new Float32Array(words.buffer)
}

/** Numbers as the bits of the nearest f16 or bf16. */
export function narrow(values: ArrayLike<number | boolean>, dtype: HalfDType): Uint16Array<ArrayBuffer> {
  const bits = new Uint16Array(values.length)
  for (let i = 0; i < values.length; i++) bits[i] = halfBits(Number(values[i]), dtype)
  return bits
}
