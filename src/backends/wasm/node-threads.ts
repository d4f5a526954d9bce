/**
 * Worker threads for kernels. They share the memory and its first words: a job is a few words and a sequence number.
 * Each side spins for about 20 µs before it sleeps: spinning alone would burn its partner's time slice where there are
 * more threads than cores, sleeping alone would cost 10-20 µs a kernel.
 */
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { DeviceError } from '../../tensor/errors.js'
import type { Entry, KernelFunction } from './launch.js'
import type { ThreadPool, ThreadPoolFactory } from './thread-pool.js'

/** Words of the control block, on cache lines of their own. */
const words = {
  sequence: 0,
  entry: 1,
  params: 2,
  stop: 3,
  done: 16,
  failed: 17,
  caller: 32,
  sleepers: 48,
  ready: 64,
} as const
const spins = 4000
/** Work in ns that is worth waking sleepers for. */
const worthWaking = 40_000
/** Kernels longer than this in ns are always shared: a late helper costs less than half of them. */
const alwaysShared = 2_000_000
/** Longest time without help, in kernels. */
const longestRest = 1024
/** A thread that shows no sign of life for this long, and twenty times the expected time, is given up. */
const patience = 5000

/** Runs in each worker. Text, because a bundled library has no file to start a worker from. */
const workerSource = `
'use strict'
const { workerData, receiveMessageOnPort } = require('node:worker_threads')
const { memory, control, thread, threads, port, words, spins } = workerData
const c = new Int32Array(memory.buffer, control, 128)
const functions = [], instances = new Map()
const find = id => {
  while (!functions[id]) {
    const { message } = receiveMessageOnPort(port)
    let instance = instances.get(message.serial)
    if (!instance) {
      const kernels = Object.fromEntries(message.imports.map(id => [id, functions[id]]))
      instances.set(message.serial, (instance = new WebAssembly.Instance(message.module, { env: { memory }, kernels })))
    }
    functions[message.id] = instance.exports[message.name]
  }
  return functions[id]
}
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
  if (Atomics.load(c, words.stop)) break
  try {
    find(Atomics.load(c, words.entry))(Atomics.load(c, words.params), thread, threads)
  } catch {
    Atomics.store(c, words.failed, 1)
  }
  Atomics.add(c, words.done, 1)
  if (Atomics.load(c, words.caller)) Atomics.notify(c, words.done)
}
`

class NodeThreadPool implements ThreadPool {
  readonly #control: Int32Array
  readonly #workers: Worker[] = []
  readonly #ports: MessagePort[] = []
  readonly #sent = new Set<number>()
  readonly #serials = new Map<WebAssembly.Module, number>()
  #broken = false
  #checkedIn = false
  /** Kernels still to run without help, and how many the next rest would be. */
  #rest = 0
  #nextRest = 16

  constructor(
    private readonly memory: WebAssembly.Memory,
    private readonly wanted: number,
    private readonly control: number,
  ) {
    this.#control = new Int32Array(memory.buffer, control, 128)
  }

  get threads(): number {
    if (this.#broken || this.#workers.length === 0) return 1
    if (!this.#checkedIn) this.#checkedIn = Atomics.load(this.#control, words.ready) === this.wanted - 1
    return this.#checkedIn ? this.wanted : 1
  }

  helps(nanoseconds: number): boolean {
    if (nanoseconds < alwaysShared && this.#rest > 0) {
      this.#rest--
      return false
    }
    return nanoseconds > worthWaking || Atomics.load(this.#control, words.sleepers) === 0
  }

  start(): void {
    if (this.#workers.length > 0 || this.#broken) return
    for (let thread = 1; thread < this.wanted; thread++) {
      const { port1, port2 } = new MessageChannel()
      const workerData = {
        memory: this.memory,
        control: this.control,
        thread,
        threads: this.wanted,
        port: port2,
        words,
        spins,
      }
      // Without the program's own flags: --input-type=module would make the text a module.
      const worker = new Worker(workerSource, { eval: true, workerData, transferList: [port2], execArgv: [] })
      const lost = () => {
        this.#broken = true
      }
      worker.on('exit', lost)
      worker.on('error', lost)
      // Neither keeps the process alive.
      worker.unref()
      port1.unref()
      this.#workers.push(worker)
      this.#ports.push(port1)
    }
  }

  ready(milliseconds: number): boolean {
    const end = performance.now() + milliseconds
    for (
      let left = milliseconds;
      left > 0 && this.threads < this.wanted && !this.#broken;
      left = end - performance.now()
    ) {
      const now = Atomics.load(this.#control, words.ready)
      if (now < this.wanted - 1) Atomics.wait(this.#control, words.ready, now, left)
    }
    return this.threads === this.wanted
  }

  run(entry: Entry, own: KernelFunction, params: number, nanoseconds: number): void {
    const c = this.#control
    if (!this.#sent.has(entry.id)) this.#send(entry)
    const before = Atomics.load(c, words.done)
    Atomics.store(c, words.entry, entry.id)
    Atomics.store(c, words.params, params)
    Atomics.add(c, words.sequence, 1)
    if (Atomics.load(c, words.sleepers) > 0) Atomics.notify(c, words.sequence)
    try {
      own(params, 0, this.wanted)
    } finally {
      this.#wait(before, nanoseconds)
    }
    if (Atomics.load(c, words.failed) === 0) return
    this.#giveUp()
    throw new DeviceError(
      'A kernel failed on a worker thread. What it wrote is incomplete; later kernels use one thread.',
    )
  }

  /** Until all workers are done with the job that began at `before`. */
  #wait(before: number, nanoseconds: number): void {
    const c = this.#control
    const workers = this.wanted - 1
    const open = () => ((Atomics.load(c, words.done) - before) | 0) < workers
    for (let spin = 0; spin < spins; spin++) if (!open()) return
    const began = performance.now()
    const allowed = patience + (20 * nanoseconds) / 1e6
    const deadline = began + allowed
    Atomics.store(c, words.caller, 1)
    while (open()) {
      const now = Atomics.load(c, words.done)
      if (((now - before) | 0) >= workers) break
      Atomics.wait(c, words.done, now, 100)
      if (performance.now() < deadline) continue
      this.#giveUp()
      throw new DeviceError(
        `A worker thread did not answer for ${Math.round(allowed / 1000)} s: it was stopped or killed. ` +
          'What this kernel wrote is incomplete; later kernels use one thread.',
      )
    }
    Atomics.store(c, words.caller, 0)
    this.#learn((performance.now() - began) * 1e6, nanoseconds)
  }

  /** Rests after a helper that was later than the whole kernel would have taken alone, longer each time in a row. */
  #learn(waited: number, nanoseconds: number): void {
    if (waited > nanoseconds + 50_000) {
      this.#rest = this.#nextRest
      this.#nextRest = Math.min(longestRest, this.#nextRest * 2)
    } else this.#nextRest = Math.max(16, this.#nextRest >> 1)
  }

  #send(entry: Entry): void {
    const { id, name, module, imports = [] } = entry
    // Workers read in order: what a module imports is there before it.
    for (const kernel of imports) if (!this.#sent.has(kernel.id)) this.#send(kernel)
    let serial = this.#serials.get(module)
    if (serial === undefined) {
      serial = this.#serials.size
      this.#serials.set(module, serial)
    }
    const message = { id, name, module, serial, imports: imports.map((kernel) => kernel.id) }
    for (const port of this.#ports) port.postMessage(message)
    this.#sent.add(entry.id)
  }

  #giveUp(): void {
    this.#broken = true
    for (const worker of this.#workers) void worker.terminate()
  }

  async close(): Promise<void> {
    this.#broken = true
    Atomics.store(this.#control, words.stop, 1)
    Atomics.add(this.#control, words.sequence, 1)
    Atomics.notify(this.#control, words.sequence)
    for (const port of this.#ports) port.close()
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }
}

/** Threads of Node for the wasm backend. */
export const nodeThreadPool: ThreadPoolFactory = (memory, threads, control) =>
  new NodeThreadPool(memory, threads, control)
