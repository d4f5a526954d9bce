/**
 * Floats of files made f64 and back where they lie, without other memory: raw elements at the end of a stretch become f64
 * ones that fill it, and these become raw ones at its start. Each loop reads an element before it overwrites it.
 */
import { widen as widenHalves } from '../../shapes/half.js'
import type { FileDType } from '../raw-tensor.js'

/** The element types that are averaged, and their sizes; 8-bit floats and complex numbers are not among them. */
export const floatBytes = { F16: 2, BF16: 2, F32: 4, F64: 8 } as const
export type FloatDType = keyof typeof floatBytes
/** What sums are kept in. */
export type Wide = 'f32' | 'f64'

export function isFloatDType(dtype: FileDType): dtype is FloatDType {
  return Object.hasOwn(floatBytes, dtype)
}

/** The part of a stretch of `count` f64 elements where raw elements must lie for `widen`. */
export function rawPart(stretch: Uint8Array, dtype: FloatDType, count: number): Uint8Array {
  const end = count * floatBytes.F64
  return stretch.subarray(end - count * floatBytes[dtype], end)
}

/** Turns the raw elements in `rawPart` into `count` f64 ones; exact. */
export function widen(stretch: Uint8Array, dtype: FloatDType, count: number): void {
  if (dtype === 'F64') return
  const out = new Float64Array(stretch.buffer, stretch.byteOffset, count)
  const raw = rawPart(stretch, dtype, count)
  if (dtype === 'F32') copyInto(out, singles(raw, count))
  else lookUp(out, halves(raw, count), numbersOf(dtype))
}

/** Turns `count` f64 elements into raw ones at the start of the stretch, rounded once to the nearest, ties to even. */
export function narrow(stretch: Uint8Array, dtype: FloatDType, count: number): void {
  const values = new Float64Array(stretch.buffer, stretch.byteOffset, count)
  if (dtype === 'F32') copyInto(singles(stretch, count), values)
  else if (dtype === 'F16') roundToHalf(halves(stretch, count), values, 10, 15)
  else if (dtype === 'BF16') roundToHalf(halves(stretch, count), values, 7, 127)
}

/** How many elements of F16 bytes are infinite: their largest number is 65504. */
export function countInfinite(bytes: Uint8Array): number {
  const bits = halves(bytes, bytes.length / 2)
  let found = 0
  for (let i = 0; i < bits.length; i++) if (((bits[i] ?? 0) & 0x7fff) === 0x7c00) found++
  return found
}

const halves = (bytes: Uint8Array, count: number) => new Uint16Array(bytes.buffer, bytes.byteOffset, count)
const singles = (bytes: Uint8Array, count: number) => new Float32Array(bytes.buffer, bytes.byteOffset, count)

const tables = new Map<'F16' | 'BF16', Float64Array>()

/** The numbers that the 65 536 patterns of bits stand for. */
function numbersOf(dtype: 'F16' | 'BF16'): Float64Array {
  const every = Uint16Array.from({ length: 65536 }, (_, bits) => bits)
  const table = tables.get(dtype) ?? Float64Array.from(widenHalves(every, dtype === 'F16' ? 'f16' : 'bf16'))
  tables.set(dtype, table)
  return table
}

function lookUp(out: Float64Array, raw: Uint16Array, table: Float64Array): void {
  for (let i = 0; i < out.length; i++) out[i] = table[raw[i] ?? 0] ?? 0
}
function copyInto(out: Float64Array | Float32Array, values: Float64Array | Float32Array): void {
  for (let i = 0; i < out.length; i++) out[i] = values[i] ?? 0
}

const number = new Float64Array(1)
const numberWords = new Uint32Array(number.buffer)
const highWord = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0
/** Adding it leaves no bits for a fraction: the sum is rounded to a whole number, ties to even. */
const wholeNumbers = 2 ** 52

/** From f64 to 16 bits with so many bits of fraction and this exponent bias; by way of f32 it would be rounded twice. */
function roundToHalf(out: Uint16Array, values: Float64Array, fraction: number, bias: number): void {
  const least = 1 - bias
  const infinity = (2 * bias + 1) << fraction
  const quiet = 1 << (fraction - 1)
  for (let i = 0; i < out.length; i++) {
    number[0] = values[i] ?? 0
    const high = numberWords[highWord] ?? 0
    const size = Math.abs(number[0])
    const exponent = Math.max(least, ((high >>> 20) & 0x7ff) - 1023)
    let bits = Number.isNaN(size) ? infinity | quiet : infinity
    // The fraction with its leading one, which adds 1 to the exponent field; all of it is exact but the one rounding.
    if (exponent <= bias)
      bits = ((exponent - least) << fraction) + (size * 2 ** (fraction - exponent) + wholeNumbers - wholeNumbers)
    out[i] = ((high >>> 16) & 0x8000) | bits
  }
}
