import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decode,
  elementCount,
  encode,
  fileDTypeNames,
  fileDTypeSize,
  hostDType,
  type RawTensor,
} from '../../src/io/raw-tensor.js'
import { parseSafetensors, writeSafetensors } from '../../src/io/safetensors.js'
import { FormatError } from '../../src/tensor/errors.js'
import { damaged, surrounded } from './damage.js'
import { expected, fixture, fixtureNames } from './fixtures.js'
import { decodesOrRefuses, formatErrorOf, readsOrRefuses, thrownBy } from './format-error.js'

function file(header: string | Uint8Array, dataLength = 0, headerLength?: bigint): Uint8Array {
  const text = typeof header === 'string' ? new TextEncoder().encode(header) : header
  const out = new Uint8Array(8 + text.length + dataLength)
  new DataView(out.buffer).setBigUint64(0, headerLength ?? BigInt(text.length), true)
  out.set(text, 8)
  return out
}

describe('files written by Python', () => {
  test('the fixtures and the list of their values are complete', () => {
    expect(fixtureNames('.safetensors').map((name) => name.replace('.safetensors', ''))).toEqual(
      Object.keys(expected.safetensors).sort(),
    )
  })

  test.each(Object.entries(expected.safetensors))('%s: names, shapes, values, metadata', (name, golden) => {
    const { metadata, tensors } = parseSafetensors(fixture(`${name}.safetensors`))
    expect(metadata).toEqual(golden.metadata)
    expect([...tensors.keys()].sort()).toEqual(Object.keys(golden.tensors).sort())
    for (const [key, raw] of tensors) {
      const { shape, values } = golden.tensors[key] ?? expect.unreachable(key)
      expect(raw.shape).toEqual(shape)
      const as = hostDType(raw.dtype) ?? expect.unreachable(raw.dtype)
      if (key.startsWith('wide.')) {
        expect(() => decode(raw, as)).toThrowError(String(values.at(-1)))
      } else {
        // F32 is listed by its nearest double, F16 and BF16 too: all exact.
        expect([...decode(raw, as)]).toEqual(values.map(Number))
      }
    }
  })

  test.each(Object.keys(expected.safetensors))('%s: written again it is the same file', (name) => {
    const bytes = fixture(`${name}.safetensors`)
    const { metadata, tensors } = parseSafetensors(bytes)
    const reversed = new Map([...tensors].reverse())
    expect(writeSafetensors(reversed, metadata)).toEqual(new Uint8Array(bytes))
  })

  test('a state_dict has PyTorch names', () => {
    const { tensors, metadata } = parseSafetensors(fixture('state-dict.safetensors'))
    expect(metadata).toEqual({ format: 'pt' })
    expect([...tensors].map(([name, { dtype, shape }]) => `${name} ${dtype} [${shape}]`)).toEqual([
      '1.num_batches_tracked I64 []',
      '0.bias F32 [3]',
      '0.weight F32 [3,4]',
      '1.bias F32 [3]',
      '1.running_mean F32 [3]',
      '1.running_var F32 [3]',
      '1.weight F32 [3]',
      '3.bias F32 [2]',
      '3.weight F32 [2,3]',
    ])
  })
})

describe('parseSafetensors', () => {
  test('tensors are views that know where they lie', () => {
    const bytes = surrounded(fixture('dtypes.safetensors'))
    for (const [name, raw] of parseSafetensors(bytes).tensors) {
      expect(raw.bytes.buffer).toBe(bytes.buffer)
      expect(raw.origin).toEqual({ name, offset: raw.bytes.byteOffset - bytes.byteOffset })
    }
  })

  test('reads shared memory', () => {
    const bytes = fixture('state-dict.safetensors')
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length))
    shared.set(bytes)
    expect(parseSafetensors(shared).tensors.size).toBe(9)
  })

  test('accepts what the format allows: any order, spaces, escapes, empty tensors anywhere, types it only passes on', () => {
    const header = ` { "b" : { "data_offsets" : [ 4 , 8 ] , "shape" : [ ] , "dtype" : "F32" } ,
      "\\u0061\\/\\ud83d\\ude00": {"dtype":"F8_E4M3","shape":[2,2],"data_offsets":[0,4]},
      "__metadata__": {"__proto__": "p", "1": ""},
      "z":{"dtype":"U8","shape":[0,9],"data_offsets":[4,4]},"y":{"dtype":"C64","shape":[0],"data_offsets":[8,8]} } \n`
    const { tensors, metadata } = parseSafetensors(file(header.trimStart(), 8))
    expect([...tensors.keys()]).toEqual(['b', 'a/😀', 'z', 'y'])
    expect(Object.entries(metadata)).toEqual([
      ['1', ''],
      ['__proto__', 'p'],
    ])
    const again = parseSafetensors(writeSafetensors(tensors, metadata))
    expect(again.tensors.get('a/😀')).toMatchObject({ dtype: 'F8_E4M3', shape: [2, 2] })
    expect(Object.entries(again.metadata)).toEqual(Object.entries(metadata))
  })

  const one = (fields: string) => `{"w":{${fields}}}`
  const w = '"dtype":"F32","shape":[2],"data_offsets":[0,8]'
  const pair = (a: string, b: string, shape = '[1]') =>
    `{"a":{"dtype":"F32","shape":${shape},"data_offsets":${a}},"b":{"dtype":"F32","shape":${shape},"data_offsets":${b}}}`

  const refusals: [string, Uint8Array, number, RegExp][] = [
    ['an empty file', new Uint8Array(), 0, /expected 8 bytes of header length, got 0/],
    ['a file shorter than the length', new Uint8Array(7), 7, /got 7 bytes/],
    ['a header length of zero', file(''), 8, /must begin with "\{"/],
    ['a huge header length', file('{}', 0, 2n ** 64n - 1n), 0, /18446744073709551615, expected at most 100000000/],
    ['a header longer than the file', file('{}', 0, 3n), 0, /header length is 3, but 2 bytes follow/],
    ['a header shorter than its JSON', file(one(w), 8, 6n), 14, /expected a string, found the end of the header/],
    ['an array', file('[]'), 8, /must begin with/],
    ['a byte order mark', file('\ufeff{}'), 8, /must begin with/],
    ['invalid UTF-8', file(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)), 8, /not UTF-8/],
    ['deep nesting', file(`{"a":${'['.repeat(1e6)}`), 13, /tensor "a" to be an object, "\{", found "\[{12}"/],
    ['deep nesting of objects', file('{"a":'.repeat(1e5)), 14, /tensor "a" has a field "a"/],
    ['text after the header', file('{} {}'), 11, /expected the end of the header, found "\{\}"/],
    ['a comma too many', file('{"__metadata__":{},}'), 27, /expected a string, found "\}"/],
    ['a name without end', file('{"abc'), 9, /does not end/],
    ['a control character in a name', file('{"a\n":1}'), 9, /does not end/],
    ['a wrong escape', file('{"a\\x":1}'), 9, /wrong escape/],
    ['half a surrogate pair', file('{"a\\ud800":1}'), 9, /wrong escape/],
    ['null for a tensor', file('{"é":null}'), 14, /tensor "é" to be an object, "\{", found "null\}"/],
    ['metadata that is not an object', file('{"__metadata__":"x"}'), 24, /"__metadata__" to be an object/],
    ['metadata that is not text', file('{"__metadata__":{"a":1}}'), 29, /expected a string, found "1\}\}"/],
    ['metadata given twice', file('{"__metadata__":{},"__metadata__":{}}'), 27, /"__metadata__" twice/],
    ['a metadata key twice', file('{"__metadata__":{"a":"","a":""}}'), 32, /has the key "a" twice/],
    ['a tensor twice', file(`{"w":{${w}},"\\u0077":{${w}}}`, 8), 62, /the header has the key "w" twice/],
    ['a field twice', file(one(`"dtype":"F32",${w}`), 8), 28, /tensor "w" has the key "dtype" twice/],
    ['a shape twice', file(one(`"shape":[],${w}`), 8), 39, /tensor "w" has the key "shape" twice/],
    ['offsets twice', file(one(`${w},"data_offsets":[0,8]`), 8), 61, /the key "data_offsets" twice/],
    ['a field unknown to the format', file(one(`${w},"strides":[1]`), 8), 61, /has a field "strides"/],
    ['a tensor without shape', file(one('"dtype":"F32","data_offsets":[0,8]'), 8), 9, /"w" needs a dtype, a shape and/],
    ['three offsets', file(one('"dtype":"F32","shape":[2],"data_offsets":[0,8,8]'), 8), 9, /two data_offsets/],
    ['one offset', file(one('"dtype":"F32","shape":[2],"data_offsets":[0]'), 8), 9, /two data_offsets/],
    ['an unknown dtype', file(one(w.replace('F32', 'F4')), 8), 22, /dtype "F4", expected one of BOOL U8 .* U64;/],
    ['the name of an object property as dtype', file(one(w.replace('F32', 'constructor')), 8), 22, /"constructor"/],
    ['a dtype that is not text', file(one(w.replace('"F32"', '32')), 8), 22, /expected a string/],
    ['a negative size', file(one(w.replace('[2]', '[-2]')), 8), 37, /a non-negative integer below 2\^53, found "-2\]/],
    ['a fraction', file(one(w.replace('[2]', '[2.0]')), 8), 38, /expected "\]", found "\.0\]/],
    ['an exponent', file(one(w.replace('[2]', '[2e0]')), 8), 38, /expected "\]"/],
    ['a leading zero', file(one(w.replace('[2]', '[02]')), 8), 37, /non-negative integer/],
    ['a size of 2^53', file(one(w.replace('[2]', '[9007199254740992]')), 8), 37, /below 2\^53/],
    ['a number of a million digits', file(one(w.replace('[2]', `[${'9'.repeat(1e6)}]`)), 8), 37, /below 2\^53/],
    [
      'a product beyond 2^53',
      file(one(w.replace('[2]', '[4294967296,4294967296]')), 8),
      9,
      /"w" has more than 2\^53 bytes/,
    ],
    ['bytes beyond 2^53', file(one(w.replace('[2]', '[9007199254740991]')), 8), 9, /"w" has more than 2\^53 bytes/],
    ['too few bytes', file(one(w.replace('0,8', '0,7')), 7), 9, /F32 \[2\], needs 8 bytes, but its offsets are 0 to 7/],
    ['too many bytes', file(one(w.replace('0,8', '0,9')), 9), 9, /needs 8 bytes/],
    ['offsets in the wrong order', file(one(w.replace('0,8', '8,0')), 8), 9, /offsets are 8 to 0/],
    ['data cut short', file(one(w), 7), 9, /"w" ends at byte 8 of the data, but there are 7; the file is cut short/],
    [
      'offsets past the data',
      file(one(w.replace('0,8', '9007199254740983,9007199254740991')), 8),
      9,
      /but there are 8/,
    ],
    ['an overlap', file(pair('[0,4]', '[0,4]'), 4), 62, /"b" begins at byte 0 of the data, expected 4/],
    ['a partial overlap', file(pair('[0,4]', '[2,6]'), 6), 62, /"b" begins at byte 2 .* expected 4/],
    ['a hole', file(pair('[0,4]', '[6,10]'), 10), 62, /"b" begins at byte 6 .* expected 4/],
    ['a hole at the start', file(pair('[6,10]', '[2,6]'), 10), 63, /"b" begins at byte 2 .* expected 0/],
    [
      'an empty tensor inside another',
      file(
        '{"e":{"dtype":"U8","shape":[0],"data_offsets":[3,3]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        4,
      ),
      9,
      /"e" begins at byte 3 of the data, expected 4/,
    ],
    ['bytes after the last tensor', file(one(w), 9), 70, /last tensor ends at byte 70, the file at 71/],
    ['data without tensors', file('{}', 3), 10, /last tensor ends at byte 10, the file at 13/],
  ]

  test.each(refusals)('refuses %s', (_, bytes, offset, message) => {
    for (const copy of [bytes, surrounded(bytes)]) {
      const error = formatErrorOf(() => parseSafetensors(copy), copy.length)
      expect(error.message).toMatch(message)
      expect(error.message).toMatch(/^safetensors: .+; .+/)
      expect(error.message.length).toBeLessThan(300)
      expect([error.offset, error.op, error.path]).toEqual([offset, 'parseSafetensors', undefined])
    }
  })

  test('names the file', () => {
    const error = formatErrorOf(() => parseSafetensors(new Uint8Array(3), 'runs/teacher.safetensors'), 3)
    expect(error.path).toBe('runs/teacher.safetensors')
    expect(error.message).toMatch(/^runs\/teacher\.safetensors: expected 8 bytes/)
  })

  test('a long header is read in linear time, without exhausting the stack', () => {
    const note = `${'x'.repeat(4e6)}${'\\n'.repeat(2e6)}`
    expect(parseSafetensors(file(`{"__metadata__":{"note":"${note}"}}`)).metadata.note).toHaveLength(6e6)
    const many = new Map(
      Array.from({ length: 50_000 }, (_, i) => [`layer.${i}`, encode(Float32Array.of(i), 'f32', [])]),
    )
    expect(parseSafetensors(writeSafetensors(many)).tensors.size).toBe(50_000)
  })
})

describe('writeSafetensors', () => {
  const unicode = fc.string({ unit: 'grapheme', maxLength: 12 })
  const name = unicode.filter((text) => text !== '__metadata__')
  const raw: fc.Arbitrary<RawTensor> = fc
    .tuple(fc.constantFrom(...fileDTypeNames), fc.array(fc.nat({ max: 4 }), { maxLength: 6 }), fc.nat())
    .map(([dtype, shape, seed]) => {
      const length = (elementCount(shape) ?? 0) * fileDTypeSize(dtype)
      return { dtype, shape, bytes: Uint8Array.from({ length }, (_, i) => (seed + i * 151) % 256) }
    })
  const tensorMap = fc.array(fc.tuple(name, raw), { maxLength: 6 }).map((entries) => new Map(entries))
  const metadataOf = fc.dictionary(unicode, unicode, { maxKeys: 4 })

  test('what is written is read back, each tensor aligned', () => {
    fc.assert(
      fc.property(tensorMap, metadataOf, (tensors, metadata) => {
        const bytes = writeSafetensors(tensors, metadata)
        const back = parseSafetensors(surrounded(bytes))
        expect(new Map(Object.entries(back.metadata))).toEqual(new Map(Object.entries(metadata)))
        expect(back.tensors.size).toBe(tensors.size)
        for (const [key, { dtype, shape, bytes: data, origin }] of back.tensors) {
          expect({ dtype, shape, bytes: new Uint8Array(data) }).toEqual(tensors.get(key))
          expect((origin?.offset ?? 1) % fileDTypeSize(dtype)).toBe(0)
        }
        expect(writeSafetensors(new Map([...tensors].reverse()), metadata)).toEqual(bytes)
      }),
    )
  })

  test('orders names by code point, as Python does', () => {
    const scalar = encode(Float32Array.of(1), 'f32', [])
    const names = ['\u{1f600}', '\uffee', 'a', 'B', 'ab', '', '\u{1f600}a', '\u{1f601}', 'é']
    const { tensors } = parseSafetensors(writeSafetensors(new Map(names.map((key) => [key, scalar]))))
    expect([...tensors.keys()]).toEqual(['', 'B', 'a', 'ab', 'é', '\uffee', '\u{1f600}', '\u{1f600}a', '\u{1f601}'])
  })

  test('refuses what no reader could read back', () => {
    const scalar = encode(Float32Array.of(1), 'f32', [])
    const refused: [() => unknown, string][] = [
      [() => writeSafetensors(new Map([['__metadata__', scalar]])), '"__metadata__" cannot be the name of a tensor'],
      [() => writeSafetensors(new Map([['\ud800', scalar]])), '"\\ud800" cannot be the name'],
      [() => writeSafetensors(new Map(), { 'a\udc00': '' }), 'metadata "a\\udc00" must be well-formed'],
      [() => writeSafetensors(new Map(), { a: '\udc00' }), 'metadata "a" must be well-formed text'],
      // @ts-expect-error a number is not text
      [() => writeSafetensors(new Map(), { step: 3 }), 'metadata "step" must be well-formed text, got number'],
      [() => writeSafetensors(new Map([['w', { ...scalar, shape: [2] }]])), '"w" is F32 [2], 8 bytes, but has 4'],
    ]
    for (const [write, text] of refused) {
      const error = thrownBy(write)
      expect(error).toBeInstanceOf(FormatError)
      expect(error).toMatchObject({ message: expect.stringContaining(text) })
    }
  })

  test('damaged files are refused with an offset, or read without leaving the file', () => {
    const files = fixtureNames('.safetensors').map(fixture)
    let refused = 0
    fc.assert(
      fc.property(damaged(files), (bytes) => {
        const copy = surrounded(bytes)
        const result = readsOrRefuses(() => parseSafetensors(copy), copy.length)
        if (result === undefined) refused++
        for (const tensor of result?.tensors.values() ?? []) {
          expect(tensor.bytes.byteOffset).toBeGreaterThanOrEqual(copy.byteOffset)
          expect(tensor.bytes.byteOffset + tensor.bytes.byteLength).toBeLessThanOrEqual(
            copy.byteOffset + copy.byteLength,
          )
          for (const as of ['f64', 'f32', 'i32', 'u32', 'bool'] as const) decodesOrRefuses(() => decode(tensor, as))
        }
      }),
      { numRuns: 5000 },
    )
    expect(refused).toBeGreaterThan(1000)
  })

  test('random bytes are refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        readsOrRefuses(() => parseSafetensors(bytes), bytes.length)
      }),
      { numRuns: 1000 },
    )
  })
})
