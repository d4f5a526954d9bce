/**
 * The kernel ABI. Every kernel is a function `(params: i32, thread: i32, threads: i32) -> ()` that reads its
 * arguments from a block of 32-bit words at `params` and does its share of the work. A descriptor is prepared
 * once into launches: a function, and the words of its block with gaps for what changes from run to run.
 * Eager runs fill a block and call; a compiled program can place filled blocks in memory once and call on.
 */
import type { DType } from '../../tensor/dtype.js'

/** Signature of every kernel. */
export const kernelParameters = ['i32', 'i32', 'i32'] as const
export type KernelFunction = (params: number, thread: number, threads: number) => void

/** A function in a compiled module, the same for all backends of one mode. */
export interface Entry {
  /** Unique in the process. */
  readonly id: number
  readonly module: WebAssembly.Module
  /** Its export. */
  readonly name: string
  /** Kernels its module calls: imported as `kernels.<id>`, or found in the table. */
  readonly imports?: readonly Entry[]
  /** Whether it is called by way of the table, where its position is `id`. */
  readonly inTable?: boolean
}

/** A word that receives an address: that of operand `operand` plus `bytes`. */
export interface PointerWord {
  readonly word: number
  /** Position in the list of buffers, or `scratch`. */
  readonly operand: number
  readonly bytes: number
}

/** A word that receives a host scalar, rounded to `dtype`. */
export interface ScalarWord {
  readonly word: number
  readonly slot: number
  readonly dtype: DType
}

/** Stands for the kernel's scratch memory in `PointerWord.operand`. */
export const scratch = -1

/** Words that say what a kernel calls on its results: a position in the table, or 0, and the distance to its block. */
export interface CallWords {
  readonly call: number
  readonly callBlock: number
}

/** One call of a kernel function by all threads. */
export interface Launch {
  readonly entry: Entry
  /** The argument block; words named by `pointers` and `scalars` are overwritten. */
  readonly block: Int32Array
  readonly pointers: readonly PointerWord[]
  readonly scalars: readonly ScalarWord[]
  /** Rough time of the whole work on one thread: decides whether waking others pays. */
  readonly nanoseconds: number
  /** Of kernels that can call an epilogue. */
  readonly callWords?: CallWords
}

/** Word of a checking launch's block: the position of the first invalid operand, or −1. */
export const foundWord = 3

/** What a descriptor becomes: launches in order, sharing one scratch area. */
export interface Prepared {
  readonly launches: readonly Launch[]
  /** Scratch memory for `threads` threads, contents unspecified at the start. */
  scratchBytes(threads: number): number
  /**
   * Called after the first launch, whose block starts at word `at`: throws when it found the operands invalid, which its
   * word `foundWord` says. No later launch may run then.
   */
  readonly check?: (words: Int32Array, at: number) => void
}

/** Most threads a kernel is ever called with. */
export const maxThreads = 16
