import { type DType, isFloat, isHalf } from '../shapes/dtype.js'
import { narrow, widen } from '../shapes/half.js'
import { sizeOf } from '../shapes/strides.js'
import { bytesPerElement } from './backend.js'
import type { Layout } from './record.js'

/** Host arrays of elements; `bool` comes as Uint8Array of 0 and 1, `f16` and `bf16` as Float32Array. */
export type TypedArray = Float64Array | Float32Array | Int32Array | Uint32Array | Uint8Array

/** The bits of f16 and bf16 elements. */
const halves = ({ buffer, byteOffset, byteLength }: Uint8Array): Uint16Array =>
  new Uint16Array(buffer, byteOffset, byteLength / 2)

/** Elements of device memory as a host array. */
function view(dtype: DType, bytes: Uint8Array): Float64Array | Float32Array | Int32Array | Uint32Array {
  if (isHalf(dtype)) return widen(halves(bytes), dtype)
  const { buffer, byteOffset, byteLength } = bytes
  const length = byteLength / bytesPerElement[dtype]
  if (dtype === 'f64') return new Float64Array(buffer, byteOffset, length)
  if (dtype === 'f32') return new Float32Array(buffer, byteOffset, length)
  return dtype === 'i32' ? new Int32Array(buffer, byteOffset, length) : new Uint32Array(buffer, byteOffset, length)
}

function allocate(dtype: DType, length: number): TypedArray {
  if (dtype === 'f64') return new Float64Array(length)
  if (isFloat(dtype)) return new Float32Array(length)
  if (dtype === 'bool') return new Uint8Array(length)
  return dtype === 'i32' ? new Int32Array(length) : new Uint32Array(length)
}

/** Calls `visit` with the storage position of each element, in row-major order of the logical shape. */
function eachOffset({ shape, strides }: Layout, visit: (offset: number) => void): void {
  const walk = (axis: number, offset: number): void => {
    const size = shape[axis]
    if (size === undefined) {
      visit(offset)
      return
    }
    const stride = strides[axis] ?? 0
    for (let i = 0; i < size; i++) walk(axis + 1, offset + i * stride)
  }
  walk(0, 0)
}

/** Reads a tensor's elements in row-major order through `read(byteOffset, byteLength)`, whatever its strides. */
export function readElements(layout: Layout, read: (start: number, length: number) => Uint8Array): TypedArray
export function readElements(
  layout: Layout,
  read: (start: number, length: number) => Promise<Uint8Array>,
): Promise<TypedArray>
export function readElements(
  layout: Layout,
  read: (start: number, length: number) => Uint8Array | Promise<Uint8Array>,
): TypedArray | Promise<TypedArray> {
  const { dtype, shape, strides, offset } = layout
  const count = sizeOf(shape)
  if (count === 0) return allocate(dtype, 0)
  const span = shape.reduce((last, size, axis) => last + (size - 1) * (strides[axis] ?? 0), 0) + 1
  const arrange = (bytes: Uint8Array): TypedArray => {
    const source = view(dtype, bytes)
    if (span === count && dtype !== 'bool' && isRowMajor(layout)) return source
    const out = allocate(dtype, count)
    let i = 0
    eachOffset(layout, (position) => {
      out[i++] = source[position] ?? 0
    })
    return out
  }
  const bytes = read(offset * bytesPerElement[dtype], span * bytesPerElement[dtype])
  return bytes instanceof Promise ? bytes.then(arrange) : arrange(bytes)
}

function isRowMajor({ shape, strides }: Layout): boolean {
  let step = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? 1
    if (size !== 1 && strides[axis] !== step) return false
    step *= size
  }
  return true
}

/** Elements as nested arrays, `bool` as 0 and 1; a scalar as itself. */
export function nested({ shape }: Layout, data: TypedArray): unknown {
  const build = (axis: number, start: number): unknown => {
    const size = shape[axis]
    if (size === undefined) return data[start]
    const step = sizeOf(shape.slice(axis + 1))
    return Array.from({ length: size }, (_, i) => build(axis + 1, start + i * step))
  }
  return build(0, 0)
}

/** Whether a dtype holds a number as it is: integers are whole and in range, bool is 0 or 1. */
export function fits(value: number, dtype: DType): boolean {
  if (isFloat(dtype)) return true
  const [least, most] = dtype === 'bool' ? [0, 1] : dtype === 'u32' ? [0, 2 ** 32 - 1] : [-(2 ** 31), 2 ** 31 - 1]
  return Number.isInteger(value) && value >= least && value <= most
}

/** Host numbers as device bytes of `dtype`, converted as JavaScript's typed arrays convert. */
export function toBytes(values: ArrayLike<number | boolean>, dtype: DType): Uint8Array {
  const direct =
    (dtype === 'f32' && values instanceof Float32Array) ||
    (dtype === 'f64' && values instanceof Float64Array) ||
    (dtype === 'i32' && values instanceof Int32Array) ||
    (dtype === 'u32' && values instanceof Uint32Array)
  if (direct) return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  if (isHalf(dtype)) return new Uint8Array(narrow(values, dtype).buffer)
  const out = view(dtype, new Uint8Array(values.length * bytesPerElement[dtype]))
  for (let i = 0; i < values.length; i++) {
    const value = Number(values[i])
    out[i] = dtype === 'bool' ? Number(value !== 0) : value
  }
  return new Uint8Array(out.buffer)
}
