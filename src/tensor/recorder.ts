import type { Kernel } from '../kernels/kernel.js'
import type { TensorRecord } from './record.js'
import type { Storage, Unsettled } from './storage.js'

/** Numbers for the `scalar` slots of a kernel that the host works out anew before every run, in f64. */
export class HostScalars {
  #values: readonly number[] = []

  constructor(protected readonly compute: () => readonly number[]) {}

  get values(): readonly number[] {
    return this.#values
  }

  refresh(): void {
    this.#values = this.compute()
  }
}

/** Holds unless all of some conditions of the host do: it follows them, and is not refreshed itself. */
export class NotAll extends HostScalars {
  constructor(readonly conditions: readonly HostScalars[]) {
    super(() => (conditions.every(({ values }) => values[0] !== 0) ? never : always))
  }

  override get values(): readonly number[] {
    return this.compute()
  }
}

const [never, always] = [[0], [1]]

/** What must hold for kernels to run: a host condition (a first number that is not 0), or a bool in memory. */
export type Guard = HostScalars | { readonly storage: Storage; readonly offset: number }

export type Scalars = readonly number[] | HostScalars

/** What takes the place of execution while a function is captured. */
export interface Recorder {
  run(kernel: Kernel, storages: readonly Storage[], scalars: Scalars): void
  /** `undo` takes `effect` back when the run it belonged to has failed. */
  onHost(effect: () => void, undo?: () => void): void
  /** What the host looks at after each run; it may throw, after which the others are still asked. */
  afterRun(check: () => void): void
  /** What `body` runs, runs only where the guard holds. */
  guarded(guard: Guard, body: () => void): void
  /** What `body` runs, runs once `storage` has been written, not as early as it could. */
  after<R>(storage: Storage, body: () => R): R
  /** What the reader has to read of a storage before rows of it change is part of the program. */
  settledRows(storage: Storage, reader: Unsettled): void
  /** What `body` runs reads memory as it is, whatever has been put off on it. */
  asItIs(body: () => void): void
  /** A parameter took part, frozen or not: a program holds for that state only. */
  parameter(record: TensorRecord): void
  /** A storage whose contents are part of the program. */
  keep(storage: Storage): void
}
