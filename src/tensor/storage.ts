import type { DType } from '../shapes/dtype.js'
import { CaptureError, DisposedError, HalfWrittenError, OptionError } from '../shapes/errors.js'
import { type Buffer, bytesPerElement } from './backend.js'
import type { Device } from './device.js'
import type { TensorRecord } from './record.js'

/** The stretch of a backend buffer that a storage occupies. */
export interface Block {
  readonly buffer: Buffer
  readonly byteOffset: number
  /** Called once, when the last tensor on the storage is gone. */
  release(): void
}

/** Work on storages that has been put off until somebody needs it done. */
export interface Unsettled {
  /** Memory that tells the work's own kernels what to do: what reads it is the work itself. */
  readonly table: Storage
  /** Does the work now; where `written` is given, at least what has to read that storage as it is. */
  settle(written?: Storage): void
  /** Does what has to read these rows of the storage as they are, now or in every run of what is captured. */
  settleRows?(written: Storage, index: TensorRecord): void
}

/** How many contents there have been, of any memory. */
let contents = 0

/**
 * Memory shared by a tensor and its views, counted by reference. Its address never changes while
 * anything uses it. `version` names what it holds: no other contents of any memory have that number, so that a backward
 * over changed values is noticed, also when they are another model's.
 */
export class Storage {
  #version = ++contents
  #references = 1
  #block: Block | undefined
  /** Set when the numbers have moved to the host: see `spill`. */
  #host: Uint8Array | undefined
  #captured: boolean
  #halfWritten = false

  /** Without a block the storage stands for memory that a captured program will have: see `Recorder`. */
  constructor(
    readonly device: Device,
    readonly byteLength: number,
    block?: Block,
  ) {
    this.#block = block
    this.#captured = block === undefined
  }

  /** True while this stands for memory of a program that is being captured. */
  get captured(): boolean {
    return this.#captured
  }

  /** A storage whose numbers are on the host until a kernel needs them. */
  static onHost(device: Device, bytes: Uint8Array): Storage {
    const storage = new Storage(device, bytes.byteLength)
    storage.#captured = false
    storage.#host = bytes
    return storage
  }

  get version(): number {
    return this.#version
  }
  /** Says that the contents are new. */
  changed(): void {
    this.#version = ++contents
  }

  /** True when exactly one tensor uses the storage, so that it may be overwritten by its last reader. */
  get unshared(): boolean {
    return this.#references === 1
  }

  /** False while a function is captured: nothing has a value then, parameters none of this step. */
  get readable(): boolean {
    return !this.#captured && !this.device.recorder
  }

  /** True once a run has broken off while it was writing this, until all of it is written again. */
  get halfWritten(): boolean {
    return this.#halfWritten
  }
  set halfWritten(value: boolean) {
    if (value === this.#halfWritten || this.byteLength === 0 || (value && this.#references < 1)) return
    this.#halfWritten = value
    this.device.halfWritten += value ? 1 : -1
  }

  /** Throws: `HalfWrittenError` naming `what`. */
  requireWhole(what = 'This tensor'): void {
    if (!this.#halfWritten) return
    const remedy =
      'load a saved file with loadModel(model, bytes), copy a whole model over it with update({ target, source }, copy()), ' +
      'or, if it belongs to an optimizer or a shadow, call its reset()'
    throw new HalfWrittenError(
      `${what} is half-written: a run broke off while writing it, because a thread ended or trapped; ${remedy}.`,
    )
  }

  requireReadable(): void {
    this.requireWhole()
    if (this.readable) return
    const remedy =
      'return the tensor and read it outside, choose between tensors with where(), ' +
      'or let a value decide on an update with update(…, { if: loss.lt(best) })'
    throw new CaptureError(
      `compile: a value cannot be read while the function is captured, it has none yet; ${remedy}.`,
    )
  }

  get block(): Block {
    if (this.#captured) this.requireReadable()
    if (this.#block === undefined) {
      if (this.#host === undefined) throw new DisposedError('This memory was released: its tensor was disposed.')
      this.#block = this.device.block(this.byteLength)
      this.device.backend.write(this.#block.buffer, this.#block.byteOffset, this.#host)
      this.#host = undefined
    }
    return this.#block
  }

  /** First element of the storage, counted from the start of its buffer; 0 while captured. */
  elementOffset(dtype: DType): number {
    if (this.#captured) return 0
    return this.block.byteOffset / bytesPerElement[dtype]
  }

  retain(): this {
    this.#references++
    return this
  }

  release(): void {
    if (--this.#references > 0) return
    this.halfWritten = false
    this.#block?.release()
    this.#block = undefined
    this.#host = undefined
  }

  /** What still has to be written here; whoever uses the contents settles it first. */
  unsettled: Unsettled | undefined
  /** Work that still has to read the contents as they are; whoever writes here settles it first. */
  readers: Set<Unsettled> | undefined

  /** Before the contents change; `done` have read them. */
  settleReaders(done?: ReadonlySet<Unsettled>): void {
    if (this.readers) for (const reader of this.readers) if (!done?.has(reader)) reader.settle(this)
  }

  /** Before some rows change: those that `index` names. */
  settleRows(index: TensorRecord): void {
    const { recorder } = this.device
    for (const reader of this.readers ?? []) {
      if (reader.settleRows) {
        reader.settleRows(this, index)
        recorder?.settledRows(this, reader)
      } else if (!recorder) reader.settle(this)
    }
  }

  /** While set, why the contents may be read only: they are another model's. */
  borrowed: string | undefined

  /** Throws: `OptionError` while the contents are another model's. */
  requireOwn(): void {
    if (this.borrowed) throw new OptionError(this.borrowed)
  }

  /**
   * Two storages of one size change places: no byte moves. What programs know of them holds no more. Nothing may be put
   * off on either.
   */
  static exchange(a: Storage, b: Storage): void {
    const [block, version, halfWritten] = [a.block, a.#version, a.#halfWritten]
    a.#block = b.block
    a.#version = b.#version
    a.#halfWritten = b.#halfWritten
    b.#block = block
    b.#version = version
    b.#halfWritten = halfWritten
    a.device.exchanges++
  }

  write(byteOffset: number, bytes: Uint8Array): void {
    this.requireOwn()
    this.settleReaders()
    this.unsettled?.settle()
    if (this.#captured) {
      // Numbers of the host that meet a capture are constants of the program.
      this.#block = this.device.constantBlock(this)
      this.#captured = false
    } else if (this.device.recorder) {
      const remedy = 'write to it outside, or use optimizers and update(…)'
      throw new CaptureError(
        `compile: host numbers cannot be written to a tensor while a function is captured; ${remedy}.`,
      )
    }
    const { buffer, byteOffset: start } = this.block
    this.device.backend.write(buffer, start + byteOffset, bytes)
    if (byteOffset === 0 && bytes.byteLength === this.byteLength) this.halfWritten = false
    this.changed()
  }

  async read(byteOffset: number, byteLength: number): Promise<Uint8Array> {
    this.requireReadable()
    this.unsettled?.settle()
    if (this.#host) return this.#host.slice(byteOffset, byteOffset + byteLength)
    const { buffer, byteOffset: start } = this.block
    return this.device.backend.read(buffer, start + byteOffset, byteLength)
  }

  /** Undefined where the device cannot block. */
  readSync(byteOffset: number, byteLength: number): Uint8Array | undefined {
    this.requireReadable()
    this.unsettled?.settle()
    if (this.#host) return this.#host.slice(byteOffset, byteOffset + byteLength)
    const { buffer, byteOffset: start } = this.block
    return this.device.backend.readSync?.(buffer, start + byteOffset, byteLength)
  }

  /**
   * Moves the numbers to the host and returns the device memory at once; they come back by themselves
   * when a kernel needs them. Keeps a training loop's loss readable without keeping device memory.
   * Where the device cannot block, nothing happens.
   */
  spill(): void {
    if (!this.#block || this.#captured) return
    const bytes = this.device.backend.readSync?.(this.#block.buffer, this.#block.byteOffset, this.byteLength)
    if (!bytes) return
    this.#host = bytes
    this.#block.release()
    this.#block = undefined
  }
}
