import type { Element } from '../model/foreach.js'
import type { Device } from '../tensor/device.js'
import { toBytes } from '../tensor/elements.js'
import { emptyTensor, type TensorRecord } from '../tensor/record.js'
import type { Storage } from '../tensor/storage.js'
import { coalescedNumbers } from './coalesced.js'
import type { Own } from './prepare.js'
import { fromLog, type Weights } from './rate.js'

/** Blends with an unchanged source that have not been made yet. */
export interface Pending {
  /** How many. */
  readonly count: number
  /** Σ log(1 − τ): they keep `exp(log)` of the target. */
  readonly log: number
  /** Where rows are put off one by one: Σ log(1 − τ) of all blends, which the sums of the rows are compared with. */
  readonly rows?: number
}

const replaced = (values: Float64Array, at: number, value: number): Float64Array =>
  values.map((each, i) => (i === at ? value : each))

/** e to this is 0 in f64: nothing is left of the target. */
const nothing = -800

interface Entry {
  readonly target: TensorRecord
  readonly source: TensorRecord
}

/** What is known of each entry, by position. */
interface Known {
  /** Of the source when it was last looked at. */
  readonly versions: Float64Array
  readonly counts: Float64Array
  readonly logs: Float64Array
  /** Of all blends since rows are put off one by one; NaN before. */
  readonly totals: Float64Array
}

/** What the kernel reads for each entry: `coalescedNumbers`, of which a single blend reads two, and whether it takes part. */
interface Table {
  readonly numbers: Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>
  readonly due: Uint32Array<ArrayBuffer>
}

/**
 * The blends that a lazy shadow has put off. k blends with a source that stays are one with the weight
 * `1 − (1 − τ)^k`, so as long as nobody reads the target and nobody writes the source, counting is enough.
 */
export class PutOff {
  readonly #entries: readonly Entry[]
  readonly #slots: ReadonlyMap<TensorRecord, number>
  /** By the memory of the source. */
  readonly #positions: ReadonlyMap<Storage, number>
  #known: Known
  /** What the last blend asks of its pass. */
  readonly #asked: Table
  readonly #made: Table
  /** Whether the kernel finds nothing due as it is. */
  #idle = false
  readonly #numbers: TensorRecord
  readonly #due: TensorRecord

  constructor(device: Device, pairs: readonly { readonly target: TensorRecord; readonly source: TensorRecord }[]) {
    const count = pairs.length
    this.#entries = pairs
    this.#slots = new Map(pairs.map(({ target }, i) => [target, i]))
    this.#positions = new Map(pairs.map(({ source }, i) => [source.storage, i]))
    const zeros = () => new Float64Array(count)
    const versions = Float64Array.from(pairs, ({ source }) => source.version)
    this.#known = { versions, counts: zeros(), logs: zeros(), totals: zeros().fill(Number.NaN) }
    const dtype = pairs.some(({ target }) => target.dtype === 'f64') ? 'f64' : 'f32'
    const List = dtype === 'f64' ? Float64Array : Float32Array
    const table = (): Table => ({ numbers: new List(4 * count), due: new Uint32Array(count) })
    this.#asked = table()
    this.#made = table()
    this.#numbers = emptyTensor(device, dtype, [4 * count], 'buffer')
    this.#due = emptyTensor(device, 'u32', [count], 'buffer')
  }

  /** What the kernel reads for a tensor. */
  own(target: TensorRecord): Own {
    const slot = this.#slots.get(target) ?? 0
    const at = (i: number): Element => ({ tensor: this.#numbers, at: 4 * slot + i })
    return { numbers: [0, 1, 2, 3].map(at), guard: { tensor: this.#due, at: slot } }
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
    return [...this.#positions.keys()]
  }

  /** What is put off, by position. */
  get pending(): readonly Pending[] {
    const { counts, logs, totals } = this.#known
    return Array.from(counts, (count, i) => {
      const [log = 0, rows = Number.NaN] = [logs[i], totals[i]]
      return Number.isNaN(rows) ? { count, log } : { count, log, rows }
    })
  }
  set pending(all: readonly Pending[]) {
    this.#known = {
      versions: Float64Array.from(this.#entries, ({ source }) => source.version),
      counts: Float64Array.from(this.#entries, (_, i) => all[i]?.count ?? 0),
      logs: Float64Array.from(this.#entries, (_, i) => all[i]?.log ?? 0),
      // What was put off as a whole is put off of each row.
      totals: this.#known.totals.map((total, i) =>
        Number.isNaN(total) ? total : (all[i]?.rows ?? Math.max(all[i]?.log ?? 0, nothing)),
      ),
    }
  }

  /** From now on the rows of this source are put off one by one. */
  byRows(source: Storage): void {
    const i = this.#positions.get(source) ?? -1
    const { totals, logs } = this.#known
    this.#known = { ...this.#known, totals: replaced(totals, i, Math.max(logs[i] ?? 0, nothing)) }
  }

  /** Σ log(1 − τ) of all blends with a source whose rows are put off one by one. */
  totalOf(source: Storage): number {
    return this.#known.totals[this.#positions.get(source) ?? -1] ?? 0
  }

  /**
   * One more blend: made now where the source has changed since the last one, or everywhere, put off elsewhere. Writes
   * what the kernel reads; returns how to take it back, and whether any tensor is due. A source that is an average itself,
   * and put off, changes first.
   */
  add(weights: Weights, all: boolean): { readonly undo: () => void; readonly due: boolean } {
    for (const { source } of this.#entries) source.storage.unsettled?.settle()
    const before = this.#known
    const { versions, counts, logs, totals } = {
      versions: before.versions.slice(),
      counts: before.counts.slice(),
      logs: before.logs.slice(),
      totals: before.totals.slice(),
    }
    const log = Math.log1p(-weights.tau)
    let due = false
    this.#entries.forEach(({ source }, i) => {
      const [{ version }, count = 0, sum = 0, total = Number.NaN] = [source, counts[i], logs[i], totals[i]]
      const byRows = !Number.isNaN(total)
      // Rows have been settled where all is due, and wait for who changes them where not.
      const now = all || (!byRows && version !== versions[i])
      if (byRows && !now) totals[i] = total + Math.max(log, nothing)
      if (now) {
        due = true
        versions[i] = version
        this.#ask(this.#asked, i, count === 0 ? weights : fromLog(sum + log))
      } else this.#ask(this.#asked, i, undefined)
      counts[i] = now ? 0 : count + 1
      logs[i] = now ? 0 : sum + log
    })
    this.#known = { versions, counts, logs, totals }
    this.#write(this.#asked, due)
    return {
      due,
      undo: () => {
        this.#known = before
      },
    }
  }

  /** Everything that was put off becomes due. Returns whether there is any. */
  takeAll(): boolean {
    return this.#take((count) => count > 0)
  }

  /** What was put off of the rows of this source counts as made. Returns whether there is any. */
  takeRows(source: Storage): boolean {
    const i = this.#positions.get(source) ?? -1
    const { counts, logs } = this.#known
    if (!counts[i]) return false
    this.#known = { ...this.#known, counts: replaced(counts, i, 0), logs: replaced(logs, i, 0) }
    return true
  }

  /**
   * What was put off as long as the blends with this source becomes due, if any were: what changes is written together,
   * and what is frozen keeps waiting. Returns whether there is any.
   */
  takeWith(source: Storage): boolean {
    const count = this.#known.counts[this.#positions.get(source) ?? -1] ?? 0
    return count > 0 && this.#take((other) => other === count)
  }

  get #dtype(): 'f32' | 'f64' {
    return this.#numbers.dtype === 'f64' ? 'f64' : 'f32'
  }

  #take(due: (count: number) => boolean): boolean {
    const { counts, logs, totals } = this.#known
    const taken = Array.from(counts, (count, i) => Number.isNaN(totals[i]) && due(count))
    if (!taken.includes(true)) return false
    taken.forEach((now, i) => {
      this.#ask(this.#made, i, now ? fromLog(logs[i] ?? 0) : undefined)
    })
    this.#write(this.#made, true)
    const left = (values: Float64Array) => values.map((value, i) => (taken[i] ? 0 : value))
    this.#known = { ...this.#known, counts: left(counts), logs: left(logs) }
    return true
  }

  /** After what was taken has been made: who did that may have come between a blend and its pass. */
  resume(): void {
    this.#write(
      this.#asked,
      this.#asked.due.some((each) => each !== 0),
    )
  }

  #ask({ numbers, due }: Table, i: number, weights: Weights | undefined): void {
    due[i] = weights ? 1 : 0
    if (weights) numbers.set(coalescedNumbers(weights, this.#dtype), 4 * i)
  }

  #write({ numbers, due }: Table, any: boolean): void {
    if (!any && this.#idle) return
    if (any) this.#numbers.storage.write(0, toBytes(numbers, this.#dtype))
    this.#due.storage.write(0, toBytes(due, 'u32'))
    this.#idle = !any
  }

  dispose(): void {
    this.#numbers.dispose()
    this.#due.dispose()
  }
}
