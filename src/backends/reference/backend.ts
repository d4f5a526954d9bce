import { arithmeticDTypes, type Epilogue, epilogueMap, type Kernel, type WithEpilogue } from '../../kernels/kernel.js'
import type { Backend, Buffer } from '../../tensor/backend.js'
import { isHalf } from '../../tensor/dtype.js'
import { DeviceError, DTypeError } from '../../tensor/errors.js'
import { runConv2d } from './conv2d.js'
import { runForeach } from './foreach.js'
import { runGather, runScatter } from './gather.js'
import { runMap } from './map.js'
import { runMatmul } from './matmul.js'
import { Memory, type ReferenceBuffer } from './memory.js'
import { runPool2d } from './pool2d.js'
import { runReduce } from './reduce.js'
import { runRows } from './rows.js'

/** Options of `createReferenceBackend`. */
export interface ReferenceBackendOptions {
  /** The most bytes that live buffers may add up to; 4 GiB if not given. */
  readonly limit?: number
}

/**
 * The oracle of every test: plain loops on one thread, for every dtype, written to be read, not to be fast.
 *
 * f32 nodes are computed in f64 and rounded, so + − × ÷ √ and `fma` are exact f32; sums and products of matrices are
 * accumulated in f64 and rounded once; i32 and u32 wrap. A descriptor that contradicts itself, reaches outside its
 * buffers or holds an index out of range is refused with a `ShapeError` or `DTypeError` before anything is written.
 *
 * @example const device = new Device(createReferenceBackend())
 */
export function createReferenceBackend(options: ReferenceBackendOptions = {}): Backend {
  const memory = new Memory(options.limit ?? 2 ** 32)

  const bytesOf = (buffer: Buffer, op: string, byteOffset: number, byteLength: number): Uint8Array => {
    const own = memory.own(buffer)
    if (byteOffset >= 0 && byteLength >= 0 && byteOffset + byteLength <= own.byteLength) {
      return new Uint8Array(own.bytes, byteOffset, byteLength)
    }
    const range = `${byteLength} bytes from ${byteOffset}`
    const message = `${op}: ${range} do not lie in a buffer of ${own.byteLength} bytes; read or write inside it.`
    throw new DeviceError(message, { op, offset: byteOffset })
  }
  const readSync = (buffer: Buffer, byteOffset: number, byteLength: number) =>
    bytesOf(buffer, 'read', byteOffset, byteLength).slice()

  return {
    name: 'reference',
    description: 'reference: plain loops, one thread, f64 and f32',
    supports: () => true,
    allocate: (byteLength) => memory.allocate(byteLength),
    free: (buffer) => memory.free(buffer),
    run: (kernel, buffers, scalars) => {
      runKernel(
        kernel,
        buffers.map((buffer) => memory.own(buffer)),
        scalars,
      )
    },
    write: (buffer, byteOffset, bytes) => bytesOf(buffer, 'write', byteOffset, bytes.byteLength).set(bytes),
    read: async (buffer, byteOffset, byteLength) => readSync(buffer, byteOffset, byteLength),
    readSync,
    view: (buffer, byteOffset, byteLength) => bytesOf(buffer, 'view', byteOffset, byteLength),
    copy: (from, fromOffset, to, toOffset, byteLength) => {
      const source = bytesOf(from, 'copy', fromOffset, byteLength)
      bytesOf(to, 'copy', toOffset, byteLength).set(source)
    },
    memory: () => memory.stats(),
    close: async () => memory.freeAll(),
  }
}

function runKernel(kernel: Kernel, buffers: readonly ReferenceBuffer[], scalars: readonly number[]): void {
  const half = arithmeticDTypes(kernel).find(isHalf)
  if (half) throw new DTypeError(`${kernel.kind}: not defined on ${half}; cast to f32 first.`, { op: kernel.kind })
  if ('epilogue' in kernel && kernel.epilogue) runEpilogue(kernel, kernel.epilogue, buffers, scalars)
  else if (kernel.kind === 'map') runMap(kernel, buffers, scalars)
  else if (kernel.kind === 'reduce') runReduce(kernel, buffers, scalars)
  else if (kernel.kind === 'rows') runRows(kernel, buffers, scalars)
  else if (kernel.kind === 'foreach') runForeach(kernel, buffers, scalars)
  else if (kernel.kind === 'matmul') runMatmul(kernel, buffers)
  else if (kernel.kind === 'conv2d') runConv2d(kernel, buffers)
  else if (kernel.kind === 'pool2d') runPool2d(kernel, buffers)
  else if (kernel.kind === 'gather') runGather(kernel, buffers)
  else runScatter(kernel, buffers)
}

/** The kernel without its epilogue, then the epilogue as a map. */
function runEpilogue(
  kernel: WithEpilogue,
  epilogue: Epilogue,
  buffers: readonly ReferenceBuffer[],
  scalars: readonly number[],
): void {
  const own = buffers.length - 1 - epilogue.inputs.length
  const output = buffers.slice(-1)
  runKernel({ ...kernel, epilogue: undefined }, [...buffers.slice(0, own), ...output], [])
  runMap(epilogueMap(epilogue, kernel.output), [...output, ...buffers.slice(own)], scalars)
}
