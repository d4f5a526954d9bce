import type { DType } from '../shapes/dtype.js'
import { sizeOf } from '../shapes/strides.js'
import type { Kernel } from './kernel.js'

/** What a kernel does to a buffer that it writes. */
export interface Written {
  readonly dtype: DType
  /** Elements written, each once. */
  readonly count: number
  /** Whether it reads the buffer as well. */
  readonly read: boolean
}

/**
 * The buffers that a kernel writes, by their position in its list. Only of the kinds that ever write to memory that was
 * there before: maps and whole-model passes.
 */
export function writesOf(kernel: Kernel): ReadonlyMap<number, Written> {
  const reads = new Set<number>()
  const writes = new Map<number, Written>()
  const note = (slot: number, dtype: DType, count: number) => {
    writes.set(slot, { dtype, count: (writes.get(slot)?.count ?? 0) + count, read: reads.has(slot) })
  }
  if (kernel.kind === 'map') {
    const { inputs, outputs, shape } = kernel
    for (const slot of inputs.keys()) reads.add(slot)
    for (const [i, { dtype }] of outputs.entries()) note(inputs.length + i, dtype, sizeOf(shape))
  } else if (kernel.kind === 'foreach') {
    const { inputs, outputs, parts } = kernel
    for (const { operands } of parts) for (const { buffer } of operands.slice(0, inputs.length)) reads.add(buffer)
    for (const { length, operands } of parts)
      for (const [i, { buffer }] of operands.slice(inputs.length).entries()) note(buffer, outputs[i] ?? 'f32', length)
  }
  return writes
}
