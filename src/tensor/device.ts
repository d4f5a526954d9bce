import type { DType } from '../shapes/dtype.js'
import type { Kernel } from '../kernels/kernel.js'
import { writesOf } from '../kernels/writes.js'
import { CaptureError, DeviceError, DTypeError, HalfWrittenError } from '../shapes/errors.js'
import { type Backend, type Buffer, bytesPerElement, type MemoryStats } from './backend.js'
import { Generator } from './generator.js'
import { HostScalars, type Recorder, type Scalars } from './recorder.js'
import { type Block, Storage, type Unsettled } from './storage.js'

const alignment = 64
const arenaChunk = 4 << 20
const align = (bytes: number) => Math.ceil(bytes / alignment) * alignment

/** The device that a function is being captured on. */
let capturing: Device | undefined

/** Whether a function is being captured now: nothing runs and nothing can be read then. */
export const isCapturing = (): boolean => capturing !== undefined

/**
 * Runs `fn` with everything that it would run on `device` given to `recorder` instead.
 *
 * Throws: `CaptureError` inside another one, and when `fn` computes on another device.
 */
export function recordOn<R>(device: Device, recorder: Recorder, fn: () => R): R {
  if (capturing)
    throw new CaptureError('compile: a compiled function was called inside another; call the plain function there.')
  capturing = device
  device.recorder = recorder
  try {
    return fn()
  } finally {
    capturing = undefined
    device.recorder = undefined
  }
}

/** A backend with what belongs to it: a random generator and the arena that parameters are laid out in. */
export class Device {
  readonly generator = new Generator()
  /** While a function is captured: who takes what would otherwise run now. */
  recorder: Recorder | undefined
  /** How many storages are half-written: 0, unless a run broke off. */
  halfWritten = 0
  /** How often storages have changed places. */
  exchanges = 0
  #asItIs = false
  #noted: HostScalars[] | undefined
  #replayed: Iterator<HostScalars> | undefined
  #arena: { buffer: Buffer; used: number; live: number } | undefined

  constructor(readonly backend: Backend) {}

  get name(): string {
    return this.backend.name
  }

  /** Runs `body` now, also while a function is captured: the memory that it allocates stays, and is no part of a program. */
  aside<R>(body: () => R): R {
    const { recorder } = this
    const outer = capturing
    this.recorder = undefined
    capturing = undefined
    try {
      return body()
    } finally {
      this.recorder = recorder
      capturing = outer
    }
  }

  /** A block of its own. */
  block(byteLength: number): Block {
    const buffer = this.backend.allocate(byteLength)
    return { buffer, byteOffset: 0, release: () => this.backend.free(buffer) }
  }

  allocate(byteLength: number): Storage {
    if (this.recorder) return new Storage(this, byteLength)
    return new Storage(this, byteLength, this.block(byteLength))
  }

  /**
   * Consecutive calls give consecutive addresses (64-byte aligned), so a model built in one go is one
   * stretch of memory and a whole-model pass is one stream.
   */
  allocateParameter(byteLength: number): Storage {
    if (this.recorder)
      throw new CaptureError(
        'compile: models, parameters and optimizers are made outside the compiled function; it would make new ones in every step.',
      )
    const size = align(byteLength)
    if (!this.#arena || this.#arena.used + size > this.#arena.buffer.byteLength) {
      const buffer = this.backend.allocate(Math.max(arenaChunk, size))
      this.#arena = { buffer, used: 0, live: 0 }
    }
    const arena = this.#arena
    const byteOffset = arena.used
    arena.used += size
    arena.live++
    const release = () => {
      if (--arena.live > 0) return
      if (arena === this.#arena) this.#arena = undefined
      this.backend.free(arena.buffer)
    }
    return new Storage(this, byteLength, { buffer: arena.buffer, byteOffset, release })
  }

  run(kernel: Kernel, storages: readonly Storage[], scalars: Scalars = []): void {
    if (this.recorder) this.recorder.run(kernel, storages, scalars)
    else if (capturing) throw this.#foreign(capturing)
    else this.#runNow(kernel, storages, scalars instanceof HostScalars ? scalars.values : scalars)
  }

  #runNow(kernel: Kernel, storages: readonly Storage[], scalars: readonly number[]): void {
    if (!this.#asItIs) settle(storages)
    const replaced = this.halfWritten > 0 ? replacedBy(kernel, storages) : undefined
    if (replaced) for (const storage of storages) if (!replaced.has(storage)) storage.requireWhole()
    const broken = (error: unknown) => {
      if (error instanceof HalfWrittenError)
        for (const storage of writtenBy(kernel, storages)) storage.halfWritten = true
    }
    try {
      this.backend.run(kernel, storages.map(bufferOf), scalars)
      this.backend.afterwards?.(broken)
    } catch (error) {
      broken(error)
      throw error
    }
    for (const storage of replaced ?? []) storage.halfWritten = false
  }

  /** Runs `body` on what memory holds now, whatever has been put off on it. */
  asItIs(body: () => void): void {
    if (this.recorder) {
      this.recorder.asItIs(body)
      return
    }
    const outer = this.#asItIs
    this.#asItIs = true
    try {
      body()
    } finally {
      this.#asItIs = outer
    }
  }

  /** During the host's work before a run of a program: what it uses directly and so cannot be put off. */
  needed: ReadonlySet<Unsettled> | undefined

  /** Numbers that the host works out anew before every run: random keys, learning rates. */
  hostScalars(compute: () => readonly number[]): HostScalars {
    const known = this.#replayed?.next().value
    if (known) return known
    const scalars = new HostScalars(compute)
    this.onHost(() => scalars.refresh())
    this.#noted?.push(scalars)
    return scalars
  }

  /** Runs `body` and notes the host scalars that it makes. */
  noteScalars<R>(noted: HostScalars[], body: () => R): R {
    const outer = this.#noted
    this.#noted = noted
    try {
      return body()
    } finally {
      this.#noted = outer
      outer?.push(...noted)
    }
  }

  /** Runs `body` again with the host scalars that were noted: random numbers repeat. */
  replayScalars<R>(noted: readonly HostScalars[], body: () => R): R {
    const outer = this.#replayed
    this.#replayed = noted.values()
    try {
      return body()
    } finally {
      this.#replayed = outer
    }
  }

  /** Runs `body`; a captured program does so only once `storage` has been written. */
  after<R>(storage: Storage, body: () => R): R {
    return this.recorder ? this.recorder.after(storage, body) : body()
  }

  /**
   * What the host does in every run, before the kernels: counting steps. Now, or with each run of a captured program;
   * `undo` takes it back when that run fails.
   */
  onHost(effect: () => void, undo?: () => void): void {
    if (this.recorder) this.recorder.onHost(effect, undo)
    else effect()
  }

  /** Runs `check` once what was asked for has run: now, or after each run of a captured program. */
  afterRun(check: () => void): void {
    if (this.recorder) this.recorder.afterRun(check)
    else check()
  }

  /** Runs `body` if the condition holds: asked now, or before each run of a captured program. */
  when(condition: () => boolean, body: () => void): void {
    if (this.recorder)
      this.recorder.guarded(
        this.hostScalars(() => [Number(condition())]),
        body,
      )
    else if (condition()) body()
  }

  /**
   * Runs `body` if the bool at `offset` of `storage` holds: read now, or by each run of a captured program where it
   * has got to.
   *
   * Throws: `DeviceError` where the device cannot block and nothing is captured.
   */
  whenTrue(storage: Storage, offset: number, body: () => void): void {
    if (this.recorder) {
      this.recorder.guarded({ storage, offset }, body)
      return
    }
    const bytes = storage.readSync(offset * bytesPerElement.bool, bytesPerElement.bool)
    if (!bytes)
      throw new DeviceError(`A condition on values needs compile() on the ${this.name} device, which cannot block.`)
    if (bytes.some((byte) => byte !== 0)) body()
  }

  /** While a function is captured for another device, this one would compute once instead of in every run. */
  #foreign({ name }: Device): CaptureError {
    const here = name === this.name ? `another ${name} device` : name
    const remedy =
      'create its arguments, models and other tensors on one device; without arguments that is the default device'
    return new CaptureError(`compile: the function computes on ${this.name}, but is captured for ${here}; ${remedy}.`)
  }

  /** Memory for a constant that a captured function made; the program keeps it. */
  constantBlock(storage: Storage): Block {
    this.recorder?.keep(storage)
    return this.block(storage.byteLength)
  }

  requireDType(op: string, dtype: DType): void {
    if (!(dtype in bytesPerElement)) {
      const known = Object.keys(bytesPerElement).join(', ')
      throw new DTypeError(`${op}: there is no dtype "${String(dtype)}"; use one of ${known}.`, { op })
    }
    if (this.backend.supports(dtype)) return
    const message = `${op}: the ${this.name} device has no ${dtype}; use f32, or create the tensors on referenceDevice() of dfdt/testing.`
    throw new DTypeError(message, { op })
  }

  memory(): MemoryStats {
    return this.backend.memory()
  }

  close(): Promise<void> {
    return this.backend.close()
  }
}

/** Does what was put off on these storages, unless it is just that which uses them. */
function settle(storages: readonly Storage[]): void {
  let seen: Unsettled | undefined
  for (const { unsettled } of storages) {
    if (!unsettled || unsettled === seen) continue
    seen = unsettled
    if (!storages.includes(unsettled.table)) unsettled.settle()
  }
}

const bufferOf = (storage: Storage): Buffer => storage.block.buffer

/** What a kernel writes of memory that was there before. */
function writtenBy(kernel: Kernel, storages: readonly Storage[]): Storage[] {
  return [...writesOf(kernel).keys()].flatMap((slot) => storages[slot] ?? [])
}

/** What a kernel writes without regard to what was there, from end to end. */
export function replacedBy(kernel: Kernel, storages: readonly Storage[]): Set<Storage> {
  const replaced = new Set<Storage>()
  for (const [slot, { dtype, count, kept }] of writesOf(kernel)) {
    const storage = storages[slot]
    if (!storage || kept || count * bytesPerElement[dtype] !== storage.byteLength) continue
    if (storages.indexOf(storage) === storages.lastIndexOf(storage)) replaced.add(storage)
  }
  return replaced
}

let current: Device | undefined
let provider: (() => Device) | undefined

/** How the default device is made when it is first needed; called by the package's entry points. */
export function provideDefaultDevice(make: () => Device): void {
  provider ??= make
}

/** Where tensors are created when no device is given. */
export function defaultDevice(): Device {
  current ??= newDevice()
  return current
}

/** A new device, made as the default one is: for work that must not share memory with others. The caller closes it. */
export function newDevice(): Device {
  if (!provider) throw new DeviceError('No device: import dfdt, or call setDefaultDevice(device) first.')
  return provider()
}

/** Makes `device` the place where tensors, layers and optimizers are created from now on. */
export function setDefaultDevice(device: Device): void {
  current = device
}

/** Restarts the default device's random numbers: initialisation, `uniform`, `normal`, dropout. Torch: `manual_seed`. */
export function manualSeed(seed: number): void {
  const device = defaultDevice()
  device.onHost(() => device.generator.manualSeed(seed))
}
