import '../../src/autodiff/fluent.js'
import '../../src/ops/fluent.js'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import { WasmBackend } from '../../src/backends/wasm/backend.js'
import { nodeHost } from '../../src/backends/wasm/node.js'
import { Device } from '../../src/tensor/device.js'
import { queuedBackend } from '../backends/wasm/queue-harness.js'

/** Where compiled programs are compared with eager ones: one arithmetic each, and the one with threads. */
export const targets: readonly { readonly name: string; readonly make: (limit?: number) => Device }[] = [
  { name: 'reference', make: (limit) => new Device(createReferenceBackend(limit === undefined ? {} : { limit })) },
  { name: 'wasm, 1 thread', make: (limit) => wasm(1, limit) },
  { name: 'wasm, 2 threads', make: (limit) => wasm(2, limit) },
  { name: 'wasm, 8 threads', make: (limit) => wasm(8, limit) },
]

function wasm(threads: number, limit?: number): Device {
  const options = { mode: 'plain', threads, ...(limit !== undefined && { maxBytes: limit }) } as const
  const backend = new WasmBackend(options, { ...nodeHost, shareAll: true })
  // Otherwise the second thread starts when a kernel is worth it, and small tests would never see it.
  backend.startThreads()
  return new Device(backend)
}

/** As in a worker of a page, where this thread computes nothing and waits for what it reads. Errors come with the reads. */
export const queued: (typeof targets)[number] = {
  name: 'a queue of 2 workers',
  make: () => new Device(queuedBackend({}, { canBlock: true }).backend),
}
