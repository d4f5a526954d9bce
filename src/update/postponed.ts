import { CaptureError } from '../shapes/errors.js'
import type { Device } from '../tensor/device.js'
import type { Generator } from '../tensor/generator.js'
import type { TensorRecord } from '../tensor/record.js'
import type { Scalars } from '../tensor/recorder.js'
import type { Storage, Unsettled } from '../tensor/storage.js'
import type { BlendOptions } from './blend.js'
import type { Blend } from './define.js'
import { coalesced, parted } from './coalesced.js'
import { Ledger } from './ledger.js'
import { type Pending, PutOff } from './lazy.js'
import type { Kept, Own } from './prepare.js'
import type { Weights } from './rate.js'

/** What the blends of a lazy shadow are made of. */
export interface Blends extends Pick<BlendOptions, 'precision' | 'skipNonFinite'> {
  readonly pairs: readonly { readonly path: string; readonly target: TensorRecord; readonly source: TensorRecord }[]
  readonly rule: Blend
  readonly kept: (target: TensorRecord) => Kept
  /** Makes the blends that are due, each many in one. */
  readonly run: () => void
  /** Where `precision` draws from. */
  readonly random: Generator
}

/**
 * The lazy half of a shadow: blends wait until somebody reads the average or changes its source. Tensors are put off as a
 * whole, and from the first time that a step changes single rows of a source, its rows one by one.
 */
export class Postponed {
  readonly #device: Device
  readonly #blends: Blends
  readonly #putOff: PutOff
  /** By the memory of the source. */
  readonly #ledgers = new Map<Storage, Ledger>()
  /** What is put off, as the average knows of it, and as its source does. */
  readonly #unsettled: Unsettled
  readonly #reader: Unsettled
  /** Functions that were captured with an update. */
  readonly #captures = new WeakSet<object>()
  #busy = false

  constructor(device: Device, blends: Blends) {
    this.#device = device
    this.#blends = blends
    this.#putOff = new PutOff(device, blends.pairs)
    const { table, targets, sources } = this.#putOff
    this.#unsettled = { table, settle: () => this.flush() }
    this.#reader = readerOf(table, this)
    for (const storage of targets) storage.unsettled = this.#unsettled
    for (const storage of sources) {
      // Those of shadows that nobody has any more go.
      storage.settleReaders()
      storage.readers ??= new Set()
      storage.readers.add(this.#reader)
    }
  }

  /** What the kernel reads for a tensor. */
  own(target: TensorRecord): Own {
    return this.#putOff.own(target)
  }

  /**
   * One more blend. What cannot wait, because a program needs the average or decides by itself whether to blend, is due.
   * Returns how to take it back, and whether any tensor is due.
   */
  add(weights: Weights, decided: boolean): { readonly undo: () => void; readonly due: boolean } {
    const needed = this.#device.needed?.has(this.#unsettled) === true
    if (decided) this.flush()
    return this.#putOff.add(weights, needed || decided)
  }

  /** Makes all that was put off. */
  flush(): void {
    if (this.#busy || this.#device.recorder) return
    for (const [source, ledger] of this.#ledgers) this.#settle(source, ledger)
    this.#make(this.#putOff.takeAll())
  }

  /** Makes what was put off with this source, and what waits for as long. */
  flushWith(source: Storage): void {
    if (this.#busy || this.#device.recorder) return
    const ledger = this.#ledgers.get(source)
    if (ledger) this.#settle(source, ledger)
    else this.#make(this.#putOff.takeWith(source))
  }

  /** Makes what was put off of these rows, now or in every run of what is captured. */
  flushRows(source: Storage, index: TensorRecord): void {
    if (this.#busy) return
    const ledger = this.#ledgerOf(source)
    if (!ledger) return
    const device = this.#device
    const total = device.hostScalars(() => this.#totalOf(source, ledger))
    const key = this.#keyOfEachRun()
    this.busily(() => device.asItIs(() => ledger.settleRows(index, total, key)))
  }

  /** With put-off blends left where they are: the work itself touches the average. */
  busily<R>(body: () => R): R {
    const outer = this.#busy
    this.#busy = true
    try {
      return body()
    } finally {
      this.#busy = outer
    }
  }

  /** Throws: `CaptureError`, since what is put off is settled for a whole run. */
  requireOnce(): void {
    const { recorder } = this.#device
    if (!recorder) return
    if (this.#captures.has(recorder)) {
      const remedy = 'follow without lazy'
      throw new CaptureError(`compile: a lazy shadow can be updated once in a compiled function, not twice; ${remedy}.`)
    }
    this.#captures.add(recorder)
  }

  /** For checkpoints, by position. */
  get pending(): readonly Pending[] {
    return this.#putOff.pending
  }

  /** The sums of rows by path, for checkpoints; with `names` those of a state, for which there is room from now on. */
  tensors(names?: readonly string[]): readonly (readonly [path: string, tensor: TensorRecord])[] {
    return this.#blends.pairs.flatMap(({ path, source }) => {
      const saved = names?.includes(`${path}${high}`)
      const ledger = saved ? this.#ledgerOf(source.storage) : this.#ledgers.get(source.storage)
      if (!ledger || saved === false) return []
      return [[`${path}${high}`, ledger.high] as const, [`${path}${low}`, ledger.low] as const]
    })
  }

  /** Goes on with this put off; the sums of rows are written afterwards. */
  load(pending: readonly Pending[]): void {
    this.reset()
    this.#putOff.pending = pending
  }

  /** Nothing is put off. */
  reset(): void {
    for (const ledger of this.#ledgers.values()) ledger.clear()
    this.#putOff.pending = []
  }

  dispose(): void {
    for (const storage of this.#putOff.sources) storage.readers?.delete(this.#reader)
    for (const ledger of this.#ledgers.values()) ledger.dispose()
    this.#putOff.dispose()
  }

  /** Makes the blends that the table says, if there are any. */
  #make(any: boolean): void {
    if (!any) return
    // What a source that is an average itself has put off since then comes after.
    this.#device.asItIs(() => this.busily(this.#blends.run))
    this.#putOff.resume()
  }

  #settle(source: Storage, ledger: Ledger): void {
    if (!this.#putOff.takeRows(source)) return
    this.#device.asItIs(() => this.busily(() => ledger.settle(this.#totalOf(source, ledger), this.#key())))
  }

  /** The ledger of a table, from now on. */
  #ledgerOf(source: Storage): Ledger | undefined {
    const known = this.#ledgers.get(source)
    const pair = this.#blends.pairs.find((one) => one.source.storage === source)
    if (known || !pair || pair.target.rank === 0) return known
    const { rule, kept, precision, skipNonFinite } = this.#blends
    const { target } = pair
    const booked = {
      ...pair,
      kept: kept(target),
      next: precision === 'plain' ? coalesced : rule.next,
      precision,
      skipNonFinite,
    }
    const ledger = this.#device.aside(() => new Ledger(booked))
    this.#ledgers.set(source, ledger)
    this.#putOff.byRows(source)
    return ledger
  }

  #totalOf(source: Storage, { dtype }: Ledger): readonly number[] {
    return parted(this.#putOff.totalOf(source), dtype)
  }

  /** Random numbers that a program draws anew in every run, and gives back when the run fails. */
  #keyOfEachRun(): Scalars {
    const { precision, random } = this.#blends
    if (precision !== 'stochastic') return []
    let before = random.state()
    const draw = () => {
      before = random.state()
      return this.#key()
    }
    const key = this.#device.hostScalars(draw)
    this.#device.onHost(
      () => {},
      () => random.load(before),
    )
    return key
  }

  /** Random numbers of one blend. */
  #key(): readonly number[] {
    return this.#blends.precision === 'stochastic' ? this.#blends.random.next() : []
  }
}

const [high, low] = ['#settled', '#settledRest'] as const

/** Work of a shadow that is held weakly: a model does not keep its shadows alive. */
function readerOf(table: Storage, of: Postponed): Unsettled {
  const postponed = new WeakRef(of)
  const reader: Unsettled = {
    table,
    settle(source) {
      const alive = postponed.deref()
      if (alive && source) alive.flushWith(source)
      else source?.readers?.delete(reader)
    },
    settleRows(source, index) {
      const alive = postponed.deref()
      if (alive) alive.flushRows(source, index)
      else source.readers?.delete(reader)
    },
  }
  return reader
}
