import { input } from '../kernels/expr.js'
import type { Plan, PlanGuard, PlanStep } from '../kernels/plan.js'
import { CaptureError, DeviceError, HalfWrittenError } from '../shapes/errors.js'
import { contiguousStrides } from '../shapes/strides.js'
import { type Buffer, bytesPerElement, type Executable } from '../tensor/backend.js'
import { type Device, replacedBy } from '../tensor/device.js'
import { TensorRecord } from '../tensor/record.js'
import { HostScalars, type Scalars } from '../tensor/recorder.js'
import { type Block, Storage, type Unsettled } from '../tensor/storage.js'
import { type Captured, capture, type Effect, type Output } from './capture.js'
import { explain } from './explain.js'
import { fuse } from './fuse/index.js'
import { planMemory } from './memory-plan.js'
import { accesses, moved, type Node, type ScalarRef } from './node.js'
import { schedule } from './schedule.js'
import { mapTensors, type Tree } from './tree.js'

/** Results up to this size are handed over on the host: a loss costs no device memory. */
const handedOver = 1024
const isSmall = (storage: Storage): boolean => storage.byteLength <= handedOver

/** The numbers of all kernels of a program. */
interface ScalarTable {
  readonly refs: readonly ScalarRef[]
  positionOf(ref: ScalarRef): number
}

/** An argument's place in the arena, packed. */
interface Slot {
  readonly offset: number
  readonly byteLength: number
}

/** A function captured for one signature: kernels on fixed memory, and what the host does before each run. */
export class Program {
  readonly #device: Device
  readonly #effects: readonly Effect[]
  readonly #checks: readonly (() => void)[]
  /** By argument; undefined where nothing reads it. */
  readonly #inputs: readonly (Slot | undefined)[]
  readonly #result: Tree
  readonly #outputs: readonly Output[]
  readonly #offsets: ReadonlyMap<Storage, number>
  readonly #arena: Buffer
  readonly #table: ScalarTable
  readonly #scalars: Float64Array
  readonly #executable: Executable
  readonly #retained: readonly Storage[]
  readonly #written: readonly Storage[]
  /** Of those, what every run writes from end to end without reading any of it. */
  readonly #replaced: ReadonlySet<Storage>
  /** Whose reading of storages is part of it: only rows of those are written. */
  readonly #settled: ReadonlyMap<Storage, ReadonlySet<Unsettled>>
  /** What it touches other than by work that settles it. */
  readonly #direct: readonly Storage[]
  readonly #text: (times?: readonly number[]) => string
  readonly #frozen: ReadonlyMap<TensorRecord, boolean>
  readonly #blocks: readonly Block[]
  #exchanges: number
  #released = false

  /**
   * Captures `fn` and prepares what it did; nothing runs yet.
   *
   * Throws: what `fn` throws, and `DeviceError` when the memory does not suffice; nothing stays allocated then.
   */
  constructor(device: Device, fn: Parameters<typeof capture>[1]) {
    const captured = capture(device, fn)
    this.#device = device
    this.#effects = captured.effects
    this.#checks = captured.checks
    this.#frozen = captured.frozen
    this.#result = captured.result
    this.#outputs = captured.outputs
    const results = new Set(captured.outputs.map(({ storage }) => storage))
    const program = fuse(captured.nodes, results)
    const phases = schedule(program)
    const plan = planMemory(phases, captured.inputs, results)
    this.#offsets = plan.offsets
    this.#inputs = captured.inputs.map((storage) => {
      const offset = plan.offsets.get(storage)
      return offset === undefined ? undefined : { offset, byteLength: storage.byteLength }
    })
    this.#retained = held(program, captured)
    this.#written = [...new Set(program.flatMap(lastingWrites))]
    this.#replaced = replacedWholly(captured.nodes)
    this.#direct = directlyUsed(captured)
    this.#settled = writtenByRows(captured)
    this.#table = scalarTable(program)
    this.#scalars = new Float64Array(this.#table.refs.length)
    let arena: Buffer | undefined
    try {
      arena = device.backend.allocate(Math.max(64, plan.byteLength))
      const buffers = [arena, ...new Set(this.#retained.map((storage) => storage.block.buffer))]
      const step = (node: Node) => this.#step(node, buffers)
      const bound: Plan = {
        phases: phases.map(({ shared, single }) => ({ shared: shared.map(step), single: single.map(step) })),
        scalarCount: this.#table.refs.length,
      }
      this.#arena = arena
      this.#blocks = this.#retained.map((storage) => storage.block)
      this.#exchanges = device.exchanges
      this.#executable = device.backend.compile?.(bound, buffers) ?? interpreted(device, bound, buffers)
    } catch (error) {
      if (arena) device.backend.free(arena)
      for (const storage of this.#retained) storage.release()
      throw error
    }
    const { nodes, effects } = captured
    this.#text = (times) =>
      explain({ phases, captured: nodes, arenaBytes: plan.byteLength, effects: effects.length }, times)
  }

  /** The kernel on the program's own memory. */
  #step(node: Node, buffers: readonly Buffer[]): PlanStep {
    const offsetOf = (slot: number): number => {
      const storage = node.storages[slot]
      return storage?.captured ? (this.#offsets.get(storage) ?? 0) : 0
    }
    return {
      kernel: moved(node.kernel, (slot, dtype) => offsetOf(slot) / bytesPerElement[dtype]),
      buffers: node.storages.map((storage) => (storage.captured ? 0 : buffers.indexOf(storage.block.buffer))),
      scalars: node.scalars.map((ref) => this.#table.positionOf(ref)),
      guards: node.guards.map((guard): PlanGuard => {
        if (guard instanceof HostScalars) return { scalar: this.#table.positionOf({ source: guard, index: 0 }) }
        const { storage, offset } = guard
        const start = storage.captured ? (this.#offsets.get(storage) ?? 0) : storage.block.byteOffset
        const buffer = storage.captured ? 0 : buffers.indexOf(storage.block.buffer)
        return { buffer, byteOffset: start + offset * bytesPerElement.bool }
      }),
    }
  }

  /**
   * One run: arguments in, host work, kernels, results out.
   *
   * What can fail before the kernels (an argument, memory for results, a schedule) fails with nothing changed. When the
   * kernels fail, counters and random numbers are as before the run, and for an index out of range all that lasts is, too:
   * see `checksFirst`. After a `HalfWrittenError` (a thread died) all that the program writes counts as half-written.
   */
  run(inputs: readonly TensorRecord[]): unknown {
    const { backend } = this.#device
    const large = this.#outputs.map(({ storage }) => {
      const onHost = isSmall(storage) && backend.readSync !== undefined && !backend.afterwards
      return storage.captured && !onHost ? () => this.#device.allocate(storage.byteLength) : undefined
    })
    const made: (Storage | undefined)[] = []
    try {
      for (const allocate of large) made.push(allocate?.())
      this.#execute(inputs, (table) => this.#executable.run(table))
    } catch (error) {
      for (const storage of made) storage?.release()
      throw error
    }
    const records = this.#outputs.map((output, i) => this.#handOver(output, made[i]))
    let next = 0
    return mapTensors(this.#result, () => records[next++])
  }

  /**
   * Whether it is what the function would be captured as now: `freeze`, swapped weights, and what follows rows of a table
   * make another program of it.
   */
  get fits(): boolean {
    for (const [parameter, frozen] of this.#frozen) if (parameter.frozen !== frozen) return false
    for (const [storage, settled] of this.#settled)
      for (const reader of storage.readers ?? []) if (reader.settleRows && !settled.has(reader)) return false
    if (this.#exchanges === this.#device.exchanges) return true
    if (this.#retained.some((storage, i) => storage.block !== this.#blocks[i])) return false
    this.#exchanges = this.#device.exchanges
    return true
  }

  /** The lines of `explain()` with the time that each kernel took in one run; results are dropped. */
  profile(inputs: readonly TensorRecord[]): Promise<string> {
    return this.#execute(inputs, (table) => this.#executable.profile(table)).then(this.#text)
  }

  explain(): string {
    return this.#text()
  }

  /** Returns the memory; the program does not run any more. */
  release(): void {
    if (this.#released) return
    this.#released = true
    this.#executable.release()
    this.#device.backend.free(this.#arena)
    for (const storage of this.#retained) storage.release()
  }

  #execute<X>(inputs: readonly TensorRecord[], kernels: (table: Float64Array) => X): X {
    if (this.#released)
      throw new CaptureError('compile: this program was released with dispose(); call the compiled function again.')
    if (this.#device.halfWritten > 0) {
      for (const { storage } of inputs) storage.requireWhole()
      for (const storage of this.#retained) if (!this.#replaced.has(storage)) storage.requireWhole()
    }
    for (const [i, slot] of this.#inputs.entries()) this.#bind(slot, inputs[i])
    const { generator } = this.#device
    const draws = generator.state()
    let done = 0
    let ran = false
    const failed = (error: unknown) => {
      if (error instanceof HalfWrittenError) for (const storage of this.#written) storage.halfWritten = true
      for (const { undo } of this.#effects.slice(0, done).reverse()) undo?.()
      generator.load(draws)
    }
    try {
      for (const storage of this.#written) storage.settleReaders(this.#settled.get(storage))
      this.#device.needed = settled(this.#direct)
      for (const storage of this.#written) storage.changed()
      for (const { run } of this.#effects) {
        run()
        done++
      }
      this.#fillScalars()
      const result = kernels(this.#scalars)
      ran = true
      if (this.#device.halfWritten > 0) for (const storage of this.#replaced) storage.halfWritten = false
      this.#device.backend.afterwards?.((error) => {
        if (error) failed(error)
      })
      runAll(this.#checks)
      return result
    } catch (error) {
      if (!ran) failed(error)
      throw error
    } finally {
      this.#device.needed = undefined
    }
  }

  /** Copies an argument into its slot. */
  #bind(slot: Slot | undefined, argument: TensorRecord | undefined): void {
    if (!slot || !argument) return
    const { dtype, shape } = argument
    const size = bytesPerElement[dtype]
    argument.storage.unsettled?.settle()
    const { buffer, byteOffset } = argument.storage.block
    if (argument.contiguous) {
      this.#device.backend.copy(buffer, byteOffset + argument.offset * size, this.#arena, slot.offset, slot.byteLength)
    } else {
      const output = { dtype, strides: contiguousStrides(shape), offset: slot.offset / size }
      const kernel = {
        kind: 'map',
        shape,
        inputs: [argument.operand()],
        outputs: [output],
        exprs: [input(0, dtype)],
      } as const
      this.#device.backend.run(kernel, [buffer, this.#arena], [])
    }
  }

  #fillScalars(): void {
    this.#table.refs.forEach(({ source, index }, at) => {
      const values = source instanceof HostScalars ? source.values : source
      this.#scalars[at] = values[index] ?? Number.NaN
    })
  }

  /** A result that later runs leave alone; of what is not the program's own, a view. */
  #handOver({ storage, layout }: Output, made: Storage | undefined): TensorRecord {
    if (!storage.captured) return new TensorRecord(storage.retain(), layout)
    const { backend } = this.#device
    const from = this.#offsets.get(storage) ?? 0
    if (made) {
      backend.copy(this.#arena, from, made.block.buffer, made.block.byteOffset, storage.byteLength)
      // A loss costs no device memory: once it is there, it moves to the host.
      const spill = (error?: Error) => {
        if (!error) made.spill()
      }
      if (isSmall(made) && !backend.afterwards?.(spill)) spill()
      return new TensorRecord(made, layout)
    }
    const bytes = backend.readSync?.(this.#arena, from, storage.byteLength) ?? new Uint8Array(storage.byteLength)
    return new TensorRecord(Storage.onHost(this.#device, bytes), layout)
  }
}

/**
 * Memory outside the program that it uses, kept alive with it: models, state, and the constants it made, less those
 * that fusing has made needless.
 */
function held(program: readonly Node[], { constants, outputs }: Captured): Storage[] {
  const used = [
    ...program.flatMap((node) => accesses(node).map(({ storage }) => storage)),
    ...outputs.map(({ storage }) => storage),
  ]
  const outside = new Set(used.filter((storage) => !storage.captured))
  for (const storage of outside) storage.retain()
  for (const storage of constants) storage.release()
  return [...outside]
}

/** Memory outside the program that kernels use which are not the put-off work on it. */
function directlyUsed({ nodes, outputs, asTheyAre }: Captured): Storage[] {
  const found = new Set(outputs.map(({ storage }) => storage))
  // Before fusing, which may put both into one kernel.
  for (const node of nodes)
    for (const { storage } of asTheyAre.has(node) ? [] : accesses(node))
      if (!storage.captured && !(storage.unsettled && node.storages.includes(storage.unsettled.table)))
        found.add(storage)
  return [...found].filter((storage) => !storage.captured)
}

/** Of what is written by rows only, who has read them before. */
function writtenByRows({ nodes, settled }: Captured): ReadonlyMap<Storage, ReadonlySet<Unsettled>> {
  const others = nodes.filter(({ kernel }) => kernel.kind !== 'scatter').flatMap(lastingWrites)
  const byRows = nodes.filter(({ kernel }) => kernel.kind === 'scatter').flatMap(lastingWrites)
  const none: ReadonlySet<Unsettled> = new Set()
  return new Map(
    byRows.filter((storage) => !others.includes(storage)).map((storage) => [storage, settled.get(storage) ?? none]),
  )
}

/** Settles what was put off on these storages; all of it. */
function settled(storages: readonly Storage[]): ReadonlySet<Unsettled> | undefined {
  let found: Set<Unsettled> | undefined
  for (const { unsettled } of storages) {
    if (!unsettled || found?.has(unsettled)) continue
    found ??= new Set()
    found.add(unsettled)
    unsettled.settle()
  }
  return found
}

const lastingWrites = (node: Node): Storage[] =>
  accesses(node).flatMap(({ storage, write }) => (write && !storage.captured ? [storage] : []))

/** Of the kernels as captured: fusing gives some that always run conditions, under one of which each does. */
function replacedWholly(program: readonly Node[]): Set<Storage> {
  const unguarded = program.filter(({ guards }) => guards.length === 0)
  const replaced = new Set(unguarded.flatMap(({ kernel, storages }) => [...replacedBy(kernel, storages)]))
  for (const { storage, write } of program.flatMap(accesses)) if (!write) replaced.delete(storage)
  for (const storage of replaced) if (storage.captured) replaced.delete(storage)
  return replaced
}

/** One place in the table for every number that a kernel reads. */
function scalarTable(program: readonly Node[]): ScalarTable {
  const refs: ScalarRef[] = []
  const positions = new Map<Scalars, Map<number, number>>()
  for (const { scalars, guards } of program) {
    const conditions = guards.flatMap((source) => (source instanceof HostScalars ? [{ source, index: 0 }] : []))
    for (const ref of [...scalars, ...conditions]) {
      const known = positions.get(ref.source) ?? new Map<number, number>()
      positions.set(ref.source, known)
      if (!known.has(ref.index)) known.set(ref.index, refs.push(ref) - 1)
    }
  }
  return { refs, positionOf: ({ source, index }) => positions.get(source)?.get(index) ?? 0 }
}

/** Throws what the first of the checks throws, after all have run: each sets right what is its own. */
function runAll(checks: readonly (() => void)[]): void {
  const errors: unknown[] = []
  for (const check of checks) {
    try {
      check()
    } catch (error) {
      errors.push(error)
    }
  }
  if (errors.length > 0) throw errors[0]
}

/** For backends that do not compile: the kernels one after another. */
function interpreted(device: Device, { phases }: Plan, buffers: readonly Buffer[]): Executable {
  const steps = phases
    .flatMap(({ shared, single }) => [...shared, ...single])
    .map((step) => ({ ...step, own: step.buffers.flatMap((slot) => buffers[slot] ?? []) }))
  const holds = (guard: PlanGuard, table: Float64Array): boolean => {
    if ('scalar' in guard) return table[guard.scalar] !== 0
    const buffer = buffers[guard.buffer]
    const bytes = buffer && device.backend.readSync?.(buffer, guard.byteOffset, bytesPerElement.bool)
    if (!bytes) throw new DeviceError(`compile: the ${device.name} device cannot decide on values inside a program.`)
    return bytes.some((byte) => byte !== 0)
  }
  const runStep = ({ kernel, own, scalars, guards }: (typeof steps)[number], table: Float64Array): void => {
    if (!guards.every((guard) => holds(guard, table))) return
    device.backend.run(
      kernel,
      own,
      scalars.map((at) => table[at] ?? 0),
    )
  }
  return {
    run(table) {
      for (const step of steps) runStep(step, table)
    },
    profile(table) {
      const times = steps.map((step) => {
        const start = performance.now()
        runStep(step, table)
        return (performance.now() - start) * 1e6
      })
      return Promise.resolve(times)
    },
    release() {},
  }
}
