import { contiguousStrides, sizeOf } from '../shapes/strides.js'
import type { DType } from '../shapes/dtype.js'
import type { Operand } from '../kernels/kernel.js'
import { DeviceError, DisposedError, ShapeError } from '../shapes/errors.js'
import { bytesPerElement } from './backend.js'
import type { Device } from './device.js'
import { formatTensor } from './format.js'
import { nested, readElements, type TypedArray } from './elements.js'
import { currentScope, type Scope } from './scope.js'
import type { Storage } from './storage.js'
import { Tape } from './tape.js'

/** Trainable, or state that is kept with the model but not trained. */
export type Role = 'parameter' | 'buffer'

/** Where a tensor's elements lie. */
export interface Layout {
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  /** First element, counted from the start of the storage. */
  readonly offset: number
}

/** Returns memory of tensors nobody can reach any more. A safety net: nothing may depend on when it runs. */
const forgotten = new FinalizationRegistry<Storage>((storage) => storage.release())

let nextId = 0

/**
 * A tensor at run time. The typed face of it is the interface `Tensor`, which the methods in
 * ops/fluent.ts complete; code inside the library uses this class, users never see it.
 */
export class TensorRecord implements Layout {
  readonly id = nextId++
  readonly dtype: DType
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  readonly offset: number
  role: Role | undefined
  /** A frozen parameter takes no gradient and no optimizer step. */
  frozen = false
  /** The tape this tensor is on. */
  recording: Tape | undefined
  /** For a traced input: the tensor it was traced from. */
  source: TensorRecord | undefined
  /** Whether a trainable parameter took part in computing it. */
  trained = false
  /** How this was computed from parameters alone: joins the first tape that it meets. */
  pending: Tape | undefined
  #storage: Storage
  #fate: string | undefined
  #scope: Scope | undefined

  /** Takes over one reference to `storage`. */
  constructor(storage: Storage, layout: Layout, role?: Role) {
    this.#storage = storage
    this.dtype = layout.dtype
    this.shape = layout.shape
    this.strides = layout.strides
    this.offset = layout.offset
    this.role = role
    forgotten.register(this, storage, this)
    if (!role) this.joinScope(currentScope())
  }

  get storage(): Storage {
    if (this.#fate) throw new DisposedError(`This ${describe(this)} was released: ${this.#fate}.`)
    return this.#storage
  }
  /** How often the storage was written in place. */
  get version(): number {
    return this.#storage.version
  }
  get device(): Device {
    return this.#storage.device
  }
  get tape(): 'none' | 'taped' {
    return this.recording ? 'taped' : 'none'
  }
  get rank(): number {
    return this.shape.length
  }
  get size(): number {
    return sizeOf(this.shape)
  }
  get disposed(): boolean {
    return this.#fate !== undefined
  }
  /** Row-major without gaps. */
  get contiguous(): boolean {
    const expected = contiguousStrides(this.shape)
    return this.size === 0 || this.strides.every((stride, axis) => stride === expected[axis] || this.shape[axis] === 1)
  }

  /** As a kernel sees it. */
  operand(strides: readonly number[] = this.strides): Operand {
    return { dtype: this.dtype, strides, offset: this.offset + this.storage.elementOffset(this.dtype) }
  }

  /** Another tensor on the same storage, on no tape. */
  view(layout: Partial<Layout> = {}): TensorRecord {
    const { dtype, shape, strides, offset } = this
    return new TensorRecord(this.storage.retain(), { dtype, shape, strides, offset, ...layout })
  }

  /**
   * The same values, with a tape that records what is computed from them: the way to a gradient.
   * What is computed from a tape is on it already and is returned as it is.
   * Torch: `requires_grad_()` on parameters; here parameters need nothing, the tape starts at the input.
   */
  trace(): TensorRecord {
    if (this.recording && !this.source) return this
    const traced = this.view()
    traced.recording = this.recording && !this.recording.consumed ? this.recording.root : new Tape()
    traced.source = this.source ?? this
    traced.trained = traced.source.role === 'parameter' && !traced.source.frozen
    return traced
  }

  /** The same values without the tape. Torch: `detach()`. */
  detach(): TensorRecord {
    return this.view()
  }

  /** Returns the memory now instead of when the garbage collector finds the tensor. */
  dispose(fate = 'dispose() was called'): void {
    if (this.#fate) return
    // Who has put off work with these values cannot ask for them any more.
    if (this.#storage.readers && this.#storage.unshared) this.#storage.settleReaders()
    this.#fate = fate
    if (this.pending && !this.recording) this.pending.abandon(this)
    this.pending = undefined
    this.leaveScope()
    forgotten.unregister(this)
    this.#storage.release()
  }

  joinScope(scope: Scope | undefined): void {
    this.#scope = scope
    scope?.created.add(this)
  }
  leaveScope(): void {
    this.#scope?.created.delete(this)
    this.#scope = undefined
  }

  /** Reading while a function is captured throws at once: a rejected promise would be noticed elsewhere, or never. */
  data(): Promise<TypedArray> {
    this.#requireReadable()
    return this.#read()
  }
  async #read(): Promise<TypedArray> {
    return readElements(this, (start, length) => this.storage.read(start, length))
  }
  #requireReadable(): void {
    if (!this.disposed) this.#storage.requireReadable()
  }
  dataSync(): TypedArray {
    this.#requireReadable()
    return readElements(this, (start, length) => {
      const bytes = this.storage.readSync(start, length)
      if (bytes) return bytes
      throw new DeviceError(
        `dataSync: the ${this.device.name} device is not done and cannot block here; use await x.item(), x.data() or x.array().`,
      )
    })
  }
  array(): Promise<unknown> {
    return this.data().then((data) => nested(this, data))
  }
  arraySync(): unknown {
    return nested(this, this.dataSync())
  }
  item(): Promise<number> {
    this.#requireReadable()
    return this.#readSingle()
  }
  async #readSingle(): Promise<number> {
    this.#requireSingle('item')
    return (await this.data())[0] ?? Number.NaN
  }
  itemSync(): number {
    this.#requireSingle('itemSync')
    return this.dataSync()[0] ?? Number.NaN
  }
  #requireSingle(op: string): void {
    if (this.size === 1) return
    const remedy = 'reduce it with .sum() or .mean(), or read all with data()'
    throw new ShapeError(`${op}: needs one element, got shape [${this.shape}]; ${remedy}.`, {
      op,
      shapes: [this.shape],
    })
  }

  toString(): string {
    return this.disposed ? `${describe(this)} (released)` : formatTensor(this)
  }
  /** `x > 3` and `+x` are no way to a value; while a function is captured they would decide for all runs. */
  [Symbol.toPrimitive](hint: string): string | number {
    if (hint !== 'number') return this.toString()
    this.#requireReadable()
    return Number.NaN
  }
  /** What Node prints for console.log(x). */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

/** `f32 tensor of shape [32, 784]`, for messages. */
export function describe(layout: Pick<Layout, 'dtype' | 'shape'>): string {
  return `${layout.dtype} tensor of shape [${layout.shape.join(', ')}]`
}

/** A new, uninitialised, contiguous tensor. */
export function emptyTensor(device: Device, dtype: DType, shape: readonly number[], role?: Role): TensorRecord {
  device.requireDType('create', dtype)
  const byteLength = sizeOf(shape) * bytesPerElement[dtype]
  const storage = role ? device.allocateParameter(byteLength) : device.allocate(byteLength)
  return new TensorRecord(storage, { dtype, shape, strides: contiguousStrides(shape), offset: 0 }, role)
}

/** The run-time face of a typed tensor. */
export function recordOf(tensor: unknown): TensorRecord {
  if (tensor instanceof TensorRecord) return tensor
  const got = typeof tensor === 'object' ? (tensor?.constructor?.name ?? 'null') : typeof tensor
  throw new ShapeError(`Expected a tensor, got ${got}: make one with tensor(value).`)
}

/** The typed face of a tensor whose shape the caller has just computed by the rule that the type states. */
export function typed<X>(record: TensorRecord): X {
  // The one place where run-time shapes meet the types that predict them; tests/ops compares the two.
  return record as unknown as X
}
