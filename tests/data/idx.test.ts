import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseIdx } from '../../src/data/idx.js'
import { damaged, surrounded } from '../io/damage.js'
import { formatErrorOf, readsOrRefuses } from '../io/format-error.js'

const typeBytes = { u8: 8, i8: 9, i16: 11, i32: 12, f32: 13, f64: 14 } as const

function idx(type: number, sizes: number[], data: Uint8Array): Uint8Array {
  const out = new Uint8Array(4 + 4 * sizes.length + data.length)
  out.set([0, 0, type, sizes.length])
  const view = new DataView(out.buffer)
  for (const [axis, size] of sizes.entries()) view.setUint32(4 + 4 * axis, size)
  out.set(data, 4 + 4 * sizes.length)
  return out
}

function bigEndian(size: number, values: readonly number[], set: (view: DataView, at: number, value: number) => void) {
  const view = new DataView(new ArrayBuffer(size * values.length))
  for (const [i, value] of values.entries()) set(view, i * size, value)
  return new Uint8Array(view.buffer)
}

const files = {
  u8: idx(8, [2, 1, 2], Uint8Array.of(0, 1, 254, 255)),
  i8: idx(9, [4], Uint8Array.of(0, 1, 128, 255)),
  i16: idx(
    11,
    [2],
    bigEndian(2, [258, -32768], (view, at, value) => view.setInt16(at, value)),
  ),
  i32: idx(
    12,
    [2, 1],
    bigEndian(4, [16909060, -2147483648], (view, at, value) => view.setInt32(at, value)),
  ),
  f32: idx(
    13,
    [3],
    bigEndian(4, [1.5, -0, Number.NaN], (view, at, value) => view.setFloat32(at, value)),
  ),
  f64: idx(
    14,
    [2],
    bigEndian(8, [0.1, Number.NEGATIVE_INFINITY], (view, at, value) => view.setFloat64(at, value)),
  ),
}

describe('parseIdx', () => {
  test('reads every type, wherever the bytes lie', () => {
    const expected = {
      u8: { shape: [2, 1, 2], data: Uint8Array.of(0, 1, 254, 255) },
      i8: { shape: [4], data: Int8Array.of(0, 1, -128, -1) },
      i16: { shape: [2], data: Int16Array.of(258, -32768) },
      i32: { shape: [2, 1], data: Int32Array.of(16909060, -2147483648) },
      f32: { shape: [3], data: Float32Array.of(1.5, -0, Number.NaN) },
      f64: { shape: [2], data: Float64Array.of(0.1, Number.NEGATIVE_INFINITY) },
    }
    for (const dtype of ['u8', 'i8', 'i16', 'i32', 'f32', 'f64'] as const) {
      expect(parseIdx(files[dtype])).toEqual({ dtype, ...expected[dtype] })
      expect(parseIdx(surrounded(files[dtype]))).toEqual({ dtype, ...expected[dtype] })
      expect(typeBytes[dtype]).toBe(files[dtype][2])
    }
  })

  test('8-bit values are a view of the file', () => {
    expect(parseIdx(files.u8).data.buffer).toBe(files.u8.buffer)
    expect(parseIdx(files.i8).data.buffer).toBe(files.i8.buffer)
  })

  test('a scalar and an empty array are arrays', () => {
    expect(parseIdx(idx(8, [], Uint8Array.of(7)))).toEqual({ dtype: 'u8', shape: [], data: Uint8Array.of(7) })
    expect(parseIdx(idx(13, [3, 0, 4294967295], new Uint8Array()))).toMatchObject({ data: new Float32Array() })
  })

  const huge = 4294967295
  const refusals: [string, Uint8Array, number, RegExp][] = [
    ['an empty file', new Uint8Array(), 0, /at least 4 bytes, got 0/],
    ['a file of three bytes', new Uint8Array(3), 3, /at least 4 bytes, got 3/],
    ['gzip', Uint8Array.of(0x1f, 0x8b, 8, 0), 0, /two zero bytes, this does not; unpack it/],
    ['a second byte that is not zero', Uint8Array.of(0, 1, 8, 0, 0), 1, /two zero bytes/],
    ['an unknown type', idx(10, [1], Uint8Array.of(1)), 2, /type byte is 10, expected 8, 9, 11, 12, 13 or 14/],
    [
      'a header cut short',
      idx(8, [1, 1], new Uint8Array()).slice(0, 9),
      9,
      /ends after 9 bytes, inside the sizes of its 2/,
    ],
    ['255 axes that are not there', Uint8Array.of(0, 0, 8, 255, 0, 0, 0, 1), 8, /of its 255 axes/],
    [
      'too few values',
      idx(12, [2], new Uint8Array(7)),
      15,
      /\[2\] of 4-byte values need 8 bytes, but 7 follow; it is cut/,
    ],
    ['too many values', idx(12, [2], new Uint8Array(9)), 16, /need 8 bytes, but 9 follow; it is damaged/],
    ['values after an empty array', idx(8, [0], Uint8Array.of(1)), 8, /need 0 bytes, but 1 follow/],
    ['4 GiB that are not there', idx(8, [huge], Uint8Array.of(1)), 9, /need 4294967295 bytes, but 1 follow/],
    ['more than 2^53 values', idx(8, [huge, huge], Uint8Array.of(1)), 13, /need more than 2\^53 bytes/],
    [
      'sizes whose product overflows any number',
      idx(14, new Array(255).fill(huge), Uint8Array.of(1)),
      1025,
      /2\^53 bytes/,
    ],
    ['more than 2^53 bytes', idx(14, [huge, 2097152], Uint8Array.of(1)), 13, /need more than 2\^53 bytes/],
  ]

  test.each(refusals)('refuses %s', (_, bytes, offset, message) => {
    for (const copy of [bytes, surrounded(bytes)]) {
      const error = formatErrorOf(() => parseIdx(copy, 'digits'), copy.length)
      expect(error.message).toMatch(message)
      expect(error.message).toMatch(/^digits: .+; .+/)
      expect(error).toMatchObject({ offset, op: 'parseIdx', path: 'digits' })
    }
  })

  test('what has been written is read back', () => {
    const sizes = fc.array(fc.nat({ max: 4 }), { maxLength: 6 })
    fc.assert(
      fc.property(fc.constantFrom('u8', 'i8', 'i16', 'i32', 'f32', 'f64'), sizes, (dtype, shape) => {
        const count = shape.reduce((product, size) => product * size, 1)
        const width = { u8: 1, i8: 1, i16: 2, i32: 4, f32: 4, f64: 8 }[dtype]
        const data = Uint8Array.from({ length: count * width }, (_, i) => (i * 151) % 256)
        const array = parseIdx(surrounded(idx(typeBytes[dtype], shape, data)))
        expect(array).toMatchObject({ dtype, shape })
        expect(array.data.length).toBe(count)
        const bytes = new Uint8Array(array.data.buffer, array.data.byteOffset, array.data.byteLength)
        const firstSwapped = width === 1 ? bytes.subarray(0, 1) : bytes.slice(0, width).reverse()
        expect([...firstSwapped]).toEqual([...data.slice(0, count === 0 ? 0 : width)])
      }),
    )
  })

  test('damaged files are refused with an offset, or read without leaving the file', () => {
    let refused = 0
    fc.assert(
      fc.property(damaged(Object.values(files)), (bytes) => {
        const copy = surrounded(bytes)
        const array = readsOrRefuses(() => parseIdx(copy), copy.length)
        if (array === undefined) refused++
        else expect(array.data.byteLength).toBeLessThanOrEqual(copy.length)
      }),
      { numRuns: 5000 },
    )
    expect(refused).toBeGreaterThan(1000)
  })
})
