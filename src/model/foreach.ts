import type { DType } from '../shapes/dtype.js'
import type { Expr } from '../kernels/expr.js'
import type { ForeachKernel, Part } from '../kernels/kernel.js'
import type { Device } from '../tensor/device.js'
import type { Scalars } from '../tensor/recorder.js'
import type { TensorRecord } from '../tensor/record.js'
import type { Storage } from '../tensor/storage.js'

/** What one stretch of a whole-model pass reads and writes: contiguous tensors of one size. */
export interface Stretch {
  readonly reads: readonly TensorRecord[]
  readonly writes: readonly TensorRecord[]
}

/** A whole-model pass that can run again as long as its tensors live: memory never moves. */
export interface Pass {
  readonly device: Device
  readonly kernel: ForeachKernel
  readonly storages: readonly Storage[]
  readonly written: readonly Storage[]
}

/**
 * `exprs` over many tensors in one pass: slot i of an expression is `reads[i]`, expression j goes to `writes[j]`,
 * which may be one of the reads. All stretches have the same dtypes.
 */
export function prepareForeach(exprs: readonly Expr[], stretches: readonly Stretch[]): Pass | undefined {
  const first = stretches[0]
  const device = first?.reads[0]?.device
  if (!first || !device) return undefined
  const slots = new Map<Storage, number>()
  const parts: Part[] = []
  for (const { reads, writes } of stretches) {
    const operands = [...reads, ...writes].map((tensor) => {
      const buffer = slots.get(tensor.storage) ?? slots.size
      slots.set(tensor.storage, buffer)
      return { buffer, offset: tensor.operand().offset }
    })
    parts.push({ length: reads[0]?.size ?? 0, operands })
  }
  const dtypes = (tensors: readonly TensorRecord[]): DType[] => tensors.map((tensor) => tensor.dtype)
  return {
    device,
    kernel: { kind: 'foreach', inputs: dtypes(first.reads), outputs: dtypes(first.writes), exprs, parts },
    storages: [...slots.keys()],
    written: stretches.flatMap(({ writes }) => writes.map((tensor) => tensor.storage)),
  }
}

/** Runs a pass. Counts as a write in place. */
export function runPass({ device, kernel, storages, written }: Pass, scalars: Scalars): void {
  device.run(kernel, storages, scalars)
  for (const storage of written) storage.version++
}

/** A pass that runs once. */
export function foreachTensors(exprs: readonly Expr[], stretches: readonly Stretch[], scalars: Scalars): void {
  const pass = prepareForeach(exprs, stretches)
  if (pass) runPass(pass, scalars)
}
