import type { AverageOf } from '../model/averaged.js'
import { zipModels } from '../model/compare.js'
import { clone } from '../model/clone.js'
import { copyAllInto, copyInto } from '../model/foreach.js'
import { PREPARE } from '../model/saved.js'
import { fieldsOf } from '../model/state-fields.js'
import { hasTensors, tensorsOf } from '../model/walk.js'
import type { FloatDType } from '../shapes/dtype.js'
import { CaptureError, OptionError } from '../shapes/errors.js'
import type { Device } from '../tensor/device.js'
import { fillTensor } from '../tensor/fill.js'
import { Generator } from '../tensor/generator.js'
import { emptyTensor, type TensorRecord } from '../tensor/record.js'
import { Storage } from '../tensor/storage.js'
import type { Tensor } from '../tensor/tensor.js'
import type { Averaged, InDType } from './averaged.js'
import { blendDType, compensation, type NonFinitePolicy, type Precision } from './blend.js'
import { beginning, type Progress, type Tick, type TrainingState, type Timing, tick } from './clock.js'
import { once, type UpdateRule, type UpdateTime } from './define.js'
import { type Drift, driftOf } from './drift.js'
import { coalesced } from './coalesced.js'
import { requireFinite } from './finite.js'
import { answered, requireFunction, requireOptions } from './options.js'
import type { ModelSnapshot } from './post-hoc-ema.js'
import { Postponed } from './postponed.js'
import { type Kept, type Prepared, prepare } from './prepare.js'
import { type CurrentRate, currentRate } from './rate.js'
import { repair } from './reseed.js'
import { type Holding, type Observed, prepareState, readState, type ShadowState } from './shadow-state.js'
import { stallAdvice } from './stall.js'
import { type Selection, type Treated, treat } from './treatment.js'
import { conditionally } from './update.js'

/** How a shadow follows. */
export interface ShadowOptions<P extends string = string, D extends FloatDType = FloatDType>
  extends Selection<P>,
    Timing {
  /** Of all floats of the average. Default: those of the source, but f32 for f16 and bf16. */
  readonly dtype?: D
  /** What becomes of NaN and infinity in the source. Default `propagate`. */
  readonly nonFinite?: NonFinitePolicy
  /** Default `plain`; `kahan` where the average itself is f16 or bf16, which `stochastic` is for, too. */
  readonly precision?: Precision
  /**
   * Puts off blends with what has not changed, until somebody needs them: tensors, and rows of an embedding under `sgd`
   * or `sparseAdam`. What was put off becomes one blend, within 1 ulp of the exact result. Default false.
   */
  readonly lazy?: boolean
  /**
   * What `only`, `except` and `where` leave out: `keep` is a copy of it as it was when following began; `share` is the
   * memory of the source, always as it is there, and not part of checkpoints of the shadow. Default `keep`.
   */
  readonly rest?: 'keep' | 'share'
  /** Measures in the same pass how far target and source are apart, for `metrics()`. Default false. */
  readonly metrics?: boolean
}

/** An average that follows a model of type M, in the dtype D where one was asked for. Made by `follow`. */
export interface Shadow<M, D extends FloatDType = never> extends AverageOf<M> {
  /** The average, as a model: it runs and saves as its source does, and takes no gradient. */
  readonly model: Averaged<InDType<M, D>>
  /** Updates made so far. */
  readonly updates: number
  /** Calls of `update()` so far. */
  readonly steps: number
  /** How fast the average follows from here on; schedules change it. Undefined for rules that do not blend. */
  readonly rate: CurrentRate | undefined
  /**
   * One step of following; call it once after each optimizer step, also inside a compiled function. Whether the shadow
   * then moves is for its options to say. An update whose `if` turns out false counts, too, as the host does not know;
   * one that throws does not.
   *
   * Throws: `ShapeError` when a model has changed its structure; `NonFiniteError` under the policy `error`; either way
   * before anything is written.
   */
  update(options?: { readonly samples?: number; readonly if?: Tensor<[], 'bool'> }): void
  /** Tells `when` conditions of the step that has just finished. */
  observe(values: Observed): void
  /**
   * Runs `fn` while the source has the weights of the average, and the average those of the source: pointers change
   * places, no byte is copied. They change back when `fn` returns, throws, or its promise settles. Meanwhile neither
   * model can be trained, updated, saved or loaded, no other shadow follows them, and no other average is swapped in;
   * what only reads, such as `clone` and `update` with another target, sees the average.
   */
  evaluateWith<R>(fn: (model: M) => R): R
  /** The average starts anew from its source, and counts from 0. */
  reset(): void
  /** Elements of the average that are NaN or infinite become those of the source; nothing else changes. */
  reseed(): void
  /** What a checkpoint keeps: the average, states, counters, and how it follows. It can be cloned and posted. */
  state(): Promise<ShadowState>
  /**
   * Goes on where `state()` was taken, bit for bit. Load the source first: what a lazy shadow has put off is of that.
   * Throws: `OptionError` when the shadow follows in another way, `ShapeError` listing tensors that do not fit.
   */
  load(state: ShadowState): void
  /**
   * A copy of a power average as it is, with what `postHocEma` needs to know of it.
   * Throws: `OptionError` for the average of another rule, and before the first update.
   */
  snapshot(): ModelSnapshot<InDType<M, D>>
  /** How far source and average were apart at the last update that blended. Needs the option `metrics`. */
  metrics(): Promise<Drift>
  /** What happens to each tensor and why, as a table. */
  explain(): string
  /** Makes all blends that a lazy shadow has put off. Whoever reads the average does it, too. */
  flush(): void
  /** Stops following and returns the memory of the average. */
  dispose(): void
}

const swapped =
  'The weights of this model are swapped with those of its average; train, update, save and load after evaluateWith(…)'

/** What `await` waits for: promises, also those of other libraries. */
const isThenable = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'

/** What changes with each call of `update()`. */
interface Moment {
  readonly progress: Progress
  readonly now: Tick
  readonly settled: boolean
}

/** An average of `source` in `target`, a model of the same structure. */
export class FollowingShadow<M extends object> {
  readonly #source: M
  readonly #target: object
  readonly #rule: UpdateRule
  readonly #options: ShadowOptions
  readonly #precision: Precision
  /** Neither `when` nor the interval can keep a call from updating. */
  readonly #steady: boolean
  readonly #device: Device
  readonly #random = new Generator()
  readonly #kept = new Map<TensorRecord, Kept>()
  #treated: readonly Treated[] = []
  #tensors: { readonly targets: readonly TensorRecord[]; readonly sources: readonly TensorRecord[] }
  #prepared: Prepared
  #preparedMany: Prepared | undefined
  #copy: Prepared | undefined
  readonly #postponed: Postponed | undefined
  /** When its tensors were last known to be where they belong. */
  #exchanges: number
  #moment: Moment
  #observed: Observed = {}
  #began = performance.now()
  #swapping = false
  #disposed = false

  constructor(source: M, target: object, rule: UpdateRule, options: ShadowOptions, precision: Precision) {
    const { every = 1, after = 0, when, lazy = false, unit = 'step' } = options
    this.#source = source
    this.#target = target
    this.#rule = rule
    this.#options = options
    this.#precision = precision
    this.#steady = every === 1 && after === 0 && !when && !lazy
    const at: UpdateTime = { updates: 0, now: 0, interval: 0 }
    this.#moment = { progress: beginning, now: { progress: beginning, due: false, at }, settled: true }
    this.#treated = this.#treat()
    this.#tensors = this.#allTensors()
    const first = this.#treated[0]?.pair.target.tensor
    if (!first) throw new OptionError('follow: the model has no tensors.', { op: 'follow' })
    this.#device = first.device
    this.#exchanges = this.#device.exchanges
    // Numbers of their own, so that what others draw does not change them; asked for only where they are used, so that
    // a training is the same with and without a shadow.
    if (precision === 'stochastic') this.#random.manualSeed(this.#device.generator.next()[0])
    this.#allocate()
    if (lazy) this.#postponed = this.#postpone()
    this.#prepared = this.#prepare(unit)
    this.#copy = this.#prepareCopy()
  }

  get model(): object {
    this.#requireUsable()
    return this.#target
  }
  get updates(): number {
    return this.#moment.progress.updates
  }
  get steps(): number {
    return this.#moment.progress.steps
  }

  get rate(): CurrentRate | undefined {
    const { updates, units } = this.#moment.progress
    const weights = this.#rule.blend?.weights({ updates, now: units + 1, interval: 1 })
    return weights && currentRate(weights)
  }

  update(options: { readonly samples?: number; readonly if?: Tensor<[], 'bool'> } = {}): void {
    this.#requireUsable()
    requireOptions('update', options, ['samples', 'if'])
    const { samples, if: flag } = options
    if (this.#options.unit === 'sample' && !(Number.isFinite(samples) && Number(samples) > 0)) {
      const message = `update: the shadow counts samples; say how many, as in update({ samples: 32 }), got ${String(samples)}.`
      throw new OptionError(message, { op: 'update' })
    }
    this.#requireSameTensors()
    this.#requireInPlace()
    this.#postponed?.requireOnce()
    const device = this.#device
    let undo = this.#undo()
    const advance = () => {
      this.#requireUsable()
      undo = this.#undo()
      const undoPutOff = this.#advance(samples ?? 0, flag !== undefined)
      const undoMoment = undo
      undo = () => {
        undoMoment()
        undoPutOff?.()
      }
    }
    device.onHost(advance, () => undo())
    try {
      this.#move(flag, () => undo())
    } catch (error) {
      // What is captured has not happened yet.
      if (!device.recorder) undo()
      throw error
    }
  }

  /** How to come back here. */
  #undo(): () => void {
    const [moment, random] = [this.#moment, this.#random.state()]
    return () => {
      this.#moment = moment
      this.#random.load(random)
    }
  }

  /** What follows from where `#advance` has led. */
  #move(flag: Tensor<[], 'bool'> | undefined, undo: () => void): void {
    const device = this.#device
    const scalars = this.#constantNumbers ?? device.hostScalars(() => this.#numbers())
    const when = this.#steady ? undefined : () => this.#moment.now.due && !this.#copying && !this.#moment.settled
    conditionally(device, { ...(flag && { if: flag }), ...(when && { when }) }, () =>
      this.#busily(() => this.#prepared.run(scalars)),
    )
    // After what it stands in for, which programs fuse with the optimizer.
    const copy = this.#copy
    if (copy) {
      device.when(
        () => this.#copying,
        () => this.#busily(() => copy.run([])),
      )
      device.when(
        () => this.#isFirst(this.#moment.now),
        () => this.#restart(),
      )
    }
    if (this.#options.nonFinite !== 'error') return
    device.afterRun(() => {
      try {
        requireFinite('update', this.#copying && copy ? copy : this.#prepared)
      } catch (error) {
        undo()
        throw error
      }
    })
  }

  observe(values: Observed): void {
    requireOptions('observe', values, ['epoch', 'loss', 'gradNorm', 'metric'])
    this.#observed = { ...this.#observed, ...values }
  }

  evaluateWith<R>(fn: (model: M) => R): R {
    this.#requireUsable()
    requireFunction('evaluateWith', 'what it is given', fn ?? null)
    if (this.#device.recorder)
      throw new CaptureError('compile: evaluateWith swaps weights outside compiled functions; use shadow.model inside.')
    this.#requireSameTensors()
    const pairs = this.#treated.filter(({ treatment, own }) => treatment !== 'skip' || own)
    const other = pairs.find(({ pair: { target, source } }) => target.tensor.dtype !== source.tensor.dtype)
    if (other) {
      const { target, source, path } = other.pair
      const what = `"${path}" is ${target.tensor.dtype} in the average and ${source.tensor.dtype} in the source`
      throw new OptionError(`evaluateWith: weights of two dtypes cannot change places: ${what}; use shadow.model.`)
    }
    const storages = pairs.map(({ pair }) => [pair.target.tensor.storage, pair.source.tensor.storage] as const)
    for (const storage of storages.flat()) {
      storage.requireOwn()
      storage.settleReaders()
      storage.unsettled?.settle()
    }
    const exchange = (mark: string | undefined) => {
      for (const [a, b] of storages) {
        Storage.exchange(a, b)
        a.borrowed = mark
        b.borrowed = mark
      }
      this.#swapping = mark !== undefined
    }
    // Who disposes of a tensor meanwhile must not take the other model's memory.
    for (const storage of storages.flat()) storage.retain()
    const back = () => {
      exchange(undefined)
      for (const storage of storages.flat()) storage.release()
    }
    exchange(swapped)
    let result: R
    try {
      result = fn(this.#source)
    } catch (error) {
      back()
      throw error
    }
    if (isThenable(result)) return Promise.resolve(result).finally(back) as R
    back()
    return result
  }

  reset(): void {
    this.#requireUsable()
    if (this.#device.recorder)
      throw new CaptureError('compile: a shadow is reset outside compiled functions, where it would be at each run.')
    this.#requireSameTensors()
    this.#busily(() => this.#copyAll())
    this.#restart()
    this.#postponed?.reset()
    const { now } = this.#moment
    this.#moment = { progress: beginning, now, settled: true }
    this.#observed = {}
    this.#began = performance.now()
  }

  reseed(): void {
    this.#requireUsable()
    if (this.#device.recorder)
      throw new CaptureError(
        'compile: a shadow is repaired outside compiled functions; use reseed({ target, source }).',
      )
    this.#requireSameTensors()
    this.flush()
    for (const { pair, treatment } of this.#treated) {
      if (treatment === 'skip') continue
      const [target, source] = [pair.target.tensor, pair.source.tensor]
      const kept = Object.entries(this.#kept.get(target) ?? {})
      repair([{ target, source }])
      repair(
        kept.map(([name, tensor]) => {
          const start = { target, source, zeros: undefined }[this.#rule.state[name] ?? 'zeros']
          return { target: tensor, ...(start && { source: start }) }
        }),
      )
    }
  }

  state(): Promise<ShadowState> {
    this.#requireUsable()
    return this.#busily(() => readState(this.#holding()))
  }

  load(state: ShadowState): void {
    this[PREPARE](state)()
  }

  [PREPARE](state: ShadowState): () => void {
    this.#requireUsable()
    const write = prepareState(this.#holding(Object.keys(fieldsOf(fieldsOf(state).tensors))), state)
    return () => {
      this.#postponed?.load(state.pending)
      this.#busily(write)
      const { now } = this.#moment
      this.#moment = { progress: state.progress, now, settled: true }
      this.#observed = state.observed
      this.#began = performance.now() - 1000 * state.seconds
      this.#random.load(state.random)
    }
  }

  snapshot(): ModelSnapshot<object> {
    this.#requireUsable()
    const gamma = this.#rule.blend?.gamma
    const { unitsBefore: step } = this.#moment.progress
    if (gamma === undefined) {
      const message = `snapshot: ${this.#rule.name} is no power average, of which postHocEma makes others; follow with powerEma({ sigmaRel }), or keep clone(shadow.model).`
      throw new OptionError(message, { op: 'snapshot' })
    }
    if (step === 0)
      throw new OptionError('snapshot: there was no update yet, so there is nothing to keep.', { op: 'snapshot' })
    return { gamma, step, model: clone(this.#target) }
  }

  async metrics(): Promise<Drift> {
    this.#requireUsable()
    if (!this.#options.metrics)
      throw new OptionError('metrics: this shadow does not measure; make it with follow(…, { metrics: true }).')
    const { drift, blendedSize, wrong } = this.#prepared
    const numbers = (results: readonly TensorRecord[]) => Promise.all(results.map((result) => result.item()))
    const [groups, counts] = await Promise.all([Promise.all(drift.map(numbers)), numbers(wrong)])
    const measured = driftOf(groups, blendedSize)
    // Blends that were skipped have not seen what they were skipped for.
    return wrong.length === 0 ? measured : { ...measured, nonFinite: counts.reduce((sum, n) => sum + n, 0) }
  }

  explain(): string {
    const { every = 1, after = 0, when, unit = 'step', lazy, nonFinite = 'propagate' } = this.#options
    const timing = [
      unit === 'step' ? '' : `rates per ${unit}`,
      every === 1 ? 'every step' : `every ${every} steps`,
      after > 0 ? `after ${after}` : '',
      when ? 'on a condition' : '',
    ]
    const how = [this.#rule.text, ...timing, lazy ? 'lazy' : '', `non-finite: ${nonFinite}`, this.#precision]
    const rows = this.#treated.map(({ pair: { path, target }, treatment, reason }) => {
      const { shape, dtype } = target.tensor
      return [path, `[${shape.join(', ')}] ${dtype}`, treatment, reason]
    })
    const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
    const lines = rows.map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    const count = `${this.updates} updates in ${this.steps} steps`
    const advice = this.#stallAdvice
    return [`${how.filter((part) => part !== '').join(', ')}; ${count}`, ...(advice ? [advice] : []), ...lines].join(
      '\n',
    )
  }

  get #stallAdvice(): string | undefined {
    const { blend } = this.#rule
    if (this.#precision !== 'plain' || !blend) return undefined
    const { at } = this.#moment.now
    const dtypes = this.#blends.map(({ pair }) => pair.target.tensor.dtype)
    return stallAdvice(dtypes, blend.weights(at.interval > 0 ? at : once).tau)
  }

  flush(): void {
    this.#postponed?.flush()
  }

  dispose(): void {
    if (this.#disposed) return
    this.#requireUsable()
    this.#disposed = true
    for (const { tensor } of tensorsOf(this.#target)) {
      tensor.storage.unsettled = undefined
      tensor.dispose('its shadow was disposed')
    }
    for (const kept of this.#kept.values()) for (const tensor of Object.values(kept)) tensor.dispose()
    this.#postponed?.dispose()
  }

  /** Throws: `OptionError` while the source has the weights of another average. */
  #requireInPlace(): void {
    const { exchanges } = this.#device
    if (exchanges === this.#exchanges) return
    for (const { pair } of this.#treated) pair.source.tensor.storage.requireOwn()
    this.#exchanges = exchanges
  }

  #requireUsable(): void {
    if (this.#disposed) throw new OptionError('This shadow was disposed; follow the model again.')
    if (this.#swapping) throw new OptionError(`${swapped}.`)
  }

  /** With put-off blends left where they are: the work itself touches the average. */
  #busily<R>(body: () => R): R {
    return this.#postponed ? this.#postponed.busily(body) : body()
  }

  #postpone(): Postponed | undefined {
    const { blend } = this.#rule
    const pairs = this.#blends.map(({ pair: { path, target, source } }) => ({
      path,
      target: target.tensor,
      source: source.tensor,
    }))
    if (pairs.length === 0 || !blend) return undefined
    return new Postponed(this.#device, {
      pairs,
      rule: blend,
      precision: this.#precision,
      skipNonFinite: this.#options.nonFinite === 'skipElement',
      kept: (target) => this.#kept.get(target) ?? {},
      run: () => this.#many.run(this.#numbers()),
      random: this.#random,
    })
  }

  get #blends(): readonly Treated[] {
    return this.#treated.filter(({ treatment }) => treatment === 'blend')
  }

  #treat(): Treated[] {
    const memory = this.#options.rest === 'share' ? 'shared' : 'refused'
    const pairs = zipModels('follow', this.#target, this.#source, { dtypes: 'any float', memory })
    return treat('follow', this.#target, pairs, this.#rule, this.#options)
  }

  #allTensors() {
    const all = (model: object) => tensorsOf(model).map(({ tensor }) => tensor)
    return { targets: all(this.#target), sources: all(this.#source) }
  }

  #requireSameTensors(): void {
    const { targets, sources } = this.#tensors
    if (hasTensors(this.#target, targets) && hasTensors(this.#source, sources)) return
    if (this.#postponed)
      throw new OptionError('update: the tensors of a model have changed under a lazy shadow; follow it anew.')
    this.#treated = this.#treat()
    this.#tensors = this.#allTensors()
    this.#allocate()
    this.#prepared = this.#prepare(this.#options.unit ?? 'step')
    this.#copy = this.#prepareCopy()
  }

  /** What makes many blends in one; Kahan's sums need no other form for it. */
  get #many(): Prepared {
    if (this.#precision !== 'plain') return this.#prepared
    this.#preparedMany ??= this.#prepareWith({ ...this.#rule, scalarCount: 4, next: coalesced })
    return this.#preparedMany
  }

  #prepare(unit: string): Prepared {
    const { blend } = this.#rule
    // Over intervals a rate may have any weight.
    const any = blend && !(this.#steady && unit !== 'sample')
    return this.#prepareWith(any ? { ...this.#rule, next: blend.next } : this.#rule)
  }

  #prepareWith(rule: UpdateRule): Prepared {
    const { nonFinite = 'propagate', metrics = false } = this.#options
    const postponed = this.#postponed
    return prepare({
      treated: this.#treated,
      rule,
      precision: this.#precision,
      nonFinite,
      metrics,
      kept: (target) => this.#kept.get(target) ?? {},
      ...(postponed && { own: (target: TensorRecord) => postponed.own(target) }),
    })
  }

  /** Makes what is kept beside tensors met for the first time, one kind after another, laid out as the model. */
  #allocate(): void {
    const fresh = this.#blends.filter(({ pair }) => !this.#kept.has(pair.target.tensor))
    const names = [...Object.keys(this.#rule.state), ...(this.#precision === 'kahan' ? [compensation] : [])]
    const kinds = names.map((name) =>
      fresh.map(({ pair: { target } }) => {
        const { device, dtype, shape } = target.tensor
        return [name, emptyTensor(device, name === compensation ? dtype : blendDType(dtype), shape, 'buffer')] as const
      }),
    )
    fresh.forEach(({ pair: { target } }, i) => {
      const kept: Kept = Object.fromEntries(kinds.flatMap((kind) => (kind[i] ? [kind[i]] : [])))
      this.#kept.set(target.tensor, kept)
      this.#start(target.tensor, kept)
    })
  }

  /** What is kept starts as for a new shadow. */
  #restart(): void {
    for (const [target, kept] of this.#kept) this.#start(target, kept)
  }

  #start(target: TensorRecord, kept: Kept): void {
    const source = this.#treated.find(({ pair }) => pair.target.tensor === target)?.pair.source.tensor
    for (const [name, tensor] of Object.entries(kept)) {
      const from = { target, source, zeros: undefined }[this.#rule.state[name] ?? 'zeros']
      if (from) copyInto(tensor, from)
      else fillTensor(tensor, 0)
    }
  }

  /** What happens up to the first update where that is a hard copy; what is said of NaN holds for it, too. */
  #prepareCopy(): Prepared | undefined {
    if (!this.#copiesFirst) return undefined
    const { nonFinite = 'propagate' } = this.#options
    const treated = this.#treated.map(
      (each): Treated => (each.treatment === 'blend' ? { ...each, treatment: 'copy' } : each),
    )
    return prepare({ treated, rule: this.#rule, precision: 'plain', nonFinite, metrics: false, kept: () => ({}) })
  }

  get #copiesFirst(): boolean {
    const { after = 0, before = 'copy' } = this.#options
    return after > 0 && before === 'copy'
  }

  /** Whether this call of `update()` copies: before the first update, and at it. */
  get #copying(): boolean {
    const { now } = this.#moment
    return this.#copiesFirst && (now.progress.updates === 0 || this.#isFirst(now))
  }
  /** Whether this call makes the first update, where that is a hard copy. */
  #isFirst({ due, progress }: Tick): boolean {
    return this.#copiesFirst && due && progress.updates === 1
  }

  /**
   * Moves on by one call; returns how what was put off comes back. What only the program can decide cannot be put off:
   * nobody would know how often it was.
   */
  #advance(samples: number, decided: boolean): (() => void) | undefined {
    const { when } = this.#options
    const agrees = (step: number) => !when || answered('update', when(this.#trainingState(step)))
    const now = tick(this.#moment.progress, this.#options, samples, agrees)
    const { blend } = this.#rule
    let undo: (() => void) | undefined
    let settled = false
    if (this.#postponed && blend && now.due && !this.#isFirst(now)) {
      const added = this.#postponed.add(blend.weights(now.at), decided)
      undo = added.undo
      settled = !added.due && !this.#treated.some(({ treatment }) => treatment === 'copy')
    }
    this.#moment = { progress: now.progress, now, settled }
    return undo
  }

  #trainingState(step: number): TrainingState {
    const { epoch = 0, ...last } = this.#observed
    return { step, updates: this.updates, epoch, seconds: this.#seconds, last }
  }
  get #seconds(): number {
    return (performance.now() - this.#began) / 1000
  }

  /** The numbers of every update, where they never change: they need no work of the host. */
  get #constantNumbers(): readonly number[] | undefined {
    const fixed = this.#steady && this.#rule.kind === 'stateless' && this.#precision !== 'stochastic'
    return fixed && this.#options.unit !== 'sample'
      ? this.#rule.scalars({ updates: 0, now: 1, interval: 1 })
      : undefined
  }

  #numbers(): readonly number[] {
    const rule = this.#postponed ? [] : this.#rule.scalars(this.#moment.now.at)
    return this.#precision === 'stochastic' ? [...rule, ...this.#random.next()] : rule
  }

  /** The source, as it is. */
  #copyAll(): void {
    const copied = this.#treated.filter(({ treatment }) => treatment !== 'skip')
    copyAllInto(copied.map(({ pair: { target, source } }) => [target.tensor, source.tensor]))
  }

  /** With the rows that a state has by the names of its tensors, or all. */
  #holding(names?: readonly string[]): Holding {
    // What is shared with the source is of the source's checkpoint.
    const own = this.#treated.filter(({ pair: { target, source } }) => target.tensor.storage !== source.tensor.storage)
    const kept = own.flatMap(({ pair: { path, target } }) => [
      [path, target.tensor] as const,
      ...Object.entries(this.#kept.get(target.tensor) ?? {}).map(
        ([name, tensor]) => [`${path}#${name}`, tensor] as const,
      ),
    ])
    const { every = 1, after = 0, before = 'copy', unit = 'step', lazy = false } = this.#options
    return {
      settings: {
        rule: this.#rule.text,
        every: String(every),
        after: String(after),
        before,
        unit,
        precision: this.#precision,
        lazy: String(lazy),
      },
      treatments: Object.fromEntries(this.#treated.map(({ pair, treatment }) => [pair.path, treatment])),
      tensors: new Map([...kept, ...(this.#postponed?.tensors(names) ?? [])]),
      progress: this.#moment.progress,
      observed: this.#observed,
      seconds: this.#seconds,
      random: this.#random.state(),
      pending: this.#postponed?.pending ?? [],
    }
  }
}
