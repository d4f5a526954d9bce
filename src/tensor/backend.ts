import type { DType } from '../shapes/dtype.js'
import type { Kernel } from '../kernels/kernel.js'
import type { Plan } from '../kernels/plan.js'

/** Memory of a backend. Opaque: only the backend that made it looks inside. */
export interface Buffer {
  readonly byteLength: number
}

/** What a backend says about its memory, in bytes. */
export interface MemoryStats {
  /** In live buffers now. */
  readonly used: number
  /** The most that was ever in live buffers at once. */
  readonly peak: number
  /** Taken from the system. */
  readonly reserved: number
  /** What it may take at most. */
  readonly limit: number
}

/** Element sizes in device memory. `bool` takes 4 bytes: 0 or 1 as u32, as on a GPU. */
export const bytesPerElement: Readonly<Record<DType, number>> = {
  f64: 8,
  f32: 4,
  f16: 2,
  bf16: 2,
  i32: 4,
  u32: 4,
  bool: 4,
}

/** A program bound to its buffers. */
export interface Executable {
  run(scalars: Float64Array): void
  /** Runs kernel by kernel; gives the time of each in the order of the plan, ns. */
  profile(scalars: Float64Array): Promise<readonly number[]>
  release(): void
}

/**
 * A place that stores numbers and runs kernels. Everything above this line is the same on every backend.
 * Kernels run in the order they were given; only reading may wait.
 */
export interface Backend {
  readonly name: string
  /** One line for people: mode, threads. */
  readonly description: string
  /** What it computes with, and why, for people: `doctor` prints it. */
  facts?(): Readonly<Record<string, string>>
  /** Whether it is still finding out in the background what `facts` will say; work makes it begin. */
  readonly pending?: boolean
  supports(dtype: DType): boolean
  /** Throws `DeviceError` naming need and limit. Contents are unspecified. */
  allocate(byteLength: number): Buffer
  free(buffer: Buffer): void
  /**
   * Runs one kernel, now or once everything before has run. `buffers` are the operands' in the kernel's order: inputs then outputs
   * (`map`, `reduce`), a, b, output (`matmul`), source, index, output (`gather`, `scatter`);
   * for `foreach` the buffers its parts refer to. `scalars` fill the `scalar` slots.
   */
  run(kernel: Kernel, buffers: readonly Buffer[], scalars: readonly number[]): void
  write(buffer: Buffer, byteOffset: number, bytes: Uint8Array): void
  /** A copy of the bytes once everything before has run. */
  read(buffer: Buffer, byteOffset: number, byteLength: number): Promise<Uint8Array>
  /** The same without waiting; absent, or undefined while the bytes are not there yet, where the device cannot block. */
  readSync?(buffer: Buffer, byteOffset: number, byteLength: number): Uint8Array | undefined
  /**
   * The memory itself, without a copy, until the next allocation; absent, or undefined, where the host cannot see it, or
   * not without waiting.
   */
  view?(buffer: Buffer, byteOffset: number, byteLength: number): Uint8Array | undefined
  /**
   * Where kernels run while the caller goes on: has `outcome` called once everything given so far has run, or with what
   * broke it, the latest first. False when nothing is under way. Absent where nothing ever is.
   */
  afterwards?(outcome: (error?: Error) => void): boolean
  /** Copies bytes from one buffer to another. */
  copy(from: Buffer, fromOffset: number, to: Buffer, toOffset: number, byteLength: number): void
  /** Makes one program of many kernels. Where it is absent, the kernels of a plan run one after another. */
  compile?(plan: Plan, buffers: readonly Buffer[]): Executable
  memory(): MemoryStats
  /** Stops threads and returns memory. */
  close(): Promise<void>
}
