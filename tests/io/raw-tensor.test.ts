import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decode, encode, type FileDType, fileDTypeNames, hostDType, type RawTensor } from '../../src/io/raw-tensor.js'
import { widen } from '../../src/shapes/half.js'
import type { DType } from '../../src/tensor/dtype.js'
import { DTypeError, FormatError, ShapeError } from '../../src/tensor/errors.js'
import { surrounded } from './damage.js'
import { thrownBy } from './format-error.js'

const allBits = Uint16Array.from({ length: 0x10000 }, (_, i) => i)

function raw(dtype: FileDType, values: ArrayBufferView, length: number, origin?: RawTensor['origin']): RawTensor {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  return { dtype, shape: [length], bytes, ...(origin === undefined ? {} : { origin }) }
}

describe('16-bit floats', () => {
  test('every F16 pattern has the value its definition gives', () => {
    const wide = widen(allBits, 'f16')
    for (const bits of allBits) {
      const sign = bits >> 15 ? -1 : 1
      const exponent = (bits >> 10) & 31
      const fraction = (bits & 1023) / 1024
      const value =
        exponent === 31
          ? fraction === 0
            ? sign * Number.POSITIVE_INFINITY
            : Number.NaN
          : exponent === 0
            ? sign * fraction * 2 ** -14
            : sign * (1 + fraction) * 2 ** (exponent - 15)
      if (!Object.is(wide[bits], value)) expect.unreachable(`0x${bits.toString(16)}: ${wide[bits]} is not ${value}`)
    }
  })

  test('every BF16 pattern is the upper half of its f32', () => {
    const bits = new Uint32Array(widen(allBits, 'bf16').buffer)
    expect(bits.every((wide, i) => wide === i * 0x10000)).toBe(true)
  })

  test('the payload of an F16 NaN is kept', () => {
    expect(new Uint32Array(widen(Uint16Array.of(0x7e01, 0xfe55), 'f16').buffer)).toEqual(
      Uint32Array.of(0x7fc02000, 0xffcaa000),
    )
  })
})

describe('decode', () => {
  const dtypes: readonly DType[] = ['f64', 'f32', 'f16', 'bf16', 'i32', 'u32', 'bool']
  const accepted: Readonly<Record<DType, readonly FileDType[]>> = {
    f64: ['F64', 'F32', 'F16', 'BF16'],
    f32: ['F32', 'F16', 'BF16'],
    f16: ['F16'],
    bf16: ['BF16'],
    i32: ['I64', 'I32', 'I16', 'I8', 'U64', 'U32', 'U16', 'U8'],
    u32: ['I64', 'I32', 'I16', 'I8', 'U64', 'U32', 'U16', 'U8'],
    bool: ['BOOL'],
  }

  test.each(dtypes)('%s reads exactly the types that it holds without loss', (as) => {
    for (const dtype of fileDTypeNames) {
      const empty: RawTensor = { dtype, shape: [0], bytes: new Uint8Array() }
      const error = thrownBy(() => decode(empty, as))
      if (accepted[as].includes(dtype)) expect(error).toBeUndefined()
      else expect(error, `${dtype} as ${as}`).toBeInstanceOf(DTypeError)
    }
  })

  test('the dtype a type is read as by default can read it', () => {
    for (const dtype of fileDTypeNames) {
      const as = hostDType(dtype)
      if (as !== undefined) expect(accepted[as]).toContain(dtype)
    }
    expect(fileDTypeNames.filter((dtype) => hostDType(dtype) === undefined)).toEqual([
      'F8_E5M2',
      'F8_E4M3',
      'F8_E8M0',
      'F8_E4M3FNUZ',
      'F8_E5M2FNUZ',
      'C64',
    ])
  })

  test('a refusal says what to do instead', () => {
    const double = raw('F64', Float64Array.of(0.1), 1, { name: '0.weight', offset: 80 })
    expect(() => decode(double, 'f32')).toThrowError(
      'decode: "0.weight" is F64, which f32 does not hold exactly; read it as f64, then cast',
    )
    const byte = { dtype: 'F8_E4M3', shape: [1], bytes: new Uint8Array(1) } as const
    expect(() => decode(byte, 'f32')).toThrowError(
      'decode: the tensor is F8_E4M3, which f32 does not hold exactly; write it again in a type that has one',
    )
  })

  test('integers that fit are read, the first that does not is named', () => {
    const edges = raw('I64', BigInt64Array.of(2147483647n, -2147483648n, -1n, 0n), 4)
    expect(decode(edges, 'i32')).toEqual(Int32Array.of(2147483647, -2147483648, -1, 0))
    expect(decode(raw('U64', BigUint64Array.of(4294967295n), 1), 'u32')).toEqual(Uint32Array.of(4294967295))
    const refused: [RawTensor, DType, number, string][] = [
      [
        raw('I64', BigInt64Array.of(1n, 2147483648n), 2, { name: 'n', offset: 100 }),
        'i32',
        108,
        '2147483648 at element 1',
      ],
      [raw('I64', BigInt64Array.of(-2147483649n), 1, { name: 'n', offset: 0 }), 'i32', 0, '-2147483649 at element 0'],
      [raw('U64', BigUint64Array.of(2n ** 64n - 1n), 1), 'u32', 0, '18446744073709551615 at element 0'],
      [raw('U64', BigUint64Array.of(2n ** 53n + 1n), 1), 'u32', 0, '9007199254740993 at element 0'],
      [raw('I8', Int8Array.of(3, -1), 2), 'u32', 1, '-1 at element 1'],
      [raw('U32', Uint32Array.of(4294967295), 1), 'i32', 0, '4294967295 at element 0'],
    ]
    for (const [tensor, as, offset, text] of refused) {
      const error = thrownBy(() => decode(tensor, as))
      expect(error).toBeInstanceOf(FormatError)
      expect(error).toMatchObject({ offset, message: expect.stringContaining(text) })
    }
  })

  test('a BOOL that is neither 0 nor 1 is refused at its byte', () => {
    const error = thrownBy(() => decode(raw('BOOL', Uint8Array.of(1, 0, 2), 3, { name: 'mask', offset: 50 }), 'bool'))
    expect(error).toBeInstanceOf(FormatError)
    expect(error).toMatchObject({ offset: 52, message: expect.stringContaining('"mask" holds 2 at element 2') })
  })

  test('bytes that are not those of the shape are refused', () => {
    const short: RawTensor = { dtype: 'F32', shape: [2], bytes: new Uint8Array(7) }
    expect(thrownBy(() => decode(short, 'f32'))).toBeInstanceOf(FormatError)
    const absurd: RawTensor = { dtype: 'F32', shape: [2 ** 40, 2 ** 40], bytes: new Uint8Array(8) }
    expect(() => decode(absurd, 'f32')).toThrowError(/too many bytes/)
    const negative: RawTensor = { dtype: 'F32', shape: [-1, -2], bytes: new Uint8Array(8) }
    expect(thrownBy(() => decode(negative, 'f32'))).toBeInstanceOf(FormatError)
  })

  test('aligned bytes are not copied, others are, also in a Node Buffer', () => {
    const values = Float32Array.of(1, 2, 3)
    expect(decode(raw('F32', values, 3), 'f32').buffer).toBe(values.buffer)
    const misaligned = surrounded(new Uint8Array(values.buffer))
    for (const bytes of [misaligned, Buffer.from(misaligned.buffer, misaligned.byteOffset, misaligned.byteLength)]) {
      expect(decode({ dtype: 'F32', shape: [3], bytes }, 'f32')).toEqual(values)
    }
  })
})

describe('encode', () => {
  test('decode gives the values back, bit for bit', () => {
    const bits32 = fc.uint32Array({ maxLength: 20 })
    const bits64 = fc.bigUint64Array({ maxLength: 20 })
    fc.assert(
      fc.property(bits32, bits64, (words, longs) => {
        const cases = {
          f32: new Float32Array(words.buffer, words.byteOffset, words.length),
          f64: new Float64Array(longs.buffer, longs.byteOffset, longs.length),
          i32: new Int32Array(words.buffer, words.byteOffset, words.length),
          u32: words,
          bool: words.map((word) => word & 1),
        }
        for (const as of ['f32', 'f64', 'i32', 'u32', 'bool'] as const) {
          const values = cases[as]
          const encoded = encode(values, as, [values.length])
          const back = decode({ ...encoded, bytes: surrounded(encoded.bytes) }, as)
          expect(bytesOf(back)).toEqual(bytesOf(values))
        }
      }),
    )
  })

  test('a BOOL takes one byte', () => {
    expect(encode(Uint32Array.of(1, 0, 1), 'bool', [3]).bytes).toEqual(Uint8Array.of(1, 0, 1))
  })

  test('refuses what would be stored as something else', () => {
    expect(() => encode(Float32Array.of(1, 2), 'f32', [3])).toThrowError(ShapeError)
    expect(() => encode(Float32Array.of(), 'f32', [-1, 0.5])).toThrowError(ShapeError)
    expect(() => encode(Uint32Array.of(1, 256), 'bool', [2])).toThrowError(
      'encode: a bool is 0 or 1, element 1 is 256; compare with 0 first',
    )
    // @ts-expect-error an f32 array is not f64's
    expect(() => encode(Float32Array.of(1), 'f64', [1])).toThrowError(DTypeError)
  })
})

function bytesOf(values: ArrayBufferView): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}
