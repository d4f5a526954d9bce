const f64 = new Float64Array(1)
const words = new Uint32Array(f64.buffer)
const lowWord = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 0 : 1

/**
 * `a · b + c` on f32 values, rounded once.
 *
 * The product of two f32 is exact in f64. Rounding the sum to f64 and again to f32 would round twice, so an
 * inexact f64 sum is first made odd in its last bit ("round to odd": Boldo and Melquiond, 2008); f64 has more
 * than two bits to spare over f32, which makes the second rounding the only one that counts.
 */
export function fmaF32(a: number, b: number, c: number): number {
  const product = a * b
  const sum = product + c
  if (!Number.isFinite(sum)) return Math.fround(sum)
  // Knuth's two-sum: what the f64 addition lost, exactly.
  const added = sum - product
  const lost = product - (sum - added) + (c - added)
  return Math.fround(lost === 0 ? sum : roundToOdd(sum, lost))
}

/** The one of the two f64 around the exact `sum + lost` whose last bit is 1. */
function roundToOdd(sum: number, lost: number): number {
  f64[0] = sum
  if (((words[lowWord] ?? 0) & 1) === 1) return sum
  // An even last bit never borrows or carries beyond the low word: going away adds 1; going towards zero
  // takes the neighbour below, whose low word wraps from 0 to 0xffffffff and needs the high word's borrow.
  if (sum > 0 === lost > 0) words[lowWord] = (words[lowWord] ?? 0) + 1
  else {
    const low = words[lowWord] ?? 0
    if (low === 0) words[1 - lowWord] = (words[1 - lowWord] ?? 0) - 1
    words[lowWord] = low - 1
  }
  return f64[0] ?? 0
}
