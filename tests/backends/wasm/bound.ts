import type { Operand } from '../../../src/kernels/kernel.js'
import { contiguousStrides } from '../../../src/shapes/strides.js'
import type { Backend, Buffer } from '../../../src/tensor/backend.js'
import type { DType } from '../../../src/tensor/dtype.js'

/** A buffer holding these numbers. */
export function bufferOf(backend: Backend, values: Float32Array | Int32Array | Uint32Array): Buffer {
  const buffer = backend.allocate(values.byteLength)
  backend.write(buffer, 0, new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  return buffer
}

export function bytesOf(backend: Backend, buffer: Buffer): Uint8Array {
  return backend.readSync?.(buffer, 0, buffer.byteLength) ?? new Uint8Array()
}
export const floatsOf = (backend: Backend, buffer: Buffer): Float32Array =>
  new Float32Array(bytesOf(backend, buffer).buffer)
export const wordsOf = (backend: Backend, buffer: Buffer): Int32Array => new Int32Array(bytesOf(backend, buffer).buffer)

export const packed = (shape: readonly number[], dtype: DType = 'f32', offset = 0): Operand => ({
  dtype,
  strides: contiguousStrides(shape),
  offset,
})
