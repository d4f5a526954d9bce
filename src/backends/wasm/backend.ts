import type { Kernel } from '../../kernels/kernel.js'
import type { Plan } from '../../kernels/plan.js'
import type { Backend, Buffer, Executable, MemoryStats } from '../../tensor/backend.js'
import type { DType } from '../../tensor/dtype.js'
import { DeviceError, HalfWrittenError, OptionError, ShapeError } from '../../tensor/errors.js'
import { directions, fill, useInQueue, WasmBuffer } from './buffer.js'
import type { Target } from './generated.js'
import { type Entry, type KernelFunction, type Launch, maxThreads, type Prepared, scratch } from './launch.js'
import { bitsOf } from './lowering.js'
import { DeviceMemory, readable } from './memory.js'
import { chooseMode, type Mode, type ModeName, reasonFor, type WideSwitch } from './modes.js'
import { extents, kernelKey, prepare } from './prepare.js'
import { makeProgram } from './program.js'
import { Sharing } from './sharing.js'
import type { ThreadPool, ThreadPoolFactory } from './thread-pool.js'
import { type TrialRunner, Tuning } from './tuning.js'
import type { Command, Job, Outcome, Part, WorkQueue, WorkQueueFactory } from './work-queue.js'

export interface WasmBackendOptions {
  /** `256` switches an experimental flag of the whole process (Node 24+ on x64). Default: the fastest other one. */
  readonly mode?: ModeName
  /** Outputs of a product that are kept in registers, such as '5x16'. Default: chosen by mode and processor, then by trials. */
  readonly tile?: string
  /**
   * How many threads compute. Default: all cores, in Node and in a cross-origin isolated page; elsewhere 1. With more
   * than one, a page's kernels run on workers while its own thread goes on, so read with `await`.
   */
  readonly threads?: number
  /** Most memory to take. Default: 4 GiB. */
  readonly maxBytes?: number
}

/** What the surroundings add to the core: threads, and the switch for 256-bit vectors. */
export interface Host {
  /** Absent where shared memory is: one thread then. */
  readonly threadPool?: ThreadPoolFactory
  /** Instead of a pool, where the calling thread should go on while kernels run. */
  readonly queue?: WorkQueueFactory
  readonly cores: number
  readonly enableWide: WideSwitch
  /** Vector registers of the processor. Default: 16. */
  readonly registers?: number
  /** Absent where tiles are not tried out in the background. */
  readonly trials?: TrialRunner | undefined
  /** For tests: threads that have started take part in all that can be shared, however small. */
  readonly shareAll?: boolean
}

/** Addresses below this belong to the backend: 0 to 4 KiB words of the thread pool, then argument blocks. */
const reservedBytes = 64 * 1024
const controlAddress = 256
const blockAddress = 4096
const mostPrepared = 4096
/** Larger scratch memory is given back at once. */
const keptScratch = 16 << 20
/** Of a copy, roughly. */
const bytesPerNanosecond = 5
const nothing: readonly never[] = []
const noFills = new Int32Array(0)

interface Ready extends Prepared {
  readonly extents: readonly number[]
}

/** Runs kernels as WebAssembly. Made by `createWasmBackend` of the Node or the browser half. */
export class WasmBackend implements Backend {
  readonly name = 'wasm'
  readonly mode: Mode
  /** See `Backend`: only where there is a queue. */
  readonly afterwards?: (outcome: Outcome) => boolean
  readonly #memory: DeviceMemory
  readonly #tuning: Tuning
  #target: Target
  readonly #pool: ThreadPool | undefined
  readonly #sharing: Sharing
  readonly #queue: WorkQueue | undefined
  readonly #asked: number
  readonly #askedMode: ModeName | undefined
  /** By descriptor, then by its structure: ops make descriptors anew at each call. */
  #known = new WeakMap<Kernel, Ready>()
  readonly #prepared = new Map<string, Ready>()
  /** What runs here of modules and entries that exist: nothing is kept for the sake of those that are gone. */
  #instances = new WeakMap<WebAssembly.Module, WebAssembly.Instance>()
  #functions = new WeakMap<Entry, KernelFunction>()
  /** What kernels call that is not known when they are written, by entry id. */
  readonly #table = new WebAssembly.Table({ element: 'anyfunc', initial: 0 })
  readonly #callees = new FinalizationRegistry<number>((id) => this.#table.set(id, null))
  #scratchAddress = 0
  #scratchSize = 0
  #closed = false

  constructor(options: WasmBackendOptions, host: Host) {
    const threads = options.threads ?? host.cores
    if (!Number.isInteger(threads) || threads < 1) {
      throw new OptionError(`threads is ${threads}, expected a whole number from 1. Leave it out to use every core.`)
    }
    this.mode = chooseMode(options.mode, host.enableWide)
    this.#askedMode = options.mode
    this.#sharing = new Sharing(host.shareAll)
    this.#asked = host.threadPool || host.queue ? Math.min(threads, maxThreads) : 1
    const shared = this.#asked > 1
    this.#memory = new DeviceMemory({ shared, maxBytes: options.maxBytes, reserved: reservedBytes })
    this.#tuning = new Tuning(this.mode, { registers: host.registers ?? 16, asked: options.tile, runner: host.trials })
    this.#target = { mode: this.mode, tile: this.#tuning.tile, shared, maximumPages: this.#memory.maximumPages }
    this.#pool = shared ? host.threadPool?.(this.#memory.wasm, this.#asked, controlAddress) : undefined
    const perform = (command: Command) => this.#perform(command)
    this.#queue = shared
      ? host.queue?.(this.#memory.wasm, this.#asked, controlAddress, perform, this.#sharing)
      : undefined
    const queue = this.#queue
    if (!queue) return
    this.afterwards = (outcome) => {
      const turn = queue.turn()
      if (queue.done < queue.given) queue.afterwards(outcome)
      else if (turn) void turn.then(() => this.#closed || outcome())
      else return false
      return true
    }
  }

  get description(): string {
    const vectors = { 256: '256-bit', fma: '128-bit with fused multiply-add', plain: '128-bit' }[this.mode.name]
    return `WebAssembly, ${vectors} vectors, ${this.#asked} ${this.#asked === 1 ? 'thread' : 'threads'}`
  }

  facts(): Readonly<Record<string, string>> {
    this.#settle()
    const active = this.#pool?.threads ?? this.#queue?.threads ?? 1
    return {
      mode: `${this.mode.name} (${reasonFor(this.mode, this.#askedMode)})`,
      tile: this.#tuning.fact,
      threads: `${this.#asked} at most, ${active} checked in; small kernels use one`,
    }
  }

  get pending(): boolean {
    this.#settle()
    return this.#tuning.pending
  }

  /** f64 is the reference device's. */
  supports(dtype: DType): boolean {
    return dtype !== 'f64'
  }

  allocate(byteLength: number): Buffer {
    this.#checkOpen()
    return new WasmBuffer(this, this.#allocate(byteLength), byteLength)
  }

  free(buffer: Buffer): void {
    const own = this.#own(buffer)
    if (own.freed) return
    own.freed = true
    const queue = this.#queue
    if (queue && own.inFlight(queue)) this.#release(own.address)
    else this.#memory.free(own.address)
  }

  run(kernel: Kernel, buffers: readonly Buffer[], scalars: readonly number[]): void {
    const ready = this.#known.get(kernel) ?? this.#prepare(kernel)
    this.#checkOpen()
    this.#queue?.raise()
    const own = this.#operands(ready, kernel, buffers)
    const { launches, check } = ready
    const queue = this.#queue
    const flow = queue && directions(kernel, own)
    for (const { failure } of flow?.read ?? nothing) if (failure) throw failure
    const queued = queue?.takes(launches.reduce((sum, { nanoseconds }) => sum + nanoseconds, 0)) ?? false
    const scratchBytes = ready.scratchBytes(this.#asked)
    if (scratchBytes > this.#scratchSize) this.#growScratch(scratchBytes)
    for (let i = 0; i < launches.length; i++) {
      const launch = launches[i]
      if (launch) this.#launch(launch, own, scalars, i === 0 ? check : undefined, queued)
    }
    if (queue && flow) this.#note(queue, own, flow.written, queued)
    if (this.#scratchSize > keptScratch) this.#dropScratch()
  }

  write(buffer: Buffer, byteOffset: number, bytes: Uint8Array): void {
    const own = this.#own(buffer)
    this.#checkRange(own, byteOffset, bytes.byteLength)
    const to = own.address + byteOffset
    const queue = this.#queue
    queue?.raise()
    const queued = queue !== undefined && own.inFlight(queue)
    if (queued) queue.push({ kind: 'write', to, bytes: new Uint8Array(bytes) })
    else this.#memory.bytes.set(bytes, to)
    if (queue) this.#note(queue, [own], [own], queued)
  }

  copy(from: Buffer, fromOffset: number, to: Buffer, toOffset: number, byteLength: number): void {
    const source = this.#own(from)
    const target = this.#own(to)
    this.#checkRange(source, fromOffset, byteLength)
    this.#checkRange(target, toOffset, byteLength)
    const queue = this.#queue
    queue?.raise()
    if (source.failure) throw source.failure
    const queued = queue?.takes(byteLength / bytesPerNanosecond) ?? false
    const places = { from: source.address + fromOffset, to: target.address + toOffset, length: byteLength }
    if (queued) queue?.push({ kind: 'copy', ...places })
    else this.#memory.bytes.copyWithin(places.to, places.from, places.from + byteLength)
    if (queue) this.#note(queue, [source, target], [target], queued)
  }

  /** A copy in memory of its own, never shared. */
  readSync(buffer: Buffer, byteOffset: number, byteLength: number): Uint8Array | undefined {
    const own = this.#own(buffer)
    this.#checkRange(own, byteOffset, byteLength)
    const queue = this.#queue
    if (queue && own.inFlight(queue) && !queue.drain()) return undefined
    if (own.failure) throw this.#heard(own.failure)
    return this.#bytes(own.address + byteOffset, byteLength)
  }

  view(buffer: Buffer, byteOffset: number, byteLength: number): Uint8Array | undefined {
    const own = this.#own(buffer)
    this.#checkRange(own, byteOffset, byteLength)
    if (this.#queue && !this.#queue.drain()) return undefined
    return this.#memory.bytes.subarray(own.address + byteOffset, own.address + byteOffset + byteLength)
  }

  async read(buffer: Buffer, byteOffset: number, byteLength: number): Promise<Uint8Array> {
    const own = this.#own(buffer)
    this.#checkRange(own, byteOffset, byteLength)
    const queue = this.#queue
    if (queue && own.inFlight(queue)) {
      const coming = queue.ask({ kind: 'read', from: own.address + byteOffset, length: byteLength })
      useInQueue(queue, [own], nothing)
      return coming
    }
    if (own.failure) throw this.#heard(own.failure)
    const bytes = this.#bytes(own.address + byteOffset, byteLength)
    await queue?.turn()
    return bytes
  }

  compile(plan: Plan, buffers: readonly Buffer[]): Executable {
    this.#checkOpen()
    this.#settle()
    const own = buffers.map((buffer) => this.#own(buffer))
    const memory = this.#memory
    return makeProgram(plan, {
      target: this.#target,
      threads: this.#asked,
      get words() {
        return memory.words
      },
      prepare: ({ kernel }) => prepare(kernel, this.#target),
      address: (position) => own[position]?.address ?? 0,
      allocate: (byteLength) => this.#allocate(byteLength),
      free: (address) => this.#release(address),
      run: (job) => {
        this.#checkOpen()
        this.#queue?.raise()
        const queue = this.#queue
        const queued = queue?.takes(job.total) ?? false
        this.#do(job, queued)
        if (queue && queued) useInQueue(queue, own, nothing)
      },
      profile: (job, parts) => {
        this.#checkOpen()
        const queue = this.#queue
        queue?.raise()
        if (!queue?.takes(Number.POSITIVE_INFINITY)) return Promise.resolve(this.#profile(job, parts))
        const coming = queue.ask({ kind: 'profile', job: { ...job, fills: job.fills.slice() }, parts })
        useInQueue(queue, own, nothing)
        return coming.then(({ buffer }) => [...new Float64Array(buffer)])
      },
    })
  }

  memory(): MemoryStats {
    // What has run by now no longer needs its memory.
    void this.#queue?.done
    const stats = this.#memory.stats()
    return { ...stats, used: stats.used - this.#scratchSize }
  }

  /** Waits until the other threads have started (else they start with the first large kernel); how many compute. */
  startThreads(milliseconds = 5000): number {
    this.#pool?.start()
    this.#pool?.ready(milliseconds)
    this.#queue?.start()
    return this.#pool?.threads ?? this.#queue?.threads ?? 1
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#functions = new WeakMap()
    this.#instances = new WeakMap()
    this.#prepared.clear()
    this.#queue?.close()
    await this.#pool?.close()
  }

  /** Prepares kernels for another tile from now on, when trials have found a faster one. */
  #settle(): void {
    if (!this.#tuning.settle()) return
    this.#target = { ...this.#target, mode: this.#tuning.mode, tile: this.#tuning.tile }
    this.#known = new WeakMap()
    this.#prepared.clear()
  }

  #prepare(kernel: Kernel): Ready {
    this.#settle()
    const key = kernelKey(kernel)
    let ready = this.#prepared.get(key)
    if (!ready) {
      ready = { ...prepare(kernel, this.#target), extents: extents(kernel) }
      if (this.#prepared.size >= mostPrepared) {
        for (const oldest of this.#prepared.keys()) {
          this.#prepared.delete(oldest)
          break
        }
      }
      this.#prepared.set(key, ready)
    }
    this.#known.set(kernel, ready)
    return ready
  }

  #operands(ready: Ready, kernel: Kernel, buffers: readonly Buffer[]): WasmBuffer[] {
    const needs = ready.extents
    if (buffers.length < needs.length) {
      throw new ShapeError(
        `${kernel.kind} needs ${needs.length} buffers, got ${buffers.length}: bind one for each operand.`,
        { op: kernel.kind },
      )
    }
    const own: WasmBuffer[] = []
    for (let i = 0; i < buffers.length; i++) {
      const buffer = buffers[i]
      const need = needs[i] ?? 0
      if (!(buffer instanceof WasmBuffer) || buffer.owner !== this) throw foreign()
      if (buffer.freed)
        throw new DeviceError(`${kernel.kind}: buffer ${i} was freed. Keep tensors alive while kernels use them.`, {
          op: kernel.kind,
        })
      if (buffer.byteLength < need) {
        throw new ShapeError(
          `${kernel.kind}: operand ${i} reaches byte ${need}, but its buffer has ${buffer.byteLength}. ` +
            'Bind a larger one or correct the layout.',
          { op: kernel.kind },
        )
      }
      own.push(buffer)
    }
    return own
  }

  #launch(
    launch: Launch,
    buffers: readonly WasmBuffer[],
    scalars: readonly number[],
    test: Prepared['check'],
    queued: boolean,
  ): void {
    const { block, entry, nanoseconds } = launch
    const apart = queued || blockAddress + block.byteLength > reservedBytes
    const params = apart ? this.#allocate(block.byteLength) : blockAddress
    const at = params >>> 2
    const words = this.#memory.words
    words.set(block, at)
    for (const { word, operand, bytes } of launch.pointers) {
      words[at + word] = (operand === scratch ? this.#scratchAddress : (buffers[operand]?.address ?? 0)) + bytes
    }
    for (const { word, slot, dtype } of launch.scalars) {
      const value = scalars[slot]
      if (value === undefined)
        throw new ShapeError(`the kernel reads scalar ${slot}, got ${scalars.length} scalars: pass them all.`)
      words[at + word] = bitsOf(value, dtype)
    }
    const checks = test ? [{ at, test }] : nothing
    this.#do({ entry, params, nanoseconds, total: nanoseconds, fills: noFills, checks }, queued)
    if (apart) this.#release(params)
  }

  /** Gives the job to the queue, or runs it now. */
  #do(job: Job, queued: boolean): void {
    if (queued) {
      // The program fills in other numbers before the queue comes to these.
      this.#queue?.push({ kind: 'run', job: { ...job, fills: job.fills.slice() } })
      return
    }
    this.#fill(job)
    this.#runChecked(job)
  }

  #fill({ fills }: Job): void {
    const words = this.#memory.words
    for (let i = 0; i < fills.length; i += 2) words[fills[i] ?? 0] = fills[i + 1] ?? 0
  }

  #runChecked({ entry, params, nanoseconds, checks }: Omit<Part, 'guards'>): void {
    this.#runEntry(entry, params, nanoseconds)
    for (const { at, test } of checks) test(this.#memory.words, at)
  }

  /** The times of the parts, ns. */
  #profile(job: Job, parts: readonly Part[]): number[] {
    this.#fill(job)
    return parts.map((part) => {
      if (part.guards.some((at) => this.#memory.words[at] === 0)) return 0
      const start = performance.now()
      this.#runChecked(part)
      return (performance.now() - start) * 1e6
    })
  }

  /** Does what was queued for workers that never came. */
  #perform(command: Command): Uint8Array | undefined {
    const { bytes } = this.#memory
    if (command.kind === 'run') this.#do(command.job, false)
    else if (command.kind === 'write') bytes.set(command.bytes, command.to)
    else if (command.kind === 'copy') bytes.copyWithin(command.to, command.from, command.from + command.length)
    else if (command.kind === 'profile')
      return new Uint8Array(Float64Array.from(this.#profile(command.job, command.parts)).buffer)
    else return this.#bytes(command.from, command.length)
    return undefined
  }

  #note(queue: WorkQueue, used: readonly WasmBuffer[], written: readonly WasmBuffer[], queued: boolean): void {
    if (queued) useInQueue(queue, used, written)
    else fill(written)
  }

  #heard(error: Error): Error {
    this.#queue?.heard(error)
    return error
  }

  #bytes(address: number, byteLength: number): Uint8Array {
    const copy = new Uint8Array(byteLength)
    copy.set(this.#memory.bytes.subarray(address, address + byteLength))
    return copy
  }

  /** What queued work has not given back yet is waited for, where that is allowed. */
  #allocate(byteLength: number): number {
    const queue = this.#queue
    if (!queue) return this.#memory.allocate(byteLength)
    try {
      return this.#memory.allocate(byteLength)
    } catch (error) {
      if (queue.done === queue.given || !queue.drain()) throw error
      return this.#memory.allocate(byteLength)
    }
  }

  /** Gives a block back once nothing that was queued can use it. */
  #release(address: number): void {
    if (this.#queue) this.#queue.afterwards(() => this.#memory.free(address))
    else this.#memory.free(address)
  }

  /** Runs a kernel, or a program, on all threads where that pays. */
  #runEntry(entry: Entry, params: number, nanoseconds: number): void {
    const run = this.#functions.get(entry) ?? this.#instantiate(entry)
    this.#tuning.worked(nanoseconds)
    const pool = this.#pool
    const choice = pool && this.#sharing.of(entry, nanoseconds)
    if (!choice) {
      runAlone(run, params)
      return
    }
    const shared = choice.shared && pool.threads > 1
    if (choice.shared && !shared) pool.start()
    const start = performance.now()
    if (shared) pool.run(entry, run, params, nanoseconds)
    else runAlone(run, params)
    choice.note(shared, performance.now() - start, nanoseconds)
  }

  #instantiate(entry: Entry): KernelFunction {
    const kernels = Object.fromEntries(
      (entry.imports ?? []).map((e) => [e.id, this.#functions.get(e) ?? this.#instantiate(e)]),
    )
    let instance = this.#instances.get(entry.module)
    if (!instance) {
      const env = { memory: this.#memory.wasm, table: this.#table, waited: () => this.#pool?.waited() }
      instance = new WebAssembly.Instance(entry.module, { env, kernels })
      this.#instances.set(entry.module, instance)
    }
    const run = instance.exports[entry.name] as KernelFunction
    this.#functions.set(entry, run)
    if (entry.inTable) {
      this.#table.grow(Math.max(0, entry.id + 1 - this.#table.length))
      this.#table.set(entry.id, run)
      this.#callees.register(entry, entry.id)
    }
    return run
  }

  #growScratch(bytes: number): void {
    this.#dropScratch()
    const size = Math.max(reservedBytes, Math.ceil(bytes / 64) * 64)
    this.#scratchAddress = this.#allocate(size)
    this.#scratchSize = size
  }

  #dropScratch(): void {
    if (this.#scratchSize > 0) this.#release(this.#scratchAddress)
    this.#scratchSize = 0
  }

  #own(buffer: Buffer): WasmBuffer {
    if (!(buffer instanceof WasmBuffer) || buffer.owner !== this) throw foreign()
    return buffer
  }

  #checkOpen(): void {
    if (this.#closed) throw new DeviceError('This wasm device was closed. Create another one.')
  }

  #checkRange({ byteLength, freed }: WasmBuffer, from: number, length: number): void {
    this.#checkOpen()
    if (freed) throw new DeviceError('This buffer was freed. Read tensors before releasing them.')
    if (from >= 0 && length >= 0 && from + length <= byteLength) return
    throw new ShapeError(
      `bytes ${from} to ${from + length} were asked of a buffer of ${readable(byteLength)}. Stay inside it.`,
    )
  }
}

function runAlone(run: KernelFunction, params: number): void {
  try {
    run(params, 0, 1)
  } catch (cause) {
    const message =
      'A kernel trapped, and what it was writing is half-written. Load a saved file, loadModel(model, bytes), and call ' +
      'optimizer.reset(). Please report the program that did this.'
    throw new HalfWrittenError(message, { cause })
  }
}

const foreign = () => new DeviceError('A buffer belongs to another device. Move the tensor to this device first.')
