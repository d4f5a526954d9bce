import { Expr, input, scalar, uniform } from '../kernels/expr.js'
import { OptionError } from '../shapes/errors.js'
import { requireFunction, requireOneOf, written } from './options.js'
import type { Weights } from './rate.js'

/** Where an update stands, for rules and schedules: pure numbers, so that a resumed run continues them exactly. */
export interface UpdateTime {
  /** Updates made before this one. */
  readonly updates: number
  /** Units (steps, or samples) of training behind this update, those since the last one included. */
  readonly now: number
  /** Units since the update before, or since following began. */
  readonly interval: number
}

/** The time of an update that nothing came before, one unit after the beginning. */
export const once: UpdateTime = { updates: 0, now: 1, interval: 1 }

/**
 * A number that changes, from n = 0 on: `(n) => (1 + n) / (10 + n)`. For a rate, n is what rates count, as it was at the
 * update before: steps, or samples. For the numbers of a rule of your own it is how many updates came before.
 */
export interface Schedule {
  (n: number): number
  /**
   * What checkpoints keep of it and compare, as all of `schedules` have. Functions without a text are not compared, as
   * nothing says what they compute: `schedules.named` gives them one.
   */
  readonly text?: string
}

/** A number or schedule in the text of a rule. */
export function textOf(value: unknown): string {
  if (typeof value !== 'function') return String(value)
  return 'text' in value && typeof value.text === 'string' ? value.text : 'by a function of its own'
}

/** A value of each tensor (or of the whole model) that a rule needs before it can begin, worked out in a pass of its own. */
export interface Measure {
  readonly combine: 'sum' | 'max' | 'min'
  /** `tensor`: each tensor has its own; `model`: one for all tensors that the rule blends. Default `tensor`. */
  readonly over?: 'tensor' | 'model'
  /** What is combined, of each element. */
  readonly of: (values: { readonly target: Expr; readonly source: Expr }) => Expr
}

/** Where a state of a rule starts. */
export type Start = 'zeros' | 'target' | 'source'

/** What an update does to one tensor: its rule, an exact copy of the source, or nothing. */
export type Treatment = 'blend' | 'copy' | 'skip'

/**
 * What a rule's numbers need. `stateless` rules are the same at each call, and work with `update`; `stateful` ones count
 * their updates or keep tensors, which is what `follow` is for: the compiler prints the word where `update` refuses them.
 */
export type RuleKind = 'stateless' | typeof stateful
export const stateful = 'stateful: use follow(source, rule), which counts and keeps state'

/** The form `t + tau·(s − t)` at rates that are not known in advance. */
export interface Blend {
  readonly weights: (at: UpdateTime) => Weights
  /** The scalars of `next` for some weights. */
  readonly scalarsOf: (weights: Weights) => readonly number[]
  /** Like the rule's own `next`, for any weights. */
  readonly next: UpdateRule['next']
  /** Of a power-function average: the weights of the past grow as `t^gamma`. */
  readonly gamma: number | undefined
}

/** How a target learns from a source, as one expression per element. Made by `ema`, `copy`, …, and `defineRule`. */
export interface UpdateRule<K extends RuleKind = RuleKind> {
  readonly kind: K
  readonly name: string
  /** What a checkpoint says of the rule: two rules of one text compute the same. */
  readonly text: string
  /** Equal keys have equal expressions. */
  readonly key: string
  readonly state: Readonly<Record<string, Start>>
  readonly measures: Readonly<Record<string, Measure>>
  /** How many numbers `scalars` gives. */
  readonly scalarCount: number
  /** What it does to the tensors it is for. `copy` and `skip` never compute, so NaN does not leak through them. */
  readonly treatment: Treatment
  /** Numbers of this update, in f64. */
  readonly scalars: (at: UpdateTime) => readonly number[]
  /** What rules of the form `t + tau·(s − t)` have: other rules cannot be put off, or stretched over an interval. */
  readonly blend: Blend | undefined
  readonly next: (
    values: Readonly<Record<string, Expr>> & { readonly target: Expr; readonly source: Expr },
    scalars: readonly Expr[],
    measured: Readonly<Record<string, Expr>>,
  ) => Next
}

/** A rule for `follow` alone: it counts its updates or keeps tensors. */
export interface StatefulRule extends UpdateRule<typeof stateful> {}

/** What a rule makes of a tensor: the new target, new states by name, maybe a new source. */
export interface Next {
  readonly [state: string]: Expr | undefined
  readonly target: Expr
  readonly source?: Expr
}

type Numbers = Readonly<Record<string, number | Schedule>>

/** A rule of your own. S are the names of its states, N its numbers, X the names of its measures. */
export interface RuleDefinition<S extends string, N extends Numbers, X extends string> {
  readonly name: string
  /** Tensors that the rule keeps beside each tensor of the target, of its shape, and where each starts. */
  readonly state?: Readonly<Record<S, Start>>
  /** Numbers, worked out by the host in f64: constants, or schedules of how many updates came before. */
  readonly scalars?: N & Numbers
  /** Reductions over each tensor, or the whole model, that `next` may read. */
  readonly measures?: Readonly<Record<X, Measure>>
  /** The new target, and new states where they change; `source` writes the source itself. */
  readonly next: (
    values: Readonly<Record<'target' | 'source' | NoInfer<S>, Expr>>,
    scalars: Readonly<Record<keyof NoInfer<N>, Expr>>,
    measured: Readonly<Record<NoInfer<X>, Expr>>,
  ) => { readonly target: Expr; readonly source?: Expr } & Readonly<Partial<Record<NoInfer<S>, Expr>>>
}

/** Stateless when there are no states, and all numbers are constants. */
type KindOf<S, N> = [S] extends [never] ? (N[keyof N] extends number ? 'stateless' : typeof stateful) : typeof stateful

const reserved = ['target', 'source', 'compensation']

/**
 * A model-to-model rule of your own: an expression of the new target over `target`, `source`, states, numbers and
 * measures. It runs as the built-in rules do: one pass over the whole model on all cores, in compiled steps fused with
 * the optimizer, with the same checks, conditions, schedules and checkpoints.
 *
 * `update` takes rules without state and schedules; `follow` takes all. Checkpoints know a rule by its name and numbers:
 * another formula is another name.
 *
 * Throws: `OptionError` for a state called target or source, and for numbers that are none.
 * Torch: `AveragedModel(model, avg_fn=…)`, which makes temporaries and knows neither state nor reductions.
 * @example
 * // Moves at most `reach` in each element.
 * const step = (reach: number) =>
 *   defineRule({
 *     name: 'step',
 *     scalars: { reach },
 *     next: ({ target, source }, { reach }) => ({ target: source.sub(target).max(reach.neg()).min(reach).add(target) }),
 *   })
 * update({ target: teacher, source: student }, step(1e-3))
 */
// biome-ignore lint/complexity/noBannedTypes: no numbers
export function defineRule<S extends string = never, N extends Numbers = {}, X extends string = never>(
  definition: RuleDefinition<S, N, X>,
): UpdateRule<KindOf<S, N>>
export function defineRule(definition: RuleDefinition<string, Numbers, string>): UpdateRule {
  const { name, state = {}, scalars = {}, measures = {}, next } = definition
  requireFunction(name, 'next', next ?? null)
  for (const taken of reserved)
    if (taken in state) throw new OptionError(`${name}: a state cannot be called ${taken}.`, { op: name })
  const scheduled = Object.values(scalars).some((value) => typeof value === 'function')
  for (const [of, start] of Object.entries(state))
    requireOneOf(name, `the start of ${of}`, start ?? null, ['zeros', 'target', 'source'])
  const names = Object.keys(scalars)
  const whole: UpdateRule['next'] = (values, list, measured) => {
    const numbers = Object.fromEntries(names.map((one, i) => [one, list[i] ?? values.target]))
    const made = next(values, numbers, measured)
    requireNext(name, made, Object.keys(state))
    return made
  }
  let key: string | undefined
  return {
    kind: scheduled || Object.keys(state).length > 0 ? stateful : 'stateless',
    name,
    text: [name, ...Object.entries(scalars).map(([scalar, value]) => `${scalar} ${textOf(value)}`)].join(' '),
    get key() {
      key ??= structureOf({ state, measures, scalarCount: names.length, next: whole })
      return key
    },
    state,
    measures,
    treatment: 'blend',
    scalarCount: names.length,
    scalars: ({ updates }) => names.map((scalar) => numberOf(name, scalar, scalars[scalar], updates)),
    blend: undefined,
    next: whole,
  }
}

/** What callers without types may get wrong. */
function requireNext(rule: string, next: unknown, states: readonly string[]): void {
  const known = ['target', 'source', ...states]
  const refuse = (what: string): never => {
    const takes = `next gives expressions: target, and maybe ${known.slice(1).join(', ')}`
    throw new OptionError(`${rule}: ${takes}; ${what}.`, { op: rule })
  }
  const made = typeof next === 'object' && next !== null ? next : refuse(`got ${written(next)}`)
  if (!('target' in made)) refuse('got no target')
  for (const [name, value] of Object.entries(made)) {
    if (!known.includes(name)) refuse(`there is no state "${name}"`)
    if (value !== undefined && !(value instanceof Expr)) refuse(`${name} is ${written(value)}`)
  }
}

/** The expressions of a rule as text: what is made anew in every step, such as `elastic({ alpha })`, is known again. */
function structureOf(rule: Pick<UpdateRule, 'state' | 'measures' | 'scalarCount' | 'next'>): string {
  const [target, source] = [input(0, 'f32'), input(1, 'f32')]
  const states = Object.keys(rule.state).map((name, i) => [name, input(i + 2, 'f32')] as const)
  const measures = Object.entries(rule.measures)
  const measured = Object.fromEntries(measures.map(([name], i) => [name, uniform(i, 'f32')]))
  const numbers = Array.from({ length: rule.scalarCount }, (_, slot) => scalar(slot, 'f32'))
  const next = rule.next({ ...Object.fromEntries(states), target, source }, numbers, measured)
  const exprs = Object.entries(next).map(([name, expr]) => `${name} ${expr?.key}`)
  const reductions = measures.map(([, { combine, over, of }]) => `${combine} ${over} ${of({ target, source }).key}`)
  return [...exprs, ...reductions].join(' | ')
}

/** Throws: `OptionError` unless this is a rule. */
export function requireRule(op: string, rule: unknown): void {
  if (typeof rule === 'object' && rule !== null && 'treatment' in rule && 'next' in rule) return
  const got = typeof rule === 'function' ? 'a function; call it, as in ema({ decay: 0.999 })' : written(rule)
  throw new OptionError(`${op}: needs a rule, such as ema({ decay: 0.999 }), got ${got}.`, { op })
}

function numberOf(rule: string, scalar: string, value: number | Schedule | undefined, updates: number): number {
  const number = typeof value === 'function' ? value(updates) : value
  if (typeof number === 'number' && Number.isFinite(number)) return number
  throw new OptionError(`${rule}: ${scalar} must be a finite number, got ${String(number)} at update ${updates}.`, {
    op: rule,
  })
}

/** A rule without numbers. */
export function constantRule(
  name: string,
  treatment: Treatment,
  next: (values: { readonly target: Expr; readonly source: Expr }) => Expr,
): UpdateRule<'stateless'> {
  return {
    kind: 'stateless',
    name,
    text: name,
    key: name,
    state: {},
    measures: {},
    treatment,
    scalarCount: 0,
    scalars: () => [],
    blend: undefined,
    next: (values) => ({ target: next(values) }),
  }
}

const near: UpdateRule['next'] = ({ target, source }, [tau = target]) => ({
  target: tau.fma(source.sub(target), target),
})
const far: UpdateRule['next'] = ({ target, source }, [, keep = target]) => ({
  target: keep.fma(source.sub(target), source),
})
/**
 * All rates in one kernel: of the two forms what their numbers choose, and the exact ends, where not even a NaN leaks
 * through. The choices are made of numbers, once a pass.
 */
const either: UpdateRule['next'] = ({ target, source }, [tau = target, keep = target]) => {
  const [isNear, atEnd] = [tau.lt(0.5), tau.eq(0).or(keep.eq(0))]
  const start = isNear.select(target, source)
  const moved = isNear.select(tau, keep).fma(source.sub(target), start)
  return { target: atEnd.select(start, moved) }
}

/**
 * A rule of the form `t + tau·(s − t)`, or `s − decay·(s − t)` from tau ½ on, given its weights at each update: `ema` and
 * its family. Weights that are not known in advance choose between the forms in the kernel, with the same bits.
 */
export function blendRule<K extends RuleKind>(
  kind: K,
  name: string,
  text: string,
  weights: (at: UpdateTime) => Weights,
  gamma?: number,
): UpdateRule<K> {
  const scalarsOf = ({ tau, decay }: Weights): readonly number[] => [tau, -decay]
  const known = kind === 'stateless' ? weights(once) : undefined
  return {
    kind,
    name,
    text,
    key: `blend ${known === undefined ? 'either' : known.tau < 0.5 ? 'near' : 'far'}`,
    state: {},
    measures: {},
    treatment: known?.tau === 0 ? 'skip' : known?.decay === 0 ? 'copy' : 'blend',
    scalarCount: 2,
    scalars: (at) => scalarsOf(weights(at)),
    blend: { weights, scalarsOf, next: either, gamma },
    next: known === undefined ? either : known.tau < 0.5 ? near : far,
  }
}
