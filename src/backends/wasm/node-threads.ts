/**
 * Worker threads for kernels. They share the memory and its first words: a job is a few words and a sequence number.
 * Each side spins for about 20 µs before it sleeps: spinning alone would burn its partner's time slice where there are
 * more threads than cores, sleeping alone would cost 10-20 µs a kernel.
 *
 * A thread may end or trap at any moment, while the calling thread waits and hears no events. A trap is caught in its
 * worker and noted in the shared words. An end is seen from outside: every worker keeps a file open, and Node closes the
 * files of a worker that has ended, however it ended. That a thread is merely late is no reason to give it up: on a
 * loaded machine hundreds of milliseconds pass before a thread's turn comes.
 */
import { fstatSync } from 'node:fs'
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { HalfWrittenError } from '../../tensor/errors.js'
import { type Entry, type KernelFunction, maxThreads } from './launch.js'
import { brokenOff, type ThreadPool } from './thread-pool.js'

/** Words of the control block, on cache lines of their own. `files` holds one word for each thread. */
const words = {
  sequence: 0,
  entry: 1,
  params: 2,
  done: 16,
  failed: 17,
  caller: 32,
  sleepers: 48,
  ready: 64,
  files: 80,
} as const
const wordCount = words.files + maxThreads
const spins = 4000
/** A sleeping thread looks around after this long, ms. */
const slice = 10
/** A run that spends this many slices and twenty times its expected time on waiting is given up: a kernel that never ends. */
const patience = 1000
/** Threads without work for this long in ms, at most twice as long, end. */
const idleTime = 10_000
/** How long to wait, in ms, for threads that were told to end. */
const farewell = 1000

/** Runs in each worker. Text, because a bundled library has no file to start a worker from. */
const workerSource = `
'use strict'
const { openSync } = require('node:fs')
const { devNull } = require('node:os')
const { workerData, receiveMessageOnPort } = require('node:worker_threads')
const { memory, control, thread, threads, port, words, wordCount, spins } = workerData
const c = new Int32Array(memory.buffer, control, wordCount)
const functions = [], instances = new Map(), table = new WebAssembly.Table({ element: 'anyfunc', initial: 0 })
class Lost extends Error {}
const waited = () => {
  if (Atomics.load(c, words.failed)) throw new Lost('another thread is lost')
}
const env = { memory, table, waited }
const find = id => {
  while (!functions[id]) {
    const { message } = receiveMessageOnPort(port)
    let instance = instances.get(message.serial)
    if (!instance) {
      const kernels = Object.fromEntries(message.imports.map(id => [id, functions[id]]))
      instances.set(message.serial, (instance = new WebAssembly.Instance(message.module, { env, kernels })))
    }
    const run = (functions[message.id] = instance.exports[message.name])
    if (message.inTable) {
      table.grow(Math.max(0, message.id + 1 - table.length))
      table.set(message.id, run)
    }
  }
  return functions[id]
}
try {
  Atomics.store(c, words.files + thread, openSync(devNull, 'r'))
} catch {}
let seen = Atomics.load(c, words.sequence)
Atomics.add(c, words.ready, 1)
Atomics.notify(c, words.ready)
for (;;) {
  let spin = 0
  while (Atomics.load(c, words.sequence) === seen) {
    if (++spin < spins) continue
    Atomics.add(c, words.sleepers, 1)
    Atomics.wait(c, words.sequence, seen)
    Atomics.sub(c, words.sleepers, 1)
  }
  seen = Atomics.load(c, words.sequence)
  try {
    find(Atomics.load(c, words.entry))(Atomics.load(c, words.params), thread, threads)
  } catch {
    Atomics.store(c, words.failed, 1)
  }
  Atomics.add(c, words.done, 1)
  if (Atomics.load(c, words.caller)) Atomics.notify(c, words.done)
}
`

/** One of the other threads. */
class Helper {
  readonly #worker: Worker
  readonly #port: MessagePort
  #ended = false

  constructor(
    data: object,
    private readonly thread: number,
    private readonly control: Int32Array,
    onEnd: () => void,
  ) {
    const { port1, port2 } = new MessageChannel()
    const workerData = { ...data, thread, port: port2, words, wordCount, spins }
    // Without the program's own flags: --input-type=module would make the text a module.
    this.#worker = new Worker(workerSource, {
      eval: true,
      workerData,
      transferList: [port2],
      execArgv: [],
      trackUnmanagedFds: true,
    })
    this.#port = port1
    this.#worker.on('error', () => {
      // Its end follows.
    })
    this.#worker.on('exit', () => {
      this.#ended = true
      onEnd()
    })
    // Neither keeps the process alive.
    this.#worker.unref()
    port1.unref()
  }

  /** Whether it has ended; known without events once it has checked in. */
  get gone(): boolean {
    if (this.#ended) return true
    const file = Atomics.load(this.control, words.files + this.thread)
    if (file >= 0) this.#ended = isClosed(file)
    return this.#ended
  }

  send(message: object): void {
    this.#port.postMessage(message)
  }

  end(): Promise<unknown> {
    this.#port.close()
    return this.#worker.terminate()
  }
}

function isClosed(file: number): boolean {
  try {
    fstatSync(file)
    return false
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EBADF'
  }
}

class NodeThreadPool implements ThreadPool {
  readonly #control: Int32Array
  #helpers: Helper[] = []
  /** Told to end; new ones start when they are gone. */
  #leaving: Helper[] = []
  readonly #sent = new Set<number>()
  readonly #serials = new Map<WebAssembly.Module, number>()
  /** No threads any more: closed, or this system does not start them. */
  #over = false
  #checkedIn = false
  /** Slices that this run may still wait. */
  #slices = 0
  #idleTimer: NodeJS.Timeout | undefined

  constructor(
    private readonly memory: WebAssembly.Memory,
    private readonly wanted: number,
    private readonly control: number,
    private readonly idle: number,
  ) {
    this.#control = new Int32Array(memory.buffer, control, wordCount)
  }

  get threads(): number {
    if (!this.#checkedIn && this.#helpers.length > 0)
      this.#checkedIn = Atomics.load(this.#control, words.ready) === this.wanted - 1
    return this.#checkedIn ? this.wanted : 1
  }

  start(): void {
    if (this.#helpers.length > 0 || this.#over) return
    this.#leaving = this.#leaving.filter((helper) => !helper.gone)
    // The words are theirs until then.
    if (this.#leaving.length > 0) return
    const c = this.#control
    for (const word of [words.ready, words.failed, words.sleepers, words.caller]) Atomics.store(c, word, 0)
    for (let thread = 1; thread < this.wanted; thread++) Atomics.store(c, words.files + thread, -1)
    this.#sent.clear()
    this.#serials.clear()
    const data = { memory: this.memory, control: this.control, threads: this.wanted }
    const onEnd = () => this.#lose(crew)
    const crew: Helper[] = []
    this.#helpers = crew
    try {
      for (let thread = 1; thread < this.wanted; thread++) crew.push(new Helper(data, thread, c, onEnd))
    } catch {
      // Node's permission model, for one.
      this.#lose(crew)
    }
    this.#watchIdleness()
  }

  ready(milliseconds: number): boolean {
    const end = performance.now() + milliseconds
    for (let left = milliseconds; left > 0 && this.threads < this.wanted; left = end - performance.now()) {
      this.start()
      if (this.#over) break
      const now = Atomics.load(this.#control, words.ready)
      if (this.#helpers.length === 0) this.#pause()
      else if (now < this.wanted - 1) Atomics.wait(this.#control, words.ready, now, Math.min(left, slice))
    }
    return this.threads === this.wanted
  }

  waited(): void {
    if (this.#lost()) throw new HalfWrittenError('Another thread is lost.')
  }

  #lost(): boolean {
    const c = this.#control
    if (Atomics.load(c, words.failed) === 0 && --this.#slices > 0 && !this.#helpers.some((helper) => helper.gone))
      return false
    Atomics.store(c, words.failed, 1)
    return true
  }

  run(entry: Entry, own: KernelFunction, params: number, nanoseconds: number): void {
    const c = this.#control
    if (!this.#sent.has(entry.id)) this.#send(entry)
    this.#slices = patience + (20 * nanoseconds) / (slice * 1e6)
    const before = Atomics.load(c, words.done)
    Atomics.store(c, words.entry, entry.id)
    Atomics.store(c, words.params, params)
    Atomics.add(c, words.sequence, 1)
    if (Atomics.load(c, words.sleepers) > 0) Atomics.notify(c, words.sequence)
    let trap: unknown
    try {
      own(params, 0, this.wanted)
    } catch (error) {
      trap = error
      Atomics.store(c, words.failed, 1)
    }
    this.#wait(before)
    if (Atomics.load(c, words.failed) !== 0) throw this.#giveUp(trap)
  }

  /** Until all workers are done with the job that began at `before`, or one is lost. */
  #wait(before: number): void {
    const c = this.#control
    const workers = this.wanted - 1
    const open = () => ((Atomics.load(c, words.done) - before) | 0) < workers
    for (let spin = 0; spin < spins; spin++) if (!open()) return
    Atomics.store(c, words.caller, 1)
    while (open()) {
      const now = Atomics.load(c, words.done)
      if (((now - before) | 0) >= workers) break
      if (Atomics.load(c, words.failed) !== 0) break
      if (Atomics.wait(c, words.done, now, slice) === 'timed-out' && this.#lost()) break
    }
    Atomics.store(c, words.caller, 0)
  }

  #send(entry: Entry): void {
    const { id, name, module, inTable, imports = [] } = entry
    // Workers read in order: what a module imports is there before it.
    for (const kernel of imports) if (!this.#sent.has(kernel.id)) this.#send(kernel)
    let serial = this.#serials.get(module)
    if (serial === undefined) {
      serial = this.#serials.size
      this.#serials.set(module, serial)
    }
    const message = { id, name, module, serial, inTable, imports: imports.map((kernel) => kernel.id) }
    for (const helper of this.#helpers) helper.send(message)
    this.#sent.add(entry.id)
  }

  #giveUp(cause: unknown): HalfWrittenError {
    const what = this.#helpers.some((helper) => helper.gone)
      ? 'A worker thread ended'
      : this.#slices > 0
        ? 'A kernel trapped'
        : 'A worker thread did not answer'
    void this.#dismiss()
    // One that was only late must not go on writing.
    const end = performance.now() + farewell
    while (performance.now() < end && !this.#leaving.every((helper) => helper.gone)) this.#pause()
    return brokenOff(what, cause)
  }

  /** A thread has ended between runs; one that never came to work will not come another time. */
  #lose(crew: readonly Helper[]): void {
    if (crew !== this.#helpers) return
    if (this.threads === 1) this.#over = true
    void this.#dismiss()
  }

  #dismiss(): Promise<unknown> {
    clearInterval(this.#idleTimer)
    const helpers = this.#helpers
    this.#helpers = []
    this.#checkedIn = false
    this.#leaving.push(...helpers)
    return Promise.all(helpers.map((helper) => helper.end()))
  }

  #watchIdleness(): void {
    let before = -1
    this.#idleTimer = setInterval(() => {
      const now = Atomics.load(this.#control, words.sequence)
      if (now === before) void this.#dismiss()
      before = now
    }, this.idle).unref()
  }

  /** A millisecond. */
  #pause(): void {
    Atomics.wait(this.#control, words.files, Atomics.load(this.#control, words.files), 1)
  }

  async close(): Promise<void> {
    this.#over = true
    await this.#dismiss()
  }
}

/** Threads of Node for the wasm backend; `idle` ms without work end them, until there is work again. */
export const nodeThreadPool = (
  memory: WebAssembly.Memory,
  threads: number,
  control: number,
  idle = idleTime,
): ThreadPool => new NodeThreadPool(memory, threads, control, idle)
