import { type Expr, input, substitute } from '../../kernels/expr.js'
import { DeviceError } from '../../shapes/errors.js'
import type { Device } from '../../tensor/device.js'
import { type FloatDType, floatBytes } from './float-bytes.js'
import type { Step, Task, Workspace } from './workspace.js'

/** The dtypes of devices that the element types of files stand for; what is F64 in a file is summed on the host. */
const dtypes = { F16: 'f16', BF16: 'bf16', F32: 'f32' } as const
type DeviceFloat = keyof typeof dtypes

const identity: Step = { expr: (dtype) => input(0, dtype), reads: [0], write: 0, scalars: [] }

/**
 * Buffers in the memory of a device, and its kernels over them: sums in f32, the same bits as `update` on loaded models.
 * The first step that reads a buffer widens what the file held, the last one narrows what it writes.
 */
export function deviceWorkspace(device: Device, buffers: number, elements: number): Workspace {
  const { backend } = device
  const make = (size: number) => Array.from({ length: buffers }, () => device.allocate(size * elements))
  // A buffer has a place for each size of element, so that nothing is overwritten by what is made of it.
  const memory = { 4: make(4), 2: make(2) }
  const storages = [...memory[4], ...memory[2]]

  const operand = (buffer: number, dtype: DeviceFloat) => {
    const at = floatBytes[dtype] === 4 ? buffer : buffers + buffer
    return { buffer: at, offset: storages[at]?.elementOffset(dtypes[dtype]) ?? 0 }
  }
  const view = (buffer: number, dtype: FloatDType, count: number): Uint8Array => {
    const block = storages[operand(buffer, deviceFloat(dtype)).buffer]?.block
    const bytes = block && backend.view?.(block.buffer, block.byteOffset, count * floatBytes[dtype])
    if (bytes) return bytes
    throw new DeviceError(`Files are combined on a device whose memory the host sees, which ${device.name} is not.`)
  }
  const run = ({ steps, from, to, count }: Task) => {
    const held = from.map(deviceFloat)
    const all = steps.length > 0 ? steps : [identity]
    all.forEach(({ expr, reads, write, scalars }, i) => {
      const sources = reads.map((buffer) => held[buffer] ?? 'F32')
      const target = i === all.length - 1 ? deviceFloat(to) : 'F32'
      const operands = [...reads.map((buffer, slot) => operand(buffer, sources[slot] ?? 'F32')), operand(write, target)]
      const kernel = {
        kind: 'foreach',
        inputs: sources.map((dtype) => dtypes[dtype]),
        outputs: [dtypes[target]],
        exprs: [withCasts(expr('f32'), sources, target)],
        parts: [{ length: count, operands }],
      } as const
      device.run(kernel, storages, scalars)
      held[write] = target
    })
  }
  return {
    source: view,
    run,
    result: ({ result, to, count }) => view(result, to, count),
    release: () => {
      for (const storage of storages) storage.release()
    },
  }
}

function deviceFloat(dtype: FloatDType): DeviceFloat {
  if (dtype !== 'F64') return dtype
  throw new DeviceError('combine: F64 is summed on the host; plan the outputs before they are made.')
}

/** An expression of f32 over what its operands hold. */
function withCasts(expr: Expr, sources: readonly DeviceFloat[], target: DeviceFloat): Expr {
  const wide = (leaf: Expr) =>
    leaf.op === 'input' ? input(leaf.value, dtypes[sources[leaf.value] ?? 'F32']).cast('f32') : leaf
  return substitute(expr, wide).cast(dtypes[target])
}
