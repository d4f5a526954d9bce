/** Words of the control block that owner and workers share, on cache lines of their own. */
export const words = {
  sequence: 0,
  entry: 1,
  params: 2,
  done: 16,
  broken: 17,
  sleepers: 32,
  ready: 48,
  leader: 49,
  completed: 64,
  failed: 65,
  times: 80,
} as const

/**
 * How long the last runs took, by the number of the command modulo `timesKept`: µs and one, negative when one thread
 * was at it; 0 for other commands.
 */
export const timesKept = 32

/** Words of a control block, and most blocks that find room: a new crew takes another one than the last. */
export const [controlWords, controlBlocks] = [128, 7]

/** Why a command failed: an operand was found invalid, or a kernel trapped. */
export const failures = { invalid: 1, trapped: 2 } as const

/** Of a command in a message: what `Command` says, with entries by number and checks as words to look at. */
export interface SentCommand {
  readonly kind: 'run' | 'profile' | 'copy' | 'write' | 'read'
  readonly [field: string]: unknown
}

/**
 * Runs in each worker. Text, because a library has no file that every bundler would find. Worker 0 takes commands from
 * messages, in order, and shares long kernels with the others: helpers that sleep on a word of memory, and go back to
 * their event loop only for the message with a function they do not have yet. Each holds a lock for life: whoever is given
 * it then knows that the worker is gone.
 * A job: write `fills`, run, look at `checks`. Whether a job is shared is in the message; its time is left in `times`.
 */
export const workerSource = `'use strict'
const { sequence, entry, params, done, broken, sleepers, ready, leader, completed, failed, times } = ${JSON.stringify(words)}
const { load, store, add, sub, wait, notify } = Atomics
const functions = [], instances = [], table = new WebAssembly.Table({ element: 'anyfunc', initial: 0 })
const { locks } = globalThis.navigator || {}
let memory, c, thread, threads, begun, seen, dropped
const waited = () => {
  if (load(c, broken)) throw 0
}
const define = ({ id, name, module, serial, inTable, imports }) => {
  const kernels = Object.fromEntries(imports.map(i => [i, functions[i]]))
  instances[serial] ||= new WebAssembly.Instance(module, { env: { memory, table, waited }, kernels })
  functions[id] = instances[serial].exports[name]
  if (!inTable) return
  table.grow(Math.max(0, id + 1 - table.length))
  table.set(id, functions[id])
}
const help = () => {
  for (let spin = 0; ; spin = 0) {
    while (load(c, sequence) === seen) {
      if (++spin < 4000) continue
      add(c, sleepers, 1)
      wait(c, sequence, seen)
      sub(c, sleepers, 1)
    }
    const run = functions[load(c, entry)]
    if (!run || load(c, broken)) return
    seen = load(c, sequence)
    try {
      run(load(c, params), thread, threads)
    } catch {
      store(c, broken, 1)
    }
    add(c, done, 1)
    notify(c, done)
  }
}
const run = ({ entry: id, params: at, shared, checks }, words) => {
  const own = functions[id]
  const start = performance.now()
  const helped = shared && threads > 1 && load(c, ready) === threads
  if (helped) share(own, id, at)
  else own(at, 0, 1)
  const time = 1 + (performance.now() - start) * 1e3
  for (const at of checks) if (words[at] >= 0) throw ${failures.invalid}
  return helped ? time : -time
}
const share = (own, id, at) => {
  const before = load(c, done)
  store(c, entry, id)
  store(c, params, at)
  add(c, sequence, 1)
  if (load(c, sleepers)) notify(c, sequence)
  own(at, 0, threads)
  for (let spin = 0, now; (((now = load(c, done)) - before) | 0) < threads - 1; waited())
    if (++spin > 4000) wait(c, done, now, 100)
  waited()
}
const perform = (command, words, bytes) => {
  const { kind, from, to, length, fills, parts } = command
  const time = times + ((load(c, completed) + 1) & ${timesKept - 1})
  c[time] = 0
  if (kind === 'copy') bytes.copyWithin(to, from, from + length)
  else if (kind === 'write') bytes.set(command.bytes, to)
  else if (kind === 'read') return bytes.slice(from, from + length)
  else {
    for (let i = 0; i < fills.length; i += 2) words[fills[i]] = fills[i + 1]
    if (kind === 'profile')
      return new Uint8Array(Float64Array.from(parts, part =>
        part.guards.every(at => words[at]) ? (Math.abs(run(part, words)) - 1) * 1e3 : 0).buffer)
    c[time] = run(command, words)
  }
}
const begin = () => {
  begun = true
  seen = load(c, sequence)
  add(c, ready, 1)
  if (thread) help()
}
globalThis.onmessage = ({ data }) => {
  if (data.memory) {
    ;({ memory, thread, threads } = data)
    c = new Int32Array(memory.buffer, data.control, ${controlWords})
    if (!thread) store(c, leader, 1)
    if (!locks) begin()
    else locks.request(data.lock, () => {
      postMessage(data.lock)
      begin()
      return new Promise(() => {})
    })
  }
  data.define?.forEach(define)
  if (thread) {
    if (begun) help()
    return
  }
  if (data.commands && data.epoch !== dropped) {
    const words = new Int32Array(memory.buffer)
    const bytes = new Uint8Array(memory.buffer)
    for (const command of data.commands) {
      if (load(c, broken)) return
      let read
      try {
        read = perform(command, words, bytes)
      } catch (error) {
        dropped = data.epoch
        store(c, failed, error === ${failures.invalid} ? error : ${failures.trapped})
        notify(c, completed)
        break
      }
      add(c, completed, 1)
      notify(c, completed)
      if (read) postMessage(read, [read.buffer])
    }
  }
  postMessage(0)
}
`
