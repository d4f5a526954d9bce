import { narrow, widen } from '../shapes/half.js'
import { type DType, isHalf } from '../tensor/dtype.js'
import { DTypeError, FormatError, ShapeError } from '../tensor/errors.js'
import { elements } from './elements.js'
import { quoted } from './malformed.js'

/**
 * Element types by the names safetensors gives them, with their size in bytes and the dtype that takes their place here.
 * Those without one can be passed from file to file but not decoded. From narrow to wide as safetensors sorts them.
 */
const fileDTypes = {
  BOOL: { size: 1, dtype: 'bool' },
  U8: { size: 1, dtype: 'u32' },
  I8: { size: 1, dtype: 'i32' },
  F8_E5M2: { size: 1, dtype: undefined },
  F8_E4M3: { size: 1, dtype: undefined },
  F8_E8M0: { size: 1, dtype: undefined },
  F8_E4M3FNUZ: { size: 1, dtype: undefined },
  F8_E5M2FNUZ: { size: 1, dtype: undefined },
  I16: { size: 2, dtype: 'i32' },
  U16: { size: 2, dtype: 'u32' },
  F16: { size: 2, dtype: 'f16' },
  BF16: { size: 2, dtype: 'bf16' },
  I32: { size: 4, dtype: 'i32' },
  U32: { size: 4, dtype: 'u32' },
  F32: { size: 4, dtype: 'f32' },
  C64: { size: 8, dtype: undefined },
  F64: { size: 8, dtype: 'f64' },
  I64: { size: 8, dtype: 'i32' },
  U64: { size: 8, dtype: 'u32' },
} as const satisfies Record<string, { size: number; dtype: DType | undefined }>

/** The name of an element type in a file, as safetensors spells it. */
export type FileDType = keyof typeof fileDTypes

/** Every element type, narrow to wide, in the order safetensors gives them. */
export const fileDTypeNames = Object.keys(fileDTypes).filter(isFileDType)

/** A tensor as it lies in a file: little endian, row-major, not yet interpreted. */
export interface RawTensor {
  readonly dtype: FileDType
  readonly shape: readonly number[]
  /** A view of the file's bytes, not a copy. */
  readonly bytes: Uint8Array
  /** Where it was read, for the messages of errors. */
  readonly origin?: { readonly name: string; readonly offset: number }
}

/** The array that holds a dtype's elements on the host: `bool` as 0 or 1 in u32, as in device memory, `f16` and `bf16` as f32. */
export interface HostArrays {
  f64: Float64Array
  f32: Float32Array
  f16: Float32Array
  bf16: Float32Array
  i32: Int32Array
  u32: Uint32Array
  bool: Uint32Array
}

export function isFileDType(text: string): text is FileDType {
  return Object.hasOwn(fileDTypes, text)
}

/** Bytes per element. */
export function fileDTypeSize(dtype: FileDType): number {
  return fileDTypes[dtype].size
}

/** The dtype a file's element type is read as unless told otherwise; undefined where there is none (8-bit floats, complex). */
export function hostDType(dtype: FileDType): DType | undefined {
  return fileDTypes[dtype].dtype
}

/** Number of elements, or undefined if an axis is not a size or the product is not exact in a number. */
export function elementCount(shape: readonly number[]): number | undefined {
  let count = 1
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) return undefined
    count *= size
    if (!Number.isSafeInteger(count)) return undefined
  }
  return count
}

/**
 * Reads a tensor's elements as `as`, exactly: `value[i] = element[i]`, never rounded.
 *
 * Floats are read as an equal or wider float (F16 and BF16 as f32 or f64), integers of every width as i32 or u32 if each
 * value fits, BOOL as bool. Where the bytes are aligned and already have the right form the result is a view of the file.
 *
 * @throws DTypeError if the kinds differ or a float would be narrowed; nothing is converted silently
 * @throws FormatError if an integer does not fit (it names the value), a BOOL byte is neither 0 nor 1, or the byte length
 * is not that of the shape
 *
 * Torch: `torch.load(...)[name].to(dtype)`, which rounds and wraps instead of refusing.
 *
 * @example
 * const { tensors } = parseSafetensors(bytes)
 * const weight = tensors.get('0.weight')
 * if (weight) console.log(weight.shape, decode(weight, 'f32'))
 */
export function decode<D extends DType>(raw: RawTensor, as: D): HostArrays[D] {
  checkByteLength(raw, 'decode')
  return decoders[as](raw)
}

/**
 * The bytes of a tensor as a file holds them: f64 → F64, f32 → F32, i32 → I32, u32 → U32, bool → BOOL (one byte each),
 * which all but bool share with `values`; f16 → F16 and bf16 → BF16, rounded to the nearest, ties to even.
 *
 * @throws DTypeError if the array is not the dtype's own or a bool is neither 0 nor 1
 * @throws ShapeError if the number of values is not that of the shape
 *
 * @example
 * writeSafetensors(new Map([['bias', encode(Float32Array.of(1, 2), 'f32', [2])]]))
 */
export function encode<D extends DType>(values: HostArrays[D], dtype: D, shape: readonly number[]): RawTensor {
  const { array, file } = hostForms[dtype]
  if (!(values instanceof array)) {
    throw new DTypeError(`encode: ${dtype} values must be a ${array.name}; convert them first`, { op: 'encode' })
  }
  if (elementCount(shape) !== values.length) {
    throw new ShapeError(
      `encode: ${values.length} values do not fill shape [${shape.join(', ')}]; pass the shape these values have`,
      { op: 'encode', shapes: [shape] },
    )
  }
  if (dtype === 'bool') return { dtype: file, shape, bytes: boolBytes(values) }
  const stored = isHalf(dtype) ? narrow(values, dtype) : values
  return { dtype: file, shape, bytes: new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength) }
}

/** Refuses a tensor whose bytes are not exactly those of its shape. */
export function checkByteLength(raw: RawTensor, op: string): void {
  const count = elementCount(raw.shape)
  const needed = count === undefined ? undefined : count * fileDTypeSize(raw.dtype)
  if (needed !== raw.bytes.byteLength) {
    const shape = `${raw.dtype} [${raw.shape.join(', ')}]`
    throw new FormatError(
      `${op}: ${label(raw)} is ${shape}, ${needed ?? 'too many'} bytes, but has ${raw.bytes.byteLength}; its file is damaged`,
      { op, shapes: [raw.shape], ...at(raw, 0) },
    )
  }
}

const hostForms = {
  f64: { array: Float64Array, file: 'F64' },
  f32: { array: Float32Array, file: 'F32' },
  f16: { array: Float32Array, file: 'F16' },
  bf16: { array: Float32Array, file: 'BF16' },
  i32: { array: Int32Array, file: 'I32' },
  u32: { array: Uint32Array, file: 'U32' },
  bool: { array: Uint32Array, file: 'BOOL' },
} as const

const decoders: { readonly [D in DType]: (raw: RawTensor) => HostArrays[D] } = {
  f64: (raw) => (raw.dtype === 'F64' ? elements(Float64Array, raw.bytes) : Float64Array.from(singles(raw, 'f64'))),
  f32: (raw) => singles(raw, 'f32'),
  f16: (raw) => (raw.dtype === 'F16' ? singles(raw, 'f16') : unreadable(raw, 'f16')),
  bf16: (raw) => (raw.dtype === 'BF16' ? singles(raw, 'bf16') : unreadable(raw, 'bf16')),
  i32: (raw) => (raw.dtype === 'I32' ? elements(Int32Array, raw.bytes) : fitted(raw, 'i32', Int32Array)),
  u32: (raw) => (raw.dtype === 'U32' ? elements(Uint32Array, raw.bytes) : fitted(raw, 'u32', Uint32Array)),
  bool: booleans,
}

/** The floats that f32 holds exactly. */
function singles(raw: RawTensor, as: DType): Float32Array {
  if (raw.dtype === 'F32') return elements(Float32Array, raw.bytes)
  if (raw.dtype === 'F16') return widen(elements(Uint16Array, raw.bytes), 'f16')
  if (raw.dtype === 'BF16') return widen(elements(Uint16Array, raw.bytes), 'bf16')
  return unreadable(raw, as)
}

const integerArrays = {
  U8: Uint8Array,
  I8: Int8Array,
  I16: Int16Array,
  U16: Uint16Array,
  I32: Int32Array,
  U32: Uint32Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
}

/** Integers of any width as 32-bit ones, refused unless every value fits. */
function fitted<A extends Int32Array | Uint32Array>(raw: RawTensor, as: DType, array: new (length: number) => A): A {
  const { dtype } = raw
  if (!isIntegerType(dtype)) return unreadable(raw, as)
  const source: ArrayLike<number | bigint> = elements<ArrayLike<number | bigint>>(integerArrays[dtype], raw.bytes)
  const out = new array(source.length)
  for (let i = 0; i < source.length; i++) {
    const value = Number(source[i])
    out[i] = value
    if (out[i] !== value) {
      throw new FormatError(
        `decode: ${label(raw)} holds ${source[i]} at element ${i}, which ${as} cannot; write it again with smaller values`,
        { op: 'decode', ...at(raw, i * fileDTypeSize(dtype)) },
      )
    }
  }
  return out
}

function isIntegerType(dtype: FileDType): dtype is keyof typeof integerArrays {
  return Object.hasOwn(integerArrays, dtype)
}

function booleans(raw: RawTensor): Uint32Array {
  if (raw.dtype !== 'BOOL') return unreadable(raw, 'bool')
  const wrong = raw.bytes.findIndex((byte) => byte > 1)
  if (wrong >= 0) {
    throw new FormatError(
      `decode: ${label(raw)} holds ${raw.bytes[wrong]} at element ${wrong}, a BOOL is 0 or 1; read it as an integer type`,
      { op: 'decode', ...at(raw, wrong) },
    )
  }
  return Uint32Array.from(raw.bytes)
}

function boolBytes(values: ArrayLike<number>): Uint8Array {
  const bytes = Uint8Array.from(values)
  const wrong = bytes.findIndex((_, i) => values[i] !== 0 && values[i] !== 1)
  if (wrong >= 0) {
    throw new DTypeError(`encode: a bool is 0 or 1, element ${wrong} is ${values[wrong]}; compare with 0 first`, {
      op: 'encode',
    })
  }
  return bytes
}

function unreadable(raw: RawTensor, as: DType): never {
  const natural = hostDType(raw.dtype)
  const remedy = natural === undefined ? 'write it again in a type that has one' : `read it as ${natural}, then cast`
  throw new DTypeError(`decode: ${label(raw)} is ${raw.dtype}, which ${as} does not hold exactly; ${remedy}`, {
    op: 'decode',
  })
}

function label({ origin }: RawTensor): string {
  return origin === undefined ? 'the tensor' : quoted(origin.name)
}

/** The offset of one of the tensor's bytes, in its file if that is known. */
function at(raw: RawTensor, byte: number): { offset: number; path?: string } {
  return raw.origin === undefined ? { offset: byte } : { offset: raw.origin.offset + byte, path: raw.origin.name }
}
