import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseNpy, writeNpy } from '../../src/io/npy.js'
import { decode, elementCount, fileDTypeSize, hostDType, type RawTensor } from '../../src/io/raw-tensor.js'
import { FormatError } from '../../src/tensor/errors.js'
import { damaged, surrounded } from './damage.js'
import { expected, fixture, fixtureNames } from './fixtures.js'
import { decodesOrRefuses, formatErrorOf, readsOrRefuses, thrownBy } from './format-error.js'

const refusedFixtures = ['complex', 'fortran', 'structured']
const sameWhenWritten = Object.keys(expected.npy).filter((name) => !/big-endian|python-2|version-2/.test(name))

function file(header: string, dataLength = 0, version = 1): Uint8Array {
  const text = new TextEncoder().encode(header)
  const prefix = version === 1 ? 10 : 12
  const out = new Uint8Array(prefix + text.length + dataLength)
  out.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0])
  const view = new DataView(out.buffer)
  if (version === 1) view.setUint16(8, text.length, true)
  else view.setUint32(8, text.length, true)
  out.set(text, prefix)
  return out
}

describe('files written by NumPy', () => {
  test('the fixtures and the list of their values are complete', () => {
    expect(fixtureNames('.npy').map((name) => name.replace('.npy', ''))).toEqual(
      [...Object.keys(expected.npy), ...refusedFixtures].sort(),
    )
  })

  test.each(Object.entries(expected.npy))('%s: shape and values', (name, { shape, values }) => {
    for (const bytes of [fixture(`${name}.npy`), surrounded(fixture(`${name}.npy`))]) {
      const raw = parseNpy(bytes)
      expect(raw.shape).toEqual(shape)
      expect([...decode(raw, hostDType(raw.dtype) ?? expect.unreachable(raw.dtype))]).toEqual(values.map(Number))
    }
  })

  test.each(sameWhenWritten)('%s: written again it is the same file', (name) => {
    const bytes = fixture(`${name}.npy`)
    expect(writeNpy(parseNpy(bytes))).toEqual(new Uint8Array(bytes))
  })

  test('what dfdt has no tensors for is refused with a remedy', () => {
    const refused = refusedFixtures.map((name) => {
      const bytes = fixture(`${name}.npy`)
      return formatErrorOf(() => parseNpy(bytes, `${name}.npy`), bytes.length).message
    })
    expect(refused).toEqual([
      "complex.npy: the array's dtype is \"<c8\", expected f2 f4 f8, i1 to i8, u1 to u8 or b1; convert it with array.astype('<f4')",
      'fortran.npy: the array is stored column by column (fortran_order); write numpy.ascontiguousarray(array) instead',
      'structured.npy: the array is structured, expected plain numbers; save each field as an array of its own',
    ])
  })
})

describe('parseNpy', () => {
  const header = (descr: string, shape: string) =>
    `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }\n`

  test('accepts the header in any order and spelling Python allows', () => {
    const raw = parseNpy(file(`{"shape":(2 , 1),'fortran_order':False,"descr":"=f4"}  `, 8))
    expect(raw).toMatchObject({ dtype: 'F32', shape: [2, 1], origin: { name: 'array', offset: 65 } })
  })

  const refusals: [string, Uint8Array, number, RegExp][] = [
    ['an empty file', new Uint8Array(), 0, /begins with \\x93NUMPY/],
    ['a zip', Uint8Array.of(0x50, 0x4b, 3, 4), 0, /an \.npz is a zip/],
    ['a damaged first bytes', Uint8Array.of(0x93, 0x4e, 0x55, 0), 3, /begins with/],
    ['a file that ends in its prefix', file('').slice(0, 9), 9, /ends after 9 bytes, inside its header/],
    ['version 3', file('{}', 9, 3), 6, /version 3\.0, expected 1\.0 or 2\.0/],
    [
      'a header longer than the file',
      file(header('<f4', '()')).slice(0, 40),
      8,
      /header length is 56, but 30 bytes follow/,
    ],
    ['a header of 4 GiB', file('{}', 0, 2).fill(0xff, 8, 12), 8, /header length is 4294967295, but 2 bytes follow/],
    ['a header that is not a dict', file('[1, 2, 3]'), 10, /expected "\{", found "\[1, 2, 3\]"/],
    ['deep nesting', file(`{'shape': ${'('.repeat(60000)}`), 21, /a non-negative integer/],
    ['a missing key', file("{'descr': '<f4', 'shape': (), }"), 10, /needs descr, fortran_order and shape/],
    ['a repeated key', file("{'descr': '<f4', 'descr': '<f4'}"), 10, /unknown or repeated key "descr"/],
    ['an unknown key', file("{'__proto__': 1}"), 10, /unknown or repeated key "__proto__"/],
    ['a text without end', file("{'descr"), 11, /expected a string, found "'descr"/],
    ['a truth value that is none', file("{'fortran_order': Maybe}"), 28, /True or False, found "Maybe\}"/],
    ['text after the header', file(`${header('<f4', '()')}x`, 4), 66, /the end of the header, found "x"/],
    ['an unknown order', file(header('?f4', '()'), 4), 10, /dtype is "\?f4"/],
    ['the name of an object property', file(header('<constructor', '()'), 4), 10, /dtype is "<constructor"/],
    ['text', file(header('<U3', '(1,)'), 12), 10, /dtype is "<U3"/],
    ['objects', file(header('|O', '(1,)'), 12), 10, /dtype is "\|O"/],
    ['a negative size', file(header('<f4', '(-1,)'), 4), 61, /non-negative integer below 2\^53, found "-1,\), \}/],
    ['a fraction', file(header('<f4', '(1.5,)'), 4), 62, /expected "\)"/],
    ['a size beyond 2^53', file(header('<f4', '(9007199254740992,)'), 4), 61, /below 2\^53/],
    [
      'a product beyond 2^53',
      file(header('<f4', '(9007199254740991, 3)'), 4),
      89,
      /more than 2\^53 bytes, but 4 follow/,
    ],
    ['too few bytes', file(header('<f4', '(2,)'), 7), 75, /<f4 \[2\], 8 bytes, but 7 follow/],
    ['too many bytes', file(header('<f4', '(2,)'), 9), 76, /8 bytes, but 9 follow/],
  ]

  test.each(refusals)('refuses %s', (_, bytes, offset, message) => {
    for (const copy of [bytes, surrounded(bytes)]) {
      const error = formatErrorOf(() => parseNpy(copy), copy.length)
      expect(error.message).toMatch(message)
      expect(error.message).toMatch(/^npy: .+; .+/)
      expect(error.message.length).toBeLessThan(300)
      expect(error).toMatchObject({ offset, op: 'parseNpy' })
    }
  })

  test('damaged files are refused with an offset, or read without leaving the file', () => {
    const files = fixtureNames('.npy').map(fixture)
    let refused = 0
    fc.assert(
      fc.property(damaged(files), (bytes) => {
        const copy = surrounded(bytes)
        const raw = readsOrRefuses(() => parseNpy(copy), copy.length)
        if (raw === undefined) refused++
        else {
          expect(raw.bytes.byteLength).toBeLessThanOrEqual(copy.byteLength)
          expect(raw.bytes.byteLength).toBe((elementCount(raw.shape) ?? -1) * fileDTypeSize(raw.dtype))
          decodesOrRefuses(() => decode(raw, hostDType(raw.dtype) ?? 'f32'))
        }
      }),
      { numRuns: 5000 },
    )
    expect(refused).toBeGreaterThan(1000)
  })
})

describe('writeNpy', () => {
  test('what is written is read back, aligned to 64 bytes', () => {
    const dtypes = ['F64', 'F32', 'F16', 'I64', 'I32', 'I16', 'I8', 'U64', 'U32', 'U16', 'U8', 'BOOL'] as const
    const shapes = fc.array(fc.nat({ max: 3 }), { maxLength: 32 }).filter((shape) => (elementCount(shape) ?? 1e9) < 1e4)
    fc.assert(
      fc.property(fc.constantFrom(...dtypes), shapes, (dtype, shape) => {
        const length = (elementCount(shape) ?? 0) * fileDTypeSize(dtype)
        const bytes = Uint8Array.from({ length }, (_, i) => (i * 151) % 256)
        const back = parseNpy(surrounded(writeNpy({ dtype, shape, bytes })))
        expect({ ...back, bytes: new Uint8Array(back.bytes) }).toMatchObject({ dtype, shape, bytes })
        expect((back.origin?.offset ?? 1) % 64).toBe(0)
      }),
    )
  })

  test('a header too long for version 1 is written as version 2', () => {
    const wide: RawTensor = { dtype: 'U8', shape: new Array<number>(30_000).fill(1), bytes: Uint8Array.of(7) }
    const bytes = writeNpy(wide)
    expect(bytes[6]).toBe(2)
    expect(parseNpy(bytes)).toMatchObject({ dtype: 'U8', shape: wide.shape, bytes: wide.bytes })
  })

  test('refuses what NumPy has no type for, and damaged tensors', () => {
    const error = thrownBy(() => writeNpy({ dtype: 'BF16', shape: [1], bytes: new Uint8Array(2) }))
    expect(error).toBeInstanceOf(FormatError)
    expect(error).toMatchObject({
      message: 'writeNpy: NumPy has no type for BF16; decode it as f32 and encode that',
    })
    expect(thrownBy(() => writeNpy({ dtype: 'F32', shape: [1], bytes: new Uint8Array(5) }))).toBeInstanceOf(FormatError)
  })
})
