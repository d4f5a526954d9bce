import type { Expr } from '../../../src/kernels/expr.js'
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

/** Runs one expression over contiguous operands of f32 (or what it results in). */
export function mapOver(
  backend: Backend,
  expr: Expr,
  inputs: readonly (Float32Array | Int32Array)[],
  scalars: readonly number[] = [],
): Float32Array {
  const length = inputs[0]?.length ?? 0
  const buffers = inputs.map((values) => bufferOf(backend, values))
  const output = backend.allocate(length * 4)
  const dtypes = inputs.map((values): DType => (values instanceof Float32Array ? 'f32' : 'i32'))
  const operands = dtypes.map((dtype) => packed([length], dtype))
  backend.run(
    { kind: 'map', shape: [length], inputs: operands, outputs: [packed([length], expr.dtype)], exprs: [expr] },
    [...buffers, output],
    scalars,
  )
  const result = floatsOf(backend, output)
  for (const buffer of [...buffers, output]) backend.free(buffer)
  return result
}
