import { Worker } from 'node:worker_threads'
import { WasmBackend, type WasmBackendOptions } from '../../../src/backends/wasm/backend.js'
import { BrowserQueue, type QueueHost } from '../../../src/backends/wasm/browser-queue.js'

/** What a web worker has that a worker of Node has under other names. */
const prelude = `
const { parentPort } = require('node:worker_threads')
globalThis.postMessage = (data, transfer) => parentPort.postMessage(data, transfer)
parentPort.on('message', data => globalThis.onmessage({ data }))
`

type QueueWorker = ReturnType<QueueHost['spawn']>

/** A browser's backend with its queue, on workers of Node. By default this thread does nothing itself and never waits. */
export function queuedBackend(
  options: WasmBackendOptions = {},
  { canBlock = false, inline = [-1, 0] }: Partial<QueueHost> = {},
): { readonly backend: WasmBackend; readonly workers: Worker[] } {
  const workers: Worker[] = []
  const spawn = (source: string): QueueWorker => {
    const worker = new Worker(prelude + source, { eval: true, execArgv: [] })
    workers.push(worker)
    worker.unref()
    const face: QueueWorker = {
      onmessage: null,
      onerror: null,
      postMessage: (message: unknown, transfer?: unknown) => worker.postMessage(message, transfer as ArrayBuffer[]),
      terminate: () => void worker.terminate(),
    }
    worker.on('message', (data) => face.onmessage?.call(face as globalThis.Worker, { data } as MessageEvent))
    // A page is told by a lock.
    worker.on('exit', () => face.onerror?.call(face as globalThis.Worker, {} as ErrorEvent))
    worker.on('error', (error) => face.onerror?.call(face as globalThis.Worker, error as unknown as ErrorEvent))
    return face
  }
  const backend = new WasmBackend(
    { mode: 'plain', threads: 2, ...options },
    {
      cores: 2,
      enableWide: () => 'is not for tests.',
      queue: (memory, threads, control, perform, sharing) =>
        new BrowserQueue(memory, threads, control, perform, sharing, { spawn, canBlock, inline }),
    },
  )
  return { backend, workers }
}
