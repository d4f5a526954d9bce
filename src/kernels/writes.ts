import type { DType } from '../shapes/dtype.js'
import { sizeOf } from '../shapes/strides.js'
import type { Kernel } from './kernel.js'
import { touches } from './places.js'

/** What a kernel does to a buffer that it writes. */
export interface Written {
  readonly dtype: DType
  /** Elements written, each once. */
  readonly count: number
  /** Whether what was there matters: the kernel reads it, or may leave it. */
  readonly kept: boolean
}

/**
 * The buffers that a kernel writes, by their position in its list. Only of the kinds that ever write to memory that was
 * there before: maps, whole-model passes and scattered rows.
 */
export function writesOf(kernel: Kernel): ReadonlyMap<number, Written> {
  const writes = new Map<number, Written>()
  if (kernel.kind === 'map') {
    const { inputs, outputs, shape } = kernel
    for (const [i, { dtype }] of outputs.entries())
      writes.set(inputs.length + i, { dtype, count: sizeOf(shape), kept: false })
  } else if (kernel.kind === 'scatter') {
    const { outer, size, inner, output } = kernel
    writes.set(2, { dtype: output.dtype, count: outer * size * inner, kept: true })
  } else if (kernel.kind === 'foreach') {
    const touched = touches(kernel)
    const reads = new Set(touched.flatMap(({ place, write }) => (write ? [] : [place.buffer])))
    const guarded = kernel.parts.some(({ guard }) => guard)
    for (const { place, dtype, length, write } of touched) {
      if (!write) continue
      const before = writes.get(place.buffer)?.count ?? 0
      writes.set(place.buffer, { dtype, count: before + length, kept: guarded || reads.has(place.buffer) })
    }
  }
  return writes
}
