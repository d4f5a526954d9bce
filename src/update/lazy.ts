import type { Element } from '../model/foreach.js'
import type { Device } from '../tensor/device.js'
import { toBytes } from '../tensor/elements.js'
import { emptyTensor, type TensorRecord } from '../tensor/record.js'
import type { Storage } from '../tensor/storage.js'
import type { Own } from './prepare.js'
import { fromLog, type Weights } from './rate.js'

/** Blends with an unchanged source that have not been made yet. */
export interface Pending {
  /** How many. */
  readonly count: number
  /** Σ log(1 − τ): they keep `exp(log)` of the target. */
  readonly log: number
}

interface Entry {
  readonly target: TensorRecord
  readonly source: TensorRecord
  /** Of the source when it was last looked at. */
  version: number
  pending: Pending
}

const none: Pending = { count: 0, log: 0 }

/**
 * The blends that a lazy shadow has put off. k blends with a source that stays are one with the weight
 * `1 − (1 − τ)^k`, so as long as nobody reads the target and nobody writes the source, counting is enough.
 */
export class PutOff {
  readonly #entries: readonly Entry[]
  readonly #slots: ReadonlyMap<TensorRecord, number>
  readonly #readers: ReadonlyMap<Storage, Entry>
  /** Two numbers of the rule for each tensor, and whether it takes part in the next pass. */
  readonly #numbers: TensorRecord
  readonly #due: TensorRecord

  constructor(
    device: Device,
    pairs: readonly { readonly target: TensorRecord; readonly source: TensorRecord }[],
    readonly numbersOf: (weights: Weights) => readonly number[],
  ) {
    this.#entries = pairs.map(({ target, source }) => ({ target, source, version: source.version, pending: none }))
    this.#slots = new Map(pairs.map(({ target }, i) => [target, i]))
    this.#readers = new Map(this.#entries.map((entry) => [entry.source.storage, entry]))
    this.#numbers = emptyTensor(device, 'f32', [2 * pairs.length], 'buffer')
    this.#due = emptyTensor(device, 'u32', [pairs.length], 'buffer')
  }

  /** What the kernel reads for a tensor. */
  own(target: TensorRecord): Own {
    const slot = this.#slots.get(target) ?? 0
    const at = (i: number): Element => ({ tensor: this.#numbers, at: 2 * slot + i })
    return { numbers: [at(0), at(1)], guard: { tensor: this.#due, at: slot } }
  }

  /** Which memory tells the kernel what to do: what reads it is the shadow itself. */
  get table(): Storage {
    return this.#due.storage
  }

  /** The storages whose readers, and writers, must be told. */
  get targets(): readonly Storage[] {
    return this.#entries.map(({ target }) => target.storage)
  }
  get sources(): readonly Storage[] {
    return [...this.#readers.keys()]
  }

  /** What is put off, by position. */
  get pending(): readonly Pending[] {
    return this.#entries.map(({ pending }) => pending)
  }
  set pending(all: readonly Pending[]) {
    this.#entries.forEach((entry, i) => {
      entry.pending = all[i] ?? none
      entry.version = entry.source.version
    })
  }

  /**
   * One more blend: made now where the source has changed since the last one, or everywhere, put off elsewhere. Writes
   * what the kernel reads; returns how to take it back, and whether any tensor is due. A source that is an average itself,
   * and put off, changes first.
   */
  add(weights: Weights, all: boolean): { readonly undo: () => void; readonly due: boolean } {
    for (const { source } of this.#entries) source.storage.unsettled?.settle()
    const before = this.#entries.map(({ version, pending }) => ({ version, pending }))
    const log = Math.log1p(-weights.tau)
    const due = this.#entries.map((entry) => {
      const { count, log: sum } = entry.pending
      if (all || entry.source.version !== entry.version) {
        entry.version = entry.source.version
        entry.pending = none
        return count === 0 ? weights : fromLog(sum + log)
      }
      entry.pending = { count: count + 1, log: sum + log }
      return undefined
    })
    this.#write(due)
    return {
      due: due.some((each) => each !== undefined),
      undo: () => {
        this.#entries.forEach((entry, i) => {
          Object.assign(entry, before[i])
        })
      },
    }
  }

  /** Everything that was put off becomes due. Returns whether there is any. */
  takeAll(): boolean {
    const any = this.#entries.some(({ pending }) => pending.count > 0)
    if (any) this.#take(({ pending }) => pending.count > 0)
    return any
  }

  /**
   * What was put off as long as the blends with this source becomes due, if any were: what changes is written together,
   * and what is frozen keeps waiting. Returns whether there is any.
   */
  takeWith(source: Storage): boolean {
    const count = this.#readers.get(source)?.pending.count ?? 0
    if (count > 0) this.#take(({ pending }) => pending.count === count)
    return count > 0
  }

  #take(due: (entry: Entry) => boolean): void {
    const taken = this.#entries.map(due)
    this.#write(this.#entries.map(({ pending }, i) => (taken[i] ? fromLog(pending.log) : undefined)))
    for (const [i, entry] of this.#entries.entries()) if (taken[i]) entry.pending = none
  }

  #write(weights: readonly (Weights | undefined)[]): void {
    const numbers = weights.flatMap((each) => (each ? this.numbersOf(each) : [0, 0]))
    this.#numbers.storage.write(0, toBytes(Float32Array.from(numbers), 'f32'))
    this.#due.storage.write(
      0,
      toBytes(
        Uint32Array.from(weights, (each) => (each ? 1 : 0)),
        'u32',
      ),
    )
  }

  dispose(): void {
    this.#numbers.dispose()
    this.#due.dispose()
  }
}
