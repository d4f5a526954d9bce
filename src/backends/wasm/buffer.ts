import type { Kernel } from '../../kernels/kernel.js'
import { touches } from '../../kernels/places.js'
import type { Buffer } from '../../tensor/backend.js'
import type { WorkQueue } from './work-queue.js'

export class WasmBuffer implements Buffer {
  freed = false
  /** Number of the last queued command that uses it. */
  used = 0
  /** Number of the command that gives it its first contents; 0 when that was not queued. */
  filled: number | undefined
  /** Why it has no contents. */
  failure: Error | undefined

  constructor(
    readonly owner: unknown,
    readonly address: number,
    readonly byteLength: number,
  ) {}

  /** Whether a queued command that uses it has not run yet. */
  inFlight(queue: WorkQueue): boolean {
    return this.used > queue.done
  }
}

/** Which of its buffers a kernel reads, and which it writes. */
export function directions(
  kernel: Kernel,
  buffers: readonly WasmBuffer[],
): { readonly read: readonly WasmBuffer[]; readonly written: readonly WasmBuffer[] } {
  if (kernel.kind === 'foreach') {
    const all = touches(kernel)
    const some = (write: boolean) =>
      new Set(all.flatMap((t) => (t.write === write ? (buffers[t.place.buffer] ?? []) : [])))
    return { read: [...some(false)], written: [...some(true)] }
  }
  const outputs = kernel.kind === 'map' ? kernel.outputs.length : 1
  const read = buffers.slice(0, buffers.length - outputs)
  return { read, written: buffers.slice(read.length) }
}

/**
 * Notes that the last command given to the queue uses `buffers`, and that `written` have contents from then on; they
 * have none if it fails and they had none before.
 */
export function useInQueue(queue: WorkQueue, buffers: readonly WasmBuffer[], written: readonly WasmBuffer[]): void {
  for (const buffer of buffers) buffer.used = queue.given
  const fresh = written.filter(({ filled }) => filled === undefined)
  fill(written, queue.given)
  if (fresh.length === 0) return
  queue.afterwards((error) => {
    if (!error) return
    for (const buffer of fresh) {
      buffer.failure = error
      buffer.filled = undefined
    }
  })
}

/** Notes that the buffers have contents now, or once command `number` has run. */
export function fill(buffers: readonly WasmBuffer[], number = 0): void {
  for (const buffer of buffers) {
    buffer.failure = undefined
    buffer.filled ??= number
  }
}
