import { type Expr, input, scalar } from '../kernels/expr.js'
import { foreachTensors, type Stretch } from '../model/foreach.js'
import { isAverage, type Trainable } from '../model/averaged.js'
import { PREPARE, prepareTensors, readTensors, requireKind, requireSameWords, type SavedState } from '../model/saved.js'
import { countField, requireSound } from '../model/state-fields.js'
import { type ModelTensor, trainableOf } from '../model/walk.js'
import { arithmeticOf, type DType } from '../shapes/dtype.js'
import { GradientError, OptionError } from '../shapes/errors.js'
import { defaultDevice } from '../tensor/device.js'
import { fillTensor } from '../tensor/fill.js'
import { emptyTensor, TensorRecord } from '../tensor/record.js'
import type { RowGradient } from '../tensor/tape.js'
import type { Gradients } from '../tensor/tensor.js'
import { gradientMapOf } from '../autodiff/backward.js'
import type { GradientMap } from '../autodiff/gradients.js'

/** A learning rate, or one that depends on the number of the step, counted from 1. */
export type LearningRate = number | ((step: number) => number)

/** What every optimizer may be told. */
export interface OptimizerOptions {
  readonly lr: LearningRate
}

/** The options with the learning rate of one step worked out. */
type AtStep<O> = Omit<O, 'lr'> & { readonly lr: number }

/** An optimizer as one expression per element, which fuses with whatever else touches the parameters. */
export interface OptimizerDefinition<O extends OptimizerOptions, State extends string, Scalars extends string> {
  readonly name: string
  readonly defaults: O
  /**
   * Names of the state tensors under these options, each shaped like its parameter and zero at first. Those of f16 and bf16
   * parameters are f32, so that small changes add up; PyTorch keeps them in the parameter's dtype.
   */
  readonly state: (options: O) => readonly State[]
  /** Where a state tensor does not start at zero. */
  readonly initial?: (name: State) => number
  /** Numbers that change from step to step, worked out by the host in f64; `step` counts from 1. */
  readonly scalars: (options: AtStep<O>, step: number) => Readonly<Record<Scalars, number>>
  /** New parameter `p` and new states from the old ones and the gradient `g`. States not in use are not there. */
  readonly update: (
    values: Readonly<Record<NoInfer<State> | 'p' | 'g', Expr>>,
    scalars: Readonly<Record<NoInfer<Scalars>, Expr>>,
    options: O,
  ) => Readonly<Record<'p', Expr> & Partial<Record<NoInfer<State>, Expr>>>
  /**
   * What becomes of rows of a table that the loss did not look up, under these options: `same` where a gradient of 0 changes
   * nothing, so that they need not be touched; `only` where they stay whatever the formula says. Else they are updated, too.
   */
  readonly untouched?: (options: O) => 'same' | 'only' | undefined
  /** Says what is wrong with the options, if anything. */
  readonly check?: (options: O) => string | undefined
}

/** Trains the parameters of a model. */
export interface Optimizer<O extends OptimizerOptions = OptimizerOptions> {
  readonly name: string
  /** May be changed between steps: `optimizer.options.lr = 1e-4`. */
  readonly options: { -readonly [K in keyof O]: O[K] }
  /** Steps taken. */
  readonly steps: number
  /** The learning rate that the next step will use. */
  readonly lr: number
  /**
   * Updates every trainable parameter in place and releases the gradients.
   * `{ retain: true }` keeps them, for another optimizer on other parameters of the same loss.
   * Throws: `GradientError` naming each parameter without a gradient, before anything is written.
   */
  step(gradients: Gradients, options?: { readonly retain?: boolean }): void
  /**
   * Begins anew: state as at the start, step 0; parameters and options stay. For a model that was loaded from a file, also
   * after a run that broke off and left the state half-written. Torch: none; a new optimizer is made there.
   */
  reset(): void
  /** What a checkpoint keeps: the state of each parameter by path, and the steps. Torch: `state_dict()`. */
  state(): Promise<OptimizerState>
  /**
   * Goes on where `state()` was taken, bit for bit. Options such as the learning rate stay as they are here; Torch restores
   * them, too.
   * Throws: `OptionError` for the state of another optimizer, `ShapeError` listing tensors that do not fit; nothing is
   * written then.
   */
  load(state: OptimizerState): void
}

/** The state of an optimizer: `path#name` is the state `name` of a parameter. */
export interface OptimizerState extends SavedState {
  readonly kind: 'optimizer'
  readonly name: string
  readonly steps: number
}

/**
 * Makes an optimizer from its definition: `const sgd = defineOptimizer({ … })`, used as `sgd(model, { lr })`.
 * The whole step is one pass over all parameters, on all cores.
 */
export function defineOptimizer<O extends OptimizerOptions, State extends string, Scalars extends string>(
  definition: OptimizerDefinition<O, State, Scalars>,
): <M extends object>(model: Trainable<M>, options?: Partial<O>) => Optimizer<O> {
  return (model: unknown, options) => {
    requireOptions(definition.name, model, options, definition.defaults)
    return new DefinedOptimizer(definition, model, { ...definition.defaults, ...options })
  }
}

/** What callers without types may get wrong. */
function requireOptions(name: string, model: unknown, options: unknown, defaults: object): asserts model is object {
  const known = Object.keys(defaults)
  if (typeof model !== 'object' || model === null)
    throw new OptionError(`${name}: the first argument is the model to train, got ${String(model)}.`, { op: name })
  if (isAverage(model))
    throw new OptionError(`${name}: this is an average; train the model that it follows.`, { op: name })
  if (options !== undefined && (typeof options !== 'object' || options === null)) {
    const message = `${name}: options are an object with ${known.join(', ')}, got ${String(options)}; write { lr: ${String(options)} }.`
    throw new OptionError(message, { op: name })
  }
  const unknown = Object.keys(options ?? {}).filter((key) => !known.includes(key))
  if (unknown.length === 0) return
  throw new OptionError(`${name}: there is no option ${unknown.join(', ')}; the options are ${known.join(', ')}.`, {
    op: name,
  })
}

/** A parameter with its state tensors. */
interface Slot {
  readonly entry: ModelTensor
  readonly state: readonly TensorRecord[]
}

class DefinedOptimizer<O extends OptimizerOptions, State extends string, Scalars extends string>
  implements Optimizer<O>
{
  readonly name: string
  readonly options: { -readonly [K in keyof O]: O[K] }
  steps = 0
  readonly #definition: OptimizerDefinition<O, State, Scalars>
  readonly #model: object
  readonly #states: readonly State[]
  readonly #slots = new Map<TensorRecord, Slot>()
  readonly #exprs = new Map<string, readonly Expr[]>()

  constructor(definition: OptimizerDefinition<O, State, Scalars>, model: object, options: O) {
    this.name = definition.name
    this.#definition = definition
    this.#model = model
    this.options = { ...options }
    this.#validate(options)
    this.#states = definition.state(options)
    const parameters = trainableOf(model)
    if (parameters.length === 0) {
      const message = `${this.name}: the model has no trainable parameters; unfreeze some, or check that its layers are fields of it.`
      throw new OptionError(message, { op: this.name })
    }
    this.#allocate(parameters)
  }

  get lr(): number {
    const { lr } = this.options
    return typeof lr === 'function' ? lr(this.steps + 1) : lr
  }
  set lr(_: unknown) {
    const message = `${this.name}: lr is read only, worked out from the options; write optimizer.options.lr = … instead.`
    throw new OptionError(message, { op: this.name })
  }

  step(gradients: Gradients, { retain = false }: { readonly retain?: boolean } = {}): void {
    this.#validate(this.options)
    this.#requireSameState()
    const map = gradientMapOf(gradients)
    const entries = trainableOf(this.#model)
    this.#allocate(entries)
    const slots = entries.flatMap(({ tensor }) => this.#slots.get(tensor) ?? [])
    const missing = slots.filter(({ entry }) => !map.arrived(entry.tensor)).map(({ entry }) => `"${entry.path}"`)
    if (missing.length > 0) {
      const what = missing.length === 1 ? `parameter ${missing[0]} has` : `parameters ${missing.join(', ')} have`
      const remedy = 'use them in the loss, or take them out of training with freeze(model, path)'
      throw new GradientError(`${this.name}.step: ${what} no gradient; ${remedy}. Nothing was changed.`, {
        op: this.name,
      })
    }
    const device = slots[0]?.entry.tensor.device ?? defaultDevice()
    const names = Object.keys(this.#scalars()) as Scalars[]
    const groups = [...groupByDType(slots)].map(([dtype, group]) => ({
      dtype,
      group,
      exprs: this.#lower(dtype, names),
    }))
    let known: Readonly<O> = { ...this.options }
    // A compiled step comes back here before each run, with the options of then.
    const scalars = device.hostScalars(() => {
      this.#validate(this.options)
      if (!sameBesidesRate(this.options, known)) {
        this.#requireSameState()
        for (const { dtype, exprs } of groups) this.#requireSameFormula(exprs, this.#lower(dtype, names))
        known = { ...this.options }
      }
      return Object.values<number>(this.#scalars())
    })
    for (const { group, exprs } of groups) {
      const stretches: Stretch[] = []
      for (const { entry, state } of group) {
        const rows = this.#rowsOf(map, entry.tensor)
        const gradient = rows ? undefined : map.find(entry.tensor)
        const tables = [entry.tensor, ...state]
        if (rows) rows.update(exprs, entry.tensor, state, scalars)
        else if (gradient) stretches.push({ reads: [entry.tensor, gradient, ...state], writes: tables })
      }
      foreachTensors(exprs, stretches, scalars)
    }
    device.onHost(
      () => this.steps++,
      () => this.steps--,
    )
    if (!retain) map.dispose(`${this.name}.step() has used them; pass { retain: true } to all steps but the last`)
  }

  reset(): void {
    for (const { state } of this.#slots.values())
      for (const [i, name] of this.#states.entries()) {
        const tensor = state[i]
        if (tensor) fillTensor(tensor, this.#definition.initial?.(name) ?? 0)
      }
    const [slot] = this.#slots.values()
    let before = this.steps
    slot?.entry.tensor.device.onHost(
      () => {
        before = this.steps
        this.steps = 0
      },
      () => {
        this.steps = before
      },
    )
  }

  async state(): Promise<OptimizerState> {
    const { name, steps } = this
    return { kind: 'optimizer', version: 1, name, steps, tensors: await readTensors(this.#named()) }
  }

  load(state: OptimizerState): void {
    this[PREPARE](state)()
  }

  [PREPARE](state: OptimizerState): () => void {
    requireKind(state, 'optimizer')
    requireSound('optimizer', [countField('steps', state.steps)])
    requireSameWords('the state is of another optimizer', { name: this.name }, { name: state.name })
    const write = prepareTensors(this.#named(), state.tensors)
    return () => {
      write()
      this.steps = state.steps
    }
  }

  /** The state tensors of all parameters that were ever trained. */
  #named(): Map<string, TensorRecord> {
    const named = new Map<string, TensorRecord>()
    for (const { entry, state } of this.#slots.values())
      for (const [i, tensor] of state.entries()) named.set(`${entry.path}#${this.#states[i] ?? i}`, tensor)
    return named
  }

  #requireSameState(): void {
    const states = this.#definition.state(this.options)
    if (states.join() === this.#states.join()) return
    const kept = states.length === 0 ? 'none' : states.join(', ')
    const message = `${this.name}: these options keep other state (${kept}) than those it was made with; make a new optimizer.`
    throw new OptionError(message, { op: this.name })
  }

  #requireSameFormula(before: readonly Expr[], now: readonly Expr[]): void {
    if (before.every((expr, i) => expr.key === now[i]?.key)) return
    const remedy = 'change them back, or compile the step again after step.dispose()'
    throw new OptionError(`${this.name}: these options change the formula of a compiled step; ${remedy}.`, {
      op: this.name,
    })
  }

  /** The numbers of the next step. */
  #scalars(): Readonly<Record<Scalars, number>> {
    return this.#definition.scalars({ ...this.options, lr: this.lr }, this.steps + 1)
  }

  /** Makes the state of parameters met for the first time, one kind after another, each laid out as the parameters. */
  #allocate(entries: readonly ModelTensor[]): void {
    const fresh = entries.filter(({ tensor }) => !this.#slots.has(tensor))
    if (fresh.length === 0) return
    const kinds = this.#states.map((name) =>
      fresh.map(({ tensor: { device, dtype, shape } }) => {
        const state = emptyTensor(device, arithmeticOf(dtype), shape, 'buffer')
        fillTensor(state, this.#definition.initial?.(name) ?? 0)
        return state
      }),
    )
    fresh.forEach((entry, i) => {
      this.#slots.set(entry.tensor, { entry, state: kinds.flatMap((kind) => kind[i] ?? []) })
    })
  }

  /** The gradient of a table of which only the looked up rows change, where that is less work or what is meant. */
  #rowsOf(map: GradientMap, table: TensorRecord): RowGradient | undefined {
    const gradient = map.arrived(table)
    if (!gradient || gradient instanceof TensorRecord) return undefined
    const untouched = this.#definition.untouched?.(this.options)
    const fewer = gradient.count * dearer <= (table.shape[0] ?? 0)
    return untouched === 'only' || (untouched === 'same' && fewer) ? gradient : undefined
  }

  #lower(dtype: DType, names: readonly Scalars[]): readonly Expr[] {
    const key = `${dtype} ${JSON.stringify({ ...this.options, lr: 0 })}`
    const known = this.#exprs.get(key)
    if (known) return known
    const number = arithmeticOf(dtype)
    const scalars = record(names, (slot) => scalar(slot, number))
    // Parameter and gradient, then the state.
    const values = record(['p', 'g', ...this.#states], (slot) => input(slot, slot < 2 ? dtype : number).cast(number))
    const result = this.#definition.update(values, scalars, this.options)
    const exprs = [result.p.cast(dtype), ...this.#states.map((name, i) => result[name] ?? input(i + 2, number))]
    this.#exprs.set(key, exprs)
    return exprs
  }

  #validate(options: O): void {
    const lr = typeof options.lr === 'number' ? options.lr : options.lr(this.steps + 1)
    const problem =
      Number.isFinite(lr) && lr >= 0 ? this.#definition.check?.(options) : `lr must be at least 0, got ${lr}`
    if (problem) throw new OptionError(`${this.name}: ${problem}.`, { op: this.name })
  }
}

/** What a row costs that is taken out of its table, changed and put back, in rows that are changed in place. */
const dearer = 4

/** What is wrong with the first of some options that is negative or not a number, if any is. */
export function atLeastZero(options: Readonly<Record<string, number>>): string | undefined {
  const wrong = Object.entries(options).find(([, value]) => !(value >= 0))
  return wrong && `${wrong[0]} must be at least 0, got ${wrong[1]}`
}

/** Whether two sets of options differ in nothing but the learning rate. */
function sameBesidesRate<O extends OptimizerOptions>(a: O, b: O): boolean {
  return (Object.keys(a) as (keyof O)[]).every((name) => name === 'lr' || a[name] === b[name])
}

/** An object with one expression per name, made from the name's position. */
function record<Name extends string>(names: readonly Name[], make: (slot: number) => Expr): Record<Name, Expr> {
  return Object.fromEntries(names.map((name, slot) => [name, make(slot)])) as Record<Name, Expr>
}

function groupByDType(slots: readonly Slot[]): Map<DType, Slot[]> {
  const groups = new Map<DType, Slot[]>()
  for (const slot of slots) {
    const { dtype } = slot.entry.tensor
    groups.set(dtype, [...(groups.get(dtype) ?? []), slot])
  }
  return groups
}
