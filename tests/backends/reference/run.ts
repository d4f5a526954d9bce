import { createReferenceBackend } from '../../../src/backends/reference/index.js'
import { DfdtError } from '../../../src/tensor/errors.js'
import type { Kernel } from '../../../src/kernels/kernel.js'

type Elements = Float64Array | Float32Array | Int32Array | Uint32Array | Uint16Array

/**
 * Runs a kernel on the reference with these buffers' contents; returns what the buffers hold afterwards and the
 * error if it threw. The same array given twice is one buffer bound twice.
 */
export function attempt<T extends Elements[]>(kernel: Kernel, buffers: [...T], scalars: number[] = []) {
  const backend = createReferenceBackend()
  const bindings = new Map(
    buffers.map((data) => {
      const buffer = backend.allocate(data.byteLength)
      backend.write(buffer, 0, new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
      return [data, buffer] as const
    }),
  )
  const bound = buffers.flatMap((data) => bindings.get(data) ?? [])
  let error: DfdtError | undefined
  try {
    backend.run(kernel, bound, scalars)
  } catch (thrown) {
    if (!(thrown instanceof DfdtError)) throw thrown
    error = thrown
  }
  const after = buffers.map((data, i) => {
    const buffer = bound[i]
    const copy = data.slice()
    if (buffer) new Uint8Array(copy.buffer).set(backend.readSync?.(buffer, 0, data.byteLength) ?? [])
    return copy
  }) as T
  return { error, after }
}

/** The buffers after a run that succeeds; what it throws is thrown on. */
export function run<T extends Elements[]>(kernel: Kernel, buffers: [...T], scalars: number[] = []): T {
  const { error, after } = attempt(kernel, buffers, scalars)
  if (error) throw error
  return after
}

export const f32 = (...values: number[]) => Float32Array.from(values)
export const f64 = (...values: number[]) => Float64Array.from(values)
export const i32 = (...values: number[]) => Int32Array.from(values)
export const u32 = (...values: number[]) => Uint32Array.from(values)
