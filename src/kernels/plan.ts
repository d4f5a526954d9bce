import type { Kernel } from './kernel.js'

/** One kernel of a program, with its place in everything the program shares. */
export interface PlanStep {
  readonly kernel: Kernel
  /** For each buffer of the kernel: its position in the program's list of buffers. */
  readonly buffers: readonly number[]
  /** For each scalar slot: its position in the program's table of scalars. */
  readonly scalars: readonly number[]
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
