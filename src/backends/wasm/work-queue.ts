import type { Entry } from './launch.js'
import type { Sharing } from './sharing.js'

/** A kernel or a whole program to run, with what belongs before and after. */
export interface Job {
  readonly entry: Entry
  readonly params: number
  /** What threads can share of the work, and all of it, as ns of one thread. */
  readonly nanoseconds: number
  readonly total: number
  /** Pairs of a word of memory and its value, written before. */
  readonly fills: Int32Array
  readonly checks: readonly Check[]
}

/** The block of a checking kernel begins at word `at`; `test` throws when it found the operands invalid. */
export interface Check {
  readonly at: number
  readonly test: (words: Int32Array, at: number) => void
}

/** One kernel of a program whose kernels are timed one by one. */
export interface Part extends Pick<Job, 'entry' | 'params' | 'nanoseconds' | 'checks'> {
  /** Words of memory; where one is 0, the kernel does not run. */
  readonly guards: readonly number[]
}

/** Commands that give bytes: what they read, or the time of each part in ns, as f64. */
export type Question =
  | { readonly kind: 'read'; readonly from: number; readonly length: number }
  | { readonly kind: 'profile'; readonly job: Job; readonly parts: readonly Part[] }

/** What can be queued. */
export type Command =
  | Question
  | { readonly kind: 'run'; readonly job: Job }
  | { readonly kind: 'copy'; readonly from: number; readonly to: number; readonly length: number }
  | { readonly kind: 'write'; readonly to: number; readonly bytes: Uint8Array<ArrayBuffer> }

/** Told that a command has run, or why it never will. */
export type Outcome = (error?: Error) => void

/**
 * Workers that take commands in order while the calling thread goes on, as a GPU does. Where nothing is queued, short
 * work is better done by the caller; the queue says so. The core knows only this face of it.
 */
export interface WorkQueue {
  /** Workers that have checked in. */
  readonly threads: number
  /** How many commands were given so far, and how many of them have run or were dropped. */
  readonly given: number
  readonly done: number
  /** Whether work of this length belongs in the queue: also when it must wait for what is there. */
  takes(nanoseconds: number): boolean
  push(command: Exclude<Command, Question>): void
  /** The bytes that the command gives when its turn has come. */
  ask(question: Question): Promise<Uint8Array>
  /** Calls when the last command given has run or failed, at once if none is under way; latest first after a failure. */
  afterwards(outcome: Outcome): void
  /** Throws a failure that nobody has heard of yet. */
  raise(): void
  /** The failure has reached the caller. */
  heard(error: Error): void
  /** Waits until everything has run; whether that is allowed here. */
  drain(): boolean
  /** Lets workers start that the calling thread keeps from starting. */
  turn(): Promise<void> | undefined
  start(): void
  close(): void
}

/** What the backend does for a queue whose workers cannot be started. */
export type Performer = (command: Command) => Uint8Array | undefined

/** Makes a queue of `threads` workers on this memory; words from `control` on are its own. `sharing`: which work they share. */
export type WorkQueueFactory = (
  memory: WebAssembly.Memory,
  threads: number,
  control: number,
  perform: Performer,
  sharing: Sharing,
) => WorkQueue
