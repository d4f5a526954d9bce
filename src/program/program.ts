import { input } from '../kernels/expr.js'
import type { Plan, PlanStep } from '../kernels/plan.js'
import { CaptureError } from '../shapes/errors.js'
import { type Buffer, bytesPerElement, type Executable } from '../tensor/backend.js'
import type { Device } from '../tensor/device.js'
import { TensorRecord } from '../tensor/record.js'
import { HostScalars, type Scalars } from '../tensor/recorder.js'
import { Storage } from '../tensor/storage.js'
import { type Capture, capture } from './capture.js'
import { explain } from './explain.js'
import { fuse } from './fuse.js'
import { planMemory } from './memory-plan.js'
import { accesses, moved, type Node, type ScalarRef } from './node.js'
import { schedule } from './schedule.js'
import { mapTensors, type Tree } from './tree.js'

/** Results up to this size are handed over on the host: a loss costs no device memory. */
const handedOver = 1024

/** The numbers of all kernels of a program. */
interface ScalarTable {
  readonly refs: readonly ScalarRef[]
  positionOf(ref: ScalarRef): number
}

/** A function captured for one signature: kernels on fixed memory, and what the host does before each run. */
export class Program {
  readonly #device: Device
  readonly #effects: readonly (() => void)[]
  readonly #inputs: readonly TensorRecord[]
  readonly #result: Tree
  readonly #offsets: ReadonlyMap<Storage, number>
  readonly #arena: Buffer
  readonly #table: ScalarTable
  readonly #scalars: Float64Array
  readonly #executable: Executable
  readonly #retained: readonly Storage[]
  readonly #written: readonly Storage[]
  readonly #text: () => string
  #released = false

  /** Captures `fn` on placeholders of the inputs' shapes and prepares it; nothing runs yet. */
  constructor(device: Device, placeholders: readonly TensorRecord[], fn: () => unknown) {
    const { result, captured } = capture(device, fn)
    this.#device = device
    this.#effects = captured.effects
    this.#inputs = placeholders
    this.#result = result as Tree
    const outputs = new Set<Storage>()
    mapTensors(this.#result, (record) => {
      outputs.add(record.storage)
      return record
    })
    const program = fuse(captured.nodes, outputs)
    const phases = schedule(program)
    const plan = planMemory(phases, placeholders.map((record) => record.storage), outputs)
    this.#offsets = plan.offsets
    this.#retained = held(program, captured)
    this.#written = [...new Set(program.flatMap((node) => accesses(node).flatMap(({ storage, write }) => (write && !storage.captured ? [storage] : []))))]
    this.#table = scalarTable(program)
    this.#scalars = new Float64Array(this.#table.refs.length)
    try {
      this.#arena = device.backend.allocate(Math.max(64, plan.byteLength))
    } catch (error) {
      for (const storage of this.#retained) storage.release()
      throw error
    }
    const buffers = [this.#arena, ...new Set(this.#retained.map((storage) => storage.block.buffer))]
    const step = (node: Node) => this.#step(node, buffers)
    const bound: Plan = {
      phases: phases.map(({ shared, single }) => ({ shared: shared.map(step), single: single.map(step) })),
      scalarCount: this.#table.refs.length,
    }
    this.#executable = device.backend.compile?.(bound, buffers) ?? interpreted(device, bound, buffers)
    this.#text = () => explain(phases, captured.nodes.length, plan.byteLength, captured.effects.length)
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
    }
  }

  run(inputs: readonly TensorRecord[]): unknown {
    if (this.#released) throw new CaptureError('compile: this program was released with dispose(); compile the function again.')
    this.#inputs.forEach((slot, i) => this.#bind(slot, inputs[i]))
    for (const effect of this.#effects) effect()
    this.#fillScalars()
    this.#executable.run(this.#scalars)
    for (const storage of this.#written) storage.version++
    return mapTensors(this.#result, (record) => this.#handOver(record))
  }

  profile(inputs: readonly TensorRecord[]): readonly number[] | undefined {
    this.#inputs.forEach((slot, i) => this.#bind(slot, inputs[i]))
    for (const effect of this.#effects) effect()
    this.#fillScalars()
    return this.#executable.profile?.(this.#scalars)
  }

  explain(): string {
    return this.#text()
  }

  /** The lines of `explain()` with a time each. */
  profileText(times: readonly number[] | undefined): string {
    if (!times) return `${this.#text()}\n(this device does not time its kernels)`
    const lines = this.#text().split('\n')
    const from = lines.length - times.length
    return lines.map((line, i) => (i < from ? line : `${line}  ${((times[i - from] ?? 0) / 1000).toFixed(1).padStart(9)} us`)).join('\n')
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.#executable.release()
    this.#device.backend.free(this.#arena)
    for (const storage of this.#retained) storage.release()
  }

  /** Copies an argument into its slot. */
  #bind(slot: TensorRecord, argument: TensorRecord | undefined): void {
    const offset = this.#offsets.get(slot.storage)
    // A slot nobody reads has no place.
    if (offset === undefined || !argument) return
    if (argument.contiguous) {
      const { buffer, byteOffset } = argument.storage.block
      const size = bytesPerElement[argument.dtype]
      this.#device.backend.copy(buffer, byteOffset + argument.offset * size, this.#arena, offset, slot.storage.byteLength)
    } else {
      const { shape, strides, dtype } = slot
      const output = { dtype, strides, offset: offset / bytesPerElement[dtype] }
      const kernel = { kind: 'map', shape, inputs: [argument.operand()], outputs: [output], exprs: [input(0, dtype)] } as const
      this.#device.backend.run(kernel, [argument.storage.block.buffer, this.#arena], [])
    }
  }

  #fillScalars(): void {
    this.#table.refs.forEach(({ source, index }, at) => {
      const values = source instanceof HostScalars ? source.values : source
      this.#scalars[at] = values[index] ?? Number.NaN
    })
  }

  /** A result that later runs leave alone. */
  #handOver(record: TensorRecord): TensorRecord {
    const { storage, dtype, shape, strides, offset } = record
    if (!storage.captured) return record.view()
    const { backend } = this.#device
    const from = this.#offsets.get(storage) ?? 0
    const bytes = storage.byteLength <= handedOver ? backend.readSync?.(this.#arena, from, storage.byteLength) : undefined
    if (bytes) return new TensorRecord(Storage.onHost(this.#device, bytes), { dtype, shape, strides, offset })
    const made = this.#device.allocate(storage.byteLength)
    backend.copy(this.#arena, from, made.block.buffer, made.block.byteOffset, storage.byteLength)
    return new TensorRecord(made, { dtype, shape, strides, offset })
  }
}

/** Memory outside the program that it uses; kept alive with it. Constants already are. */
function held(program: readonly Node[], { constants }: Capture): Storage[] {
  const outside = new Set(program.flatMap((node) => node.storages.filter((storage) => !storage.captured)))
  for (const storage of constants) outside.delete(storage)
  for (const storage of outside) storage.retain()
  return [...outside, ...constants]
}

/** One place in the table for every number that a kernel reads. */
function scalarTable(program: readonly Node[]): ScalarTable {
  const refs: ScalarRef[] = []
  const positions = new Map<Scalars, Map<number, number>>()
  for (const { scalars } of program) {
    for (const ref of scalars) {
      const known = positions.get(ref.source) ?? new Map<number, number>()
      positions.set(ref.source, known)
      if (!known.has(ref.index)) known.set(ref.index, refs.push(ref) - 1)
    }
  }
  return { refs, positionOf: ({ source, index }) => positions.get(source)?.get(index) ?? 0 }
}

/** For backends that do not compile: the kernels one after another. */
function interpreted(device: Device, { phases }: Plan, buffers: readonly Buffer[]): Executable {
  const steps = phases.flatMap(({ shared, single }) => [...shared, ...single]).map(({ kernel, buffers: slots, scalars }) => ({
    kernel,
    buffers: slots.flatMap((slot) => buffers[slot] ?? []),
    scalars,
  }))
  return {
    run(table) {
      for (const { kernel, buffers: own, scalars } of steps) device.backend.run(kernel, own, scalars.map((at) => table[at] ?? 0))
    },
    release() {},
  }
}
