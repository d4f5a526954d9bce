import type { DType } from '../shapes/dtype.js'
import type { Expr } from '../kernels/expr.js'
import type { Part } from '../kernels/kernel.js'
import type { Scalars } from '../tensor/recorder.js'
import type { TensorRecord } from '../tensor/record.js'

/** What one stretch of a whole-model pass reads and writes: contiguous tensors of one size. */
export interface Stretch {
  readonly reads: readonly TensorRecord[]
  readonly writes: readonly TensorRecord[]
}

/**
 * Runs `exprs` over many tensors in one pass: slot i of an expression is `reads[i]`, expression j goes to
 * `writes[j]`, which may be one of the reads. All stretches have the same dtypes. Counts as a write in place.
 */
export function foreachTensors(exprs: readonly Expr[], stretches: readonly Stretch[], scalars: Scalars): void {
  const first = stretches[0]
  const device = first?.reads[0]?.device
  if (!first || !device) return
  const slots = new Map<unknown, number>()
  const storages = []
  const parts: Part[] = []
  for (const { reads, writes } of stretches) {
    const operands = []
    for (const tensor of [...reads, ...writes]) {
      let buffer = slots.get(tensor.storage)
      if (buffer === undefined) {
        buffer = storages.length
        slots.set(tensor.storage, buffer)
        storages.push(tensor.storage)
      }
      operands.push({ buffer, offset: tensor.operand().offset })
    }
    parts.push({ length: reads[0]?.size ?? 0, operands })
  }
  const dtypes = (tensors: readonly TensorRecord[]): DType[] => tensors.map((tensor) => tensor.dtype)
  device.run(
    { kind: 'foreach', inputs: dtypes(first.reads), outputs: dtypes(first.writes), exprs, parts },
    storages,
    scalars,
  )
  for (const { writes } of stretches) for (const tensor of writes) tensor.storage.version++
}
