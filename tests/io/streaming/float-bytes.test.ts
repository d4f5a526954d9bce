import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  countInfinite,
  type FloatDType,
  floatBytes,
  narrow,
  rawPart,
  widen,
} from '../../../src/io/streaming/float-bytes.js'
import { widen as widenHalves } from '../../../src/shapes/half.js'

const every = Uint16Array.from({ length: 65536 }, (_, bits) => bits)
const valuesOf = { F16: widenHalves(every, 'f16'), BF16: widenHalves(every, 'bf16') }

function widened(dtype: FloatDType, raw: ArrayBufferView, count: number): Float64Array {
  const stretch = new Uint8Array(count * 8).fill(0xee)
  rawPart(stretch, dtype, count).set(new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength))
  widen(stretch, dtype, count)
  return new Float64Array(stretch.buffer)
}

function narrowed(values: Float64Array, dtype: FloatDType): Uint8Array {
  const stretch = new Uint8Array(values.slice().buffer)
  narrow(stretch, dtype, values.length)
  return stretch.slice(0, values.length * floatBytes[dtype])
}

const halvesIn = (raw: Uint8Array) => new Uint16Array(raw.buffer)

describe.each(['F16', 'BF16'] as const)('%s', (dtype) => {
  test('all 65 536 are widened, and narrowed to themselves', () => {
    const values = widened(dtype, every, every.length)
    expect(values).toEqual(Float64Array.from(valuesOf[dtype]))
    const back = halvesIn(narrowed(values, dtype))
    const wrong = [...every].filter((bits) => {
      // NaN stays NaN; which one is not said.
      if (Number.isNaN(valuesOf[dtype][bits])) return !Number.isNaN(valuesOf[dtype][back[bits] ?? 0])
      return back[bits] !== bits
    })
    expect(wrong).toEqual([])
  })

  const finite = [...every].filter((bits) => bits < 0x8000 && Number.isFinite(valuesOf[dtype][bits]))
  const largest = finite.at(-1) ?? 0
  const value = (bits: number) => valuesOf[dtype][bits] ?? 0

  /** The nearest by looking at both neighbours; ties to the even one. */
  function nearest(x: number): number {
    const size = Math.abs(x)
    let low = 0
    let high = largest + 1
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if (value(middle) <= size) low = middle
      else high = middle
    }
    // Past the largest, the next step of the same size stands for infinity.
    const above = high > largest ? 2 * value(largest) - value(largest - 1) : value(high)
    const [below, gap] = [size - value(low), above - size]
    const bits = below < gap || (below === gap && low % 2 === 0) ? low : high
    return (x < 0 || Object.is(x, -0) ? 0x8000 : 0) | bits
  }

  test('numbers are rounded once, to the nearest, ties to even', () => {
    const exponent = fc.integer({ min: dtype === 'F16' ? -27 : -140, max: dtype === 'F16' ? 17 : 127 })
    const number = fc
      .tuple(fc.double({ min: -2, max: 2, noNaN: true }), exponent)
      .map(([fraction, power]) => fraction * 2 ** power)
    const midpoint = fc.constantFrom(...finite.slice(0, -1)).map((bits) => (value(bits) + value(bits + 1)) / 2)
    // By way of f32 such a number would become the midpoint first, and then the even neighbour.
    const beside = fc.tuple(midpoint, fc.constantFrom(-1, 1)).map(([x, sign]) => x * (1 + sign * 2 ** -40))
    fc.assert(
      fc.property(fc.array(fc.oneof(number, midpoint, beside), { minLength: 1 }), (list) => {
        expect([...halvesIn(narrowed(Float64Array.from(list), dtype))]).toEqual(list.map(nearest))
      }),
      { numRuns: 300 },
    )
  })
})

test('too large is infinite, and counted', () => {
  const values = Float64Array.of(65504, 65519.99, 65520, -1e30, Number.POSITIVE_INFINITY, Number.NaN, 0)
  const raw = narrowed(values, 'F16')
  expect([...halvesIn(raw)]).toEqual([0x7bff, 0x7bff, 0x7c00, 0xfc00, 0x7c00, 0x7e00, 0])
  expect(countInfinite(raw)).toBe(3)
})

test('32 and 64 bits', () => {
  const values = Float64Array.of(0.1, -0, 1e300, Number.NaN, 5e-324)
  expect(widened('F64', values, 5)).toEqual(values)
  expect(widened('F32', Float32Array.from(values), 5)).toEqual(Float64Array.from(Float32Array.from(values)))
  expect(new Float32Array(narrowed(values, 'F32').buffer)).toEqual(Float32Array.from(values))
  expect(new Float64Array(narrowed(values, 'F64').buffer)).toEqual(values)
})
