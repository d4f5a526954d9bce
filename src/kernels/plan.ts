import type { Kernel } from './kernel.js'

/** What must hold for a kernel to run: a host number that is not 0, or a bool in memory. */
export type PlanGuard =
  | { readonly scalar: number }
  | {
      /** Position in the program's list of buffers. */
      readonly buffer: number
      readonly byteOffset: number
    }

/** One kernel of a program, with its place in everything the program shares. */
export interface PlanStep {
  readonly kernel: Kernel
  /** For each buffer of the kernel: its position in the program's list of buffers. */
  readonly buffers: readonly number[]
  /** For each scalar slot: its position in the program's table of scalars. */
  readonly scalars: readonly number[]
  /** All must hold, else the kernel neither reads nor writes. */
  readonly guards: readonly PlanGuard[]
}

/** Kernels between two barriers: `shared` ones are independent of each other and of `single`, which one thread runs in order. */
export interface PlanPhase {
  readonly shared: readonly PlanStep[]
  readonly single: readonly PlanStep[]
}

/** A whole program as a backend executes it: fixed kernels on fixed memory; only the table of scalars changes. */
export interface Plan {
  readonly phases: readonly PlanPhase[]
  readonly scalarCount: number
}
