/**
 * The queue of a page: commands go to workers in messages, what has run is a number in shared memory. The calling thread
 * waits for nothing; it runs short work itself while nothing is queued, up to a share of each task of its event loop.
 */
import { DeviceError, HalfWrittenError } from '../../tensor/errors.js'
import {
  controlBlocks,
  controlWords,
  failures,
  type SentCommand,
  timesKept,
  words,
  workerSource,
} from './browser-worker.js'
import { type Entry, foundWord } from './launch.js'
import type { Sharing } from './sharing.js'
import { brokenOff } from './thread-pool.js'
import type { Command, Job, Outcome, Performer, Question, WorkQueue } from './work-queue.js'

/** What is needed of a web worker. */
type QueueWorker = Pick<Worker, 'onmessage' | 'onerror' | 'postMessage' | 'terminate'>

export interface QueueHost {
  /** Starts a worker that runs this text. */
  readonly spawn: (source: string) => QueueWorker
  /** Whether this thread may wait: not the main thread of a page. */
  readonly canBlock: boolean
  /** Longest work in ns that the caller runs itself, and how much of it in one task. Default: 0.3 and 4 ms. */
  readonly inline?: readonly [single: number, task: number]
}

/** Work in ns that is worth starting workers for. */
const startFrom = 40_000
/** A message leaves at the end of the task, or when it has this many commands or as many ns of work. */
const mostCommands = 64
const mostWork = 1_000_000
/** How often in ms is looked whether the workers get on. */
const lookEvery = 1000
/**
 * Without progress for this long in ms they are given up: on the way up, or at work that takes 20 times its expected
 * time longer. A worker that has ended is noticed at once.
 */
const startPatience = 30_000
const patience = 10_000
/** Without work for this long in ms they are sent home, until there is work again. */
const idleTime = 30_000
/** A browser lets a worker that was told to end go on for two seconds, ms. */
const farewell = 2500

interface Given {
  readonly number: number
  readonly command: Command
  readonly outcomes: Outcome[]
}

interface Read {
  readonly number: number
  readonly resolve: (bytes: Uint8Array) => void
  readonly reject: (error: Error) => void
}

export class BrowserQueue implements WorkQueue {
  given = 0
  /** The block of the workers at hand. */
  #control: Int32Array
  #crews = 0
  #workers: QueueWorker[] = []
  #looking: ReturnType<typeof setInterval> | undefined
  /** Set when workers cannot be had: the caller does everything. */
  #alone = false
  /** What broke the work off, while those of the workers who were at it are not gone: until then they may write. */
  #broken: { readonly what: string; readonly until: number } | undefined
  #leaving = new Set<QueueWorker>()
  #done = 0
  /** What has not run yet, and of it what has not been sent. */
  #waiting: Given[] = []
  #unsent: Command[] = []
  #unsentWork = 0
  #reads: Read[] = []
  #unheard: Error | undefined
  /** Counted up at a failure: what was sent before is dropped. */
  #epoch = 0
  readonly #defined = new Set<number>()
  #definitions: unknown[] = []
  readonly #serials = new WeakMap<WebAssembly.Module, number>()
  #modules = 0
  readonly #single: number
  readonly #task: number
  #left: number
  #refilling = false
  /** While outcomes are told: they may not wait for later commands. */
  #noticing = false
  /** What had run at the last look, when that was, and since how long nothing has changed. */
  #before = 0
  #looked = 0
  #stalled = 0

  constructor(
    private readonly memory: WebAssembly.Memory,
    private readonly wanted: number,
    private readonly control: number,
    private readonly perform: Performer,
    private readonly sharing: Sharing,
    private readonly host: QueueHost,
  ) {
    this.#control = new Int32Array(memory.buffer, control, controlWords)
    const [single, task] = host.inline ?? [300_000, 4_000_000]
    this.#single = single
    this.#task = this.#left = host.canBlock ? Number.POSITIVE_INFINITY : task
  }

  get threads(): number {
    return this.#workers.length > 0 ? Math.max(1, Atomics.load(this.#control, words.ready)) : 1
  }

  /** Whether worker 0 takes commands. */
  get #led(): boolean {
    return this.#workers.length > 0 && Atomics.load(this.#control, words.leader) !== 0
  }

  get done(): number {
    this.#notice()
    return this.#done
  }

  takes(nanoseconds: number): boolean {
    if (this.#alone) return false
    if (this.done < this.given) return true
    const short = nanoseconds <= this.#single && nanoseconds <= this.#left
    if (!short || nanoseconds > startFrom) this.start()
    // Where waiting is allowed, the caller works until there is someone to wait for.
    if (short || this.#alone || (this.host.canBlock && !this.#led)) {
      this.#spend(nanoseconds)
      return false
    }
    return true
  }

  push(command: Command): void {
    if (this.#waiting.length === 0) this.#stalled = 0
    this.#waiting.push({ number: ++this.given, command, outcomes: [] })
    if (this.#unsent.push(command) === 1) queueMicrotask(() => this.#send())
    if ('job' in command) this.#unsentWork += command.job.total
    if (this.#unsent.length >= mostCommands || this.#unsentWork > mostWork) this.#send()
  }

  ask(question: Question): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.push(question)
      this.#reads.push({ number: this.given, resolve, reject })
    })
  }

  afterwards(outcome: Outcome): void {
    this.#notice()
    const last = this.#waiting.at(-1)
    if (last) last.outcomes.push(outcome)
    else outcome()
  }

  raise(): void {
    this.#notice()
    const error = this.#unheard
    this.#unheard = undefined
    if (error) throw error
  }

  heard(error: Error): void {
    if (this.#unheard === error) this.#unheard = undefined
  }

  drain(): boolean {
    if (!this.host.canBlock || this.#noticing) return false
    this.#send()
    for (let before = -1, since = 0; this.done < this.given; ) {
      const now = Atomics.load(this.#control, words.completed)
      if (now !== before) since = performance.now()
      before = now
      Atomics.wait(this.#control, words.completed, now, 100)
      // While this thread waits, it does not hear who has gone.
      if (this.#broken && performance.now() > this.#broken.until) this.#end()
      else if (!this.#broken && performance.now() - since > this.#allowed()) this.#lose(late)
    }
    return true
  }

  turn(): Promise<void> | undefined {
    const starting = this.#workers.length > 0 && this.host.canBlock && !this.#led
    return starting ? new Promise((resolve) => setTimeout(resolve)) : undefined
  }

  start(): void {
    if (this.#alone || this.#broken || this.#workers.length > 0) return
    const { memory, wanted: threads } = this
    // Workers of the last crew may still be about to end.
    const control = this.control + 4 * controlWords * (this.#crews++ % controlBlocks)
    this.#control = new Int32Array(memory.buffer, control, controlWords)
    this.#control.fill(0)
    this.#control[words.completed] = this.#done
    this.#defined.clear()
    try {
      for (let thread = 0; thread < threads; thread++) {
        const worker = this.host.spawn(workerSource)
        const lost = () => {
          // What had run by then is done.
          if (this.#workers.includes(worker)) this.#notice()
          if (this.#workers.includes(worker)) this.#lose('A worker thread ended')
          this.#gone(worker)
        }
        worker.onmessage = ({ data }) => {
          if (!this.#workers.includes(worker)) return
          if (data instanceof Uint8Array) this.#reads.shift()?.resolve(data)
          // The worker holds this lock; it becomes free when the worker is gone, for whatever reason.
          if (typeof data === 'string') void navigator.locks.request(data, lost)
          this.#notice()
        }
        worker.onerror = lost
        this.#workers.push(worker)
        worker.postMessage({ memory, control, thread, threads, lock: `dfdt ${Math.random()}` }, [])
      }
      this.#looked = performance.now()
      this.#looking = setInterval(() => this.#look(), lookEvery)
    } catch {
      // Refused, by a content security policy for one.
      this.#lose('No worker thread started')
    }
  }

  close(): void {
    this.#alone = true
    this.#dismiss()
    this.#broken = undefined
    this.#drop(new DeviceError('This wasm device was closed. Create another one.'))
  }

  #spend(nanoseconds: number): void {
    this.#left -= nanoseconds
    if (this.#refilling || this.host.canBlock) return
    this.#refilling = true
    setTimeout(() => {
      this.#refilling = false
      this.#left = this.#task
    })
  }

  #send(): void {
    // What comes behind the work that broke off is dropped with it.
    if (this.#unsent.length === 0 || this.#broken) return
    this.start()
    const transfer: ArrayBuffer[] = []
    // What was handed over to a worker that never starts would be lost.
    const handsOver = this.#led
    const commands = this.#unsent.map((command): SentCommand => {
      if (command.kind === 'write' && handsOver) transfer.push(command.bytes.buffer)
      if (!('job' in command)) return { ...command }
      const { kind, job } = command
      const { fills } = job
      if (kind === 'run') return { kind, fills, ...this.#sent(job) }
      const parts = command.parts.map((part) => ({ ...this.#sent(part), guards: part.guards }))
      return { kind, fills, parts }
    })
    this.#unsent = []
    this.#unsentWork = 0
    const [leader, ...helpers] = this.#workers
    const define = this.#definitions
    this.#definitions = []
    if (define.length > 0) for (const helper of helpers) helper.postMessage({ define }, [])
    leader?.postMessage({ define, commands, epoch: this.#epoch }, transfer)
  }

  /** A job as workers understand it. */
  #sent({ entry, params, nanoseconds, checks }: Pick<Job, 'entry' | 'params' | 'nanoseconds' | 'checks'>): object {
    this.#define(entry)
    const shared = this.sharing.of(entry, nanoseconds)?.shared ?? false
    return { entry: entry.id, params, shared, checks: checks.map(({ at }) => at + foundWord) }
  }

  /** What a module imports is there before it. */
  #define(entry: Entry): void {
    const { id, name, module, inTable, imports = [] } = entry
    if (this.#defined.has(id)) return
    this.#defined.add(id)
    for (const kernel of imports) this.#define(kernel)
    const serial = this.#serials.get(module) ?? this.#modules++
    this.#serials.set(module, serial)
    this.#definitions.push({ id, name, module, serial, inTable, imports: imports.map((kernel) => kernel.id) })
  }

  /** Takes note of what has run or failed since the last look. */
  #notice(): void {
    if (this.#workers.length === 0) return
    const failure = Atomics.load(this.#control, words.failed)
    this.#done += (Atomics.load(this.#control, words.completed) - this.#done) | 0
    for (let first = this.#waiting[0]; first && first.number <= this.#done; first = this.#waiting[0]) {
      this.#waiting.shift()
      this.#time(first)
      this.#noticing = true
      for (const outcome of first.outcomes) outcome()
      this.#noticing = false
    }
    // What an outcome did may have seen to it already.
    if (failure === 0 || failure !== Atomics.load(this.#control, words.failed)) return
    if (failure === failures.trapped) this.#lose('A kernel trapped')
    else {
      const error = this.#invalid()
      Atomics.store(this.#control, words.failed, 0)
      this.#drop(error)
    }
  }

  /** Tells how long it took, unless later ones have taken its place already. */
  #time({ number, command }: Given): void {
    if (command.kind !== 'run' || this.#done - number >= timesKept) return
    const time = this.#control[words.times + (number & (timesKept - 1))] ?? 0
    const { entry, nanoseconds } = command.job
    if (time !== 0) this.sharing.of(entry, nanoseconds)?.note(time > 0, (Math.abs(time) - 1) / 1e3, nanoseconds)
  }

  /** What the checks of the first that has not run say. */
  #invalid(): Error {
    const command = this.#waiting[0]?.command
    try {
      const memory = new Int32Array(this.memory.buffer)
      if (command && 'job' in command) for (const { at, test } of command.job.checks) test(memory, at)
    } catch (error) {
      if (error instanceof Error) return error
    }
    return brokenOff('A kernel refused its operands')
  }

  /** Nothing that waits will run; the latest hears of it first, so that what the host counted is taken back in order. */
  #drop(error: Error): void {
    const dropped = this.#waiting
    const first = dropped[0]?.number ?? Number.POSITIVE_INFINITY
    this.#waiting = []
    this.#unsent = []
    this.#unsentWork = 0
    this.#epoch++
    this.#done = this.given
    Atomics.store(this.#control, words.completed, this.given)
    // Bytes that were read before are still on their way, unless their sender is gone.
    const gone = this.#workers.length === 0
    const lost = this.#reads.filter(({ number }) => gone || number >= first)
    this.#reads = this.#reads.filter((read) => !lost.includes(read))
    if (dropped.length > 0 && lost.length === 0) this.#unheard = error
    // Only the first was under way and is half-written.
    const never = error instanceof HalfWrittenError ? new DeviceError(error.message) : error
    for (const { number, outcomes } of dropped.reverse())
      for (const outcome of outcomes) outcome(number === first ? error : never)
    for (const { reject } of lost) reject(error)
  }

  /** The workers are of no use any more. What they were at is half done; if they never began, the caller does it. */
  #lose(what: string): void {
    const began = this.#led
    if (!began) this.#alone = true
    const workers = this.#dismiss()
    if (!began) this.#performAll()
    else if (this.#waiting.length === 0) this.#drop(brokenOff(what))
    else {
      this.#broken = { what, until: performance.now() + farewell }
      this.#leaving = new Set(workers)
      setTimeout(() => {
        for (const worker of workers) this.#gone(worker)
      }, farewell)
    }
  }

  #gone(worker: QueueWorker): void {
    if (this.#leaving.delete(worker) && this.#leaving.size === 0) this.#end()
  }

  /** Nobody writes any more. */
  #end(): void {
    const broken = this.#broken
    this.#broken = undefined
    if (broken) this.#drop(brokenOff(broken.what))
  }

  /** What waits, on the calling thread. */
  #performAll(): void {
    try {
      for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
        const bytes = this.perform(first.command)
        if (bytes) this.#reads.shift()?.resolve(bytes)
        this.#waiting.shift()
        this.#done = first.number
        for (const outcome of first.outcomes) outcome()
      }
      this.#unsent = []
    } catch (error) {
      this.#drop(error instanceof Error ? error : new DeviceError(String(error)))
    }
  }

  /** Tells the workers to end; who they were. */
  #dismiss(): readonly QueueWorker[] {
    clearInterval(this.#looking)
    const workers = this.#workers
    this.#workers = []
    // Terminating takes a while where a worker is busy: it shall do no more.
    Atomics.store(this.#control, words.broken, 1)
    Atomics.add(this.#control, words.sequence, 1)
    Atomics.notify(this.#control, words.sequence)
    for (const worker of workers) worker.terminate()
    return workers
  }

  /** How long the first that waits may take, ms. */
  #allowed(): number {
    const command = this.#waiting[0]?.command
    return patience + (command && 'job' in command ? (20 * command.job.total) / 1e6 : 0)
  }

  /** Looks from time to time whether the workers get on, or have nothing to do. */
  #look(): void {
    const now = performance.now()
    // A page that slept has not waited.
    const passed = Math.min(now - this.#looked, 2 * lookEvery)
    this.#looked = now
    this.#stalled = this.done === this.#before ? this.#stalled + passed : 0
    this.#before = this.#done
    if (this.#done === this.given) {
      if (this.#stalled > idleTime) this.#dismiss()
    } else if (this.#stalled > (this.#led ? this.#allowed() : startPatience)) this.#lose(late)
  }
}

const late = 'A worker thread did not answer'
