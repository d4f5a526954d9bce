import type { Host, WasmBackendOptions } from './backend.js'
import { WasmBackend } from './backend.js'
import { BrowserQueue } from './browser-queue.js'
import type { WorkQueueFactory } from './work-queue.js'

/** Whether this thread may wait: the main thread of a page may not. */
function canBlock(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1)
    return true
  } catch {
    return false
  }
}

/** From text: a library has no file that every bundler would find. A content security policy must allow `blob:`. */
function spawn(source: string): Worker {
  const url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }))
  try {
    return new Worker(url)
  } finally {
    // By then the address has been looked up.
    URL.revokeObjectURL(url)
  }
}

const queue: WorkQueueFactory = (memory, threads, control, perform, sharing) =>
  new BrowserQueue(memory, threads, control, perform, sharing, { spawn, canBlock: canBlock() })

/**
 * The wasm backend of browsers, and of wherever Node's modules are absent. In a cross-origin isolated page kernels run on
 * workers, one for each core, and the calling thread goes on; elsewhere memory cannot be shared, and there is one thread.
 */
export function createWasmBackend(
  options: WasmBackendOptions = {},
  { shareAll }: Pick<Host, 'shareAll'> = {},
): WasmBackend {
  const isolated = globalThis.crossOriginIsolated === true && typeof Worker === 'function'
  const host: Host = {
    ...(isolated ? { queue } : {}),
    ...(shareAll === undefined ? {} : { shareAll }),
    cores: isolated ? Math.max(2, navigator.hardwareConcurrency) : 1,
    enableWide: () => 'needs Node 24 or newer on x64.',
  }
  return new WasmBackend(options, host)
}
