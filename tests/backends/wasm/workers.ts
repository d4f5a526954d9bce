import { Worker } from 'node:worker_threads'
import { vi } from 'vitest'

/** The worker threads that start from now on, in order, until `stop`. */
export function watchWorkers(): { readonly workers: Worker[]; readonly stop: () => void } {
  const workers: Worker[] = []
  const unref = vi.spyOn(Worker.prototype, 'unref').mockImplementation(function (this: Worker) {
    workers.push(this)
  })
  return { workers, stop: () => unref.mockRestore() }
}

/** Blocks this thread, so that it hears no events. */
export function block(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}
