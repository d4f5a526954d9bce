import { HalfWrittenError } from '../../tensor/errors.js'
import type { Entry, KernelFunction } from './launch.js'

/** Other threads that run kernels together with the calling one. The core knows only this face of them. */
export interface ThreadPool {
  /** Threads that take part now, the calling one included; 1 until the others have checked in. */
  readonly threads: number
  /** Starts the others in the background, where they do not run. */
  start(): void
  /** Waits until all have checked in; whether they have. */
  ready(milliseconds: number): boolean
  /** Called by the calling thread when it has waited long at a barrier of `run`; throws when the others will never come. */
  waited(): void
  /**
   * Runs the kernel on all threads, `own` being the calling thread's instance of it.
   *
   * @throws HalfWrittenError when a thread ended or trapped; there is one thread then, until `start`
   */
  run(entry: Entry, own: KernelFunction, params: number, nanoseconds: number): void
  close(): Promise<void>
}

/** Makes a pool of `threads` threads on this memory; words from `control` on are its own. */
export type ThreadPoolFactory = (memory: WebAssembly.Memory, threads: number, control: number) => ThreadPool

/** A run broke off because of `what` happened to a thread. */
export function brokenOff(what: string, cause?: unknown): HalfWrittenError {
  const message =
    `${what} while kernels ran, and what they were writing is half-written. Load a saved file, loadModel(model, ` +
    'bytes), and call optimizer.reset(); the next runs start new threads.'
  return new HalfWrittenError(message, { cause })
}
