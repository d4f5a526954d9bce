/** Widens 16-bit floats, given as their bits; exact, NaN payloads kept. */
export function widenFloat16(bits: Uint16Array): Float32Array {
  const out = new Uint32Array(bits.length)
  const values = new Float32Array(out.buffer)
  for (let i = 0; i < bits.length; i++) {
    const half = bits[i] ?? 0
    const sign = (half & 0x8000) << 16
    const exponent = (half >> 10) & 0x1f
    const fraction = half & 0x3ff
    if (exponent === 0) {
      // Zero or subnormal: a multiple of 2^-24, which f32 holds as a normal number.
      values[i] = fraction * 2 ** -24
      out[i] = (out[i] ?? 0) | sign
    } else {
      // The exponents' biases are 15 and 127; infinity and NaN have all exponent bits set in both.
      out[i] = sign | ((exponent === 0x1f ? 0xff : exponent + 112) << 23) | (fraction << 13)
    }
  }
  return values
}

/** Widens bfloat16, the upper half of an f32, given as its bits. */
export function widenBfloat16(bits: Uint16Array): Float32Array {
  const out = new Uint32Array(bits.length)
  for (let i = 0; i < bits.length; i++) out[i] = (bits[i] ?? 0) << 16
  return new Float32Array(out.buffer)
}
