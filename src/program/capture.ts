import { slotCount } from '../kernels/expr.js'
import { exprsOf, type Kernel } from '../kernels/kernel.js'
import { CaptureError } from '../shapes/errors.js'
import { contiguousStrides, sizeOf } from '../shapes/strides.js'
import { bytesPerElement } from '../tensor/backend.js'
import { type Device, recordOn } from '../tensor/device.js'
import { type Layout, TensorRecord } from '../tensor/record.js'
import type { Guard, Recorder, Scalars } from '../tensor/recorder.js'
import { captureScope, HELD } from '../tensor/scope.js'
import { Storage, type Unsettled } from '../tensor/storage.js'
import type { Node } from './node.js'
import { heldBy, leavesOf, type Tree } from './tree.js'

/** Work of the host before each run, and how to take it back. */
export interface Effect {
  readonly run: () => void
  readonly undo: (() => void) | undefined
}

/** What an argument is captured as: a tensor without memory. */
export type Like = Pick<Layout, 'shape' | 'dtype'>

/** A tensor that the function returned: where it lies, not the tensor itself, which ends with the capture. */
export interface Output {
  readonly storage: Storage
  readonly layout: Layout
}

/** What running a function once has told: kernels and host work, in order. */
class Recording implements Recorder {
  readonly nodes: Node[] = []
  readonly effects: Effect[] = []
  readonly checks: (() => void)[] = []
  readonly constants: Storage[] = []
  readonly frozen = new Map<TensorRecord, boolean>()

  readonly settled = new Map<Storage, Set<Unsettled>>()
  readonly asTheyAre = new Set<Node>()

  #asItIs = false
  #guards: readonly Guard[] = []
  #after: readonly Storage[] = []

  run(kernel: Kernel, storages: readonly Storage[], scalars: Scalars): void {
    const count = slotCount(exprsOf(kernel), 'scalar')
    const refs = Array.from({ length: count }, (_, index) => ({ source: scalars, index }))
    const node = { kernel, storages, scalars: refs, guards: this.#guards, after: this.#after }
    this.nodes.push(node)
    if (this.#asItIs) this.asTheyAre.add(node)
  }

  onHost(run: () => void, undo?: () => void): void {
    this.effects.push({ run, undo })
  }

  afterRun(check: () => void): void {
    this.checks.push(check)
  }

  guarded(guard: Guard, body: () => void): void {
    const outer = this.#guards
    this.#guards = [...outer, guard]
    try {
      body()
    } finally {
      this.#guards = outer
    }
  }

  after<R>(storage: Storage, body: () => R): R {
    const outer = this.#after
    this.#after = [...outer, storage]
    try {
      return body()
    } finally {
      this.#after = outer
    }
  }

  settledRows(storage: Storage, reader: Unsettled): void {
    this.settled.set(storage, (this.settled.get(storage) ?? new Set()).add(reader))
  }

  asItIs(body: () => void): void {
    const outer = this.#asItIs
    this.#asItIs = true
    try {
      body()
    } finally {
      this.#asItIs = outer
    }
  }

  parameter(record: TensorRecord): void {
    this.frozen.set(record, record.frozen)
  }

  keep(storage: Storage): void {
    this.constants.push(storage.retain())
  }
}

/** A function as a program. */
export interface Captured {
  readonly nodes: readonly Node[]
  /** In order. */
  readonly effects: readonly Effect[]
  /** What the host looks at after each run. */
  readonly checks: readonly (() => void)[]
  /** Contents that the function made from host numbers; the program owns one reference to each. */
  readonly constants: readonly Storage[]
  /** Parameters that took part, and whether each was frozen. */
  readonly frozen: ReadonlyMap<TensorRecord, boolean>
  /** Kernels that read memory as it is, whatever has been put off on it. */
  readonly asTheyAre: ReadonlySet<Node>
  /** Who reads what of storages is part of the program, before rows of them change. */
  readonly settled: ReadonlyMap<Storage, ReadonlySet<Unsettled>>
  /** What the arguments were captured as. */
  readonly inputs: readonly Storage[]
  /** What the function returned, with its tensors in the order of `outputs`. */
  readonly result: Tree
  readonly outputs: readonly Output[]
}

function standIn(device: Device, { shape, dtype }: Like): TensorRecord {
  const storage = new Storage(device, sizeOf(shape) * bytesPerElement[dtype])
  return new TensorRecord(storage, { dtype, shape, strides: contiguousStrides(shape), offset: 0 })
}

const generators = ['[object Generator]', '[object AsyncGenerator]']

/** A result is made of tensors and plain data; anything that would wait or hold tensors elsewhere is refused. */
function requireTensors(result: Tree): void {
  if (result instanceof Promise) {
    // It goes on with tensors that are gone; that it fails is what the error below says.
    result.catch(() => undefined)
    throw new CaptureError('compile: the function returned a promise; return tensors and await their values outside.')
  }
  if (generators.includes(Object.prototype.toString.call(result))) {
    const remedy = 'return the tensors, in arrays or objects if there are several'
    throw new CaptureError(`compile: the function is a generator, of which nothing has run yet; ${remedy}.`)
  }
  for (const leaf of leavesOf(result)) {
    if (heldBy(leaf).some(({ storage }) => storage.captured)) {
      const name = (leaf as object).constructor.name
      throw new CaptureError(
        `compile: the function returned a ${name} with tensors, which have no values; return arrays and plain objects.`,
      )
    }
    if (typeof leaf !== 'object' || leaf === null || leaf instanceof TensorRecord || !(HELD in leaf)) continue
    const remedy = 'return the tensors themselves, as in gradients.get(weight)'
    throw new CaptureError(`compile: the function returned gradients, which have no values until it runs; ${remedy}.`)
  }
}

/**
 * Runs `fn` with everything it would compute on `device` noted instead. `fn` gets a function that makes stand-ins for
 * the arguments. Scopes around the call own nothing of what is made here.
 */
export function capture(device: Device, fn: (standIn: (like: Like) => TensorRecord) => unknown): Captured {
  const recording = new Recording()
  const inputs: Storage[] = []
  let result: Tree
  const outputs: Output[] = []
  try {
    recordOn(device, recording, () =>
      captureScope(() => {
        result = fn((like) => {
          const record = standIn(device, like)
          inputs.push(record.storage)
          return record
        })
        requireTensors(result)
        for (const leaf of leavesOf(result)) {
          if (!(leaf instanceof TensorRecord)) continue
          const { storage, dtype, shape, strides, offset } = leaf
          outputs.push({ storage, layout: { dtype, shape, strides, offset } })
        }
      }),
    )
  } catch (error) {
    for (const storage of recording.constants) storage.release()
    throw error
  }
  const { nodes, effects, checks, constants, frozen, settled, asTheyAre } = recording
  return { nodes, effects, checks, constants, frozen, settled, asTheyAre, inputs, result, outputs }
}
