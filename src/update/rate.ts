import { OptionError } from '../shapes/errors.js'
import { type Schedule, textOf, type UpdateTime } from './define.js'
import { written } from './options.js'
import { gammaOf } from './post-hoc.js'

/** A rate as every rule uses it, in f64: `tau` is the weight of the source, `decay` that of the old target. */
export interface Weights {
  readonly tau: number
  readonly decay: number
}

interface Rates {
  /** Weight of the old value. */
  readonly decay: number | Schedule
  /** Weight of the source: `1 − decay`. */
  readonly tau: number | Schedule
  /** Units (steps, or samples) after which half of the old value is left: `decay = 2^(−1/h)`. */
  readonly halfLife: number | Schedule
  /** Units after which 1/e of the old value is left, the mean age of what is averaged: `decay = e^(−1/T)`. */
  readonly timeConstant: number | Schedule
  /** Width of a power-function average, as a share of the run: see `powerEma`. */
  readonly sigmaRel: number
}
type RateName = keyof Rates

/**
 * How fast a target follows its source, named by exactly one of five conventions, because fields use decay, tau, beta and
 * momentum with two opposite meanings: `decay`, `tau`, `halfLife`, `timeConstant` or `sigmaRel`. All but the last may be
 * schedules of what rates count: steps, or samples, until the update before.
 */
export type UpdateRate = {
  [N in RateName]: { readonly [K in N]: Rates[K] } & { readonly [K in Exclude<RateName, N>]?: never }
}[RateName]

/** A rate that is a constant number from the first update on. */
export type ConstantRate = {
  [N in 'decay' | 'tau' | 'halfLife' | 'timeConstant']: { readonly [K in N]: number } & {
    readonly [K in Exclude<RateName, N>]?: never
  }
}['decay' | 'tau' | 'halfLife' | 'timeConstant']

const names = ['decay', 'tau', 'halfLife', 'timeConstant', 'sigmaRel'] as const
const choices = '{ decay }, { tau }, { halfLife }, { timeConstant } or { sigmaRel }'

/** A rate, checked. */
export interface CheckedRate {
  readonly constant: boolean
  /** For checkpoints and messages: `decay 0.999`. */
  readonly text: string
  readonly weights: (at: UpdateTime) => Weights
  /** Of `sigmaRel`. */
  readonly gamma?: number
}

/**
 * What a rate stands for at each update. Rates count units: an update k units after the one before has the weights of k
 * updates in a row, `1 − (1 − τ)^k`, so that updating less often keeps the half-life.
 *
 * Throws: `OptionError` when none or several rates are given, or one is out of range; schedules are checked as they go.
 */
export function rateOf(op: string, rate: UpdateRate): CheckedRate {
  const [name, value] = theOne(op, rate)
  if (name === 'sigmaRel') {
    const gamma = gammaOf(requireNumber(op, value))
    return { constant: false, text: `sigmaRel ${String(value)}`, weights: (at) => powerWeights(gamma, at), gamma }
  }
  if (typeof value === 'function')
    return {
      constant: false,
      text: `${name} ${textOf(value)}`,
      weights: ({ updates, now, interval }) => over(interval, weightsFor(op, name, value(now - interval), updates)),
    }
  const weights = weightsFor(op, name, value)
  return { constant: true, text: `${name} ${String(value)}`, weights: ({ interval }) => over(interval, weights) }
}

/** What a rate has come to: the weights of one step (or sample, or update: what rates count), and times in these. */
export interface CurrentRate extends Weights {
  /** Until half of the old value is left, at this rate. */
  readonly halfLife: number
  /** How old what is averaged is in the mean, once the rate has been like this for long. */
  readonly meanAge: number
}

export const currentRate = ({ tau, decay }: Weights): CurrentRate => ({
  tau,
  decay,
  halfLife: -Math.LN2 / Math.log1p(-tau),
  meanAge: decay / tau,
})

/** The weights that a constant rate stands for at every update. */
export function weightsOf(op: string, rate: UpdateRate): Weights {
  const { weights } = rateOf(op, rate)
  return weights({ updates: 0, now: 1, interval: 1 })
}

/** `k` blends with the same source in one: `decay^k`, and `1 − decay^k` without cancellation. */
function over(k: number, weights: Weights): Weights {
  if (k === 1) return weights
  return fromLog(k * Math.log1p(-weights.tau))
}

/** The weights whose old value keeps `exp(log)`. */
export const fromLog = (log: number): Weights => ({ tau: -Math.expm1(log), decay: Math.exp(log) })

/** Weight profile ∝ t^γ over the units so far: `decay = (1 − Δ/t)^(γ + 1)`. */
export function powerWeights(gamma: number, { now, interval }: UpdateTime): Weights {
  return fromLog((gamma + 1) * Math.log1p(-Math.min(1, interval / now)))
}

function theOne(op: string, rate: unknown): [RateName, unknown] {
  if (typeof rate !== 'object' || rate === null) {
    const got =
      typeof rate === 'number'
        ? `the number ${String(rate)}; write { decay: ${String(rate)} } or { tau: ${String(rate)} }`
        : String(rate)
    throw new OptionError(`${op}: give exactly one of ${choices}; got ${got}.`, { op })
  }
  const other = Object.keys(rate).filter((key) => !names.some((name) => name === key))
  if (other.length > 0) {
    const remedy = 'what is not the rate goes to update(…) and follow(…), after the rule'
    throw new OptionError(`${op}: there is no option ${other.join(', ')}; ${remedy}.`, { op })
  }
  const given = names.filter((name) => name in rate && Reflect.get(rate, name) !== undefined)
  const [name] = given
  if (name !== undefined && given.length === 1) return [name, Reflect.get(rate, name)]
  const what = given.length === 0 ? 'none was given' : `got ${given.join(' and ')}`
  throw new OptionError(`${op}: give exactly one of ${choices}; ${what}.`, { op })
}

function requireNumber(op: string, value: unknown): number {
  if (typeof value === 'number') return value
  throw new OptionError(`${op}: sigmaRel is a number, got ${written(value)}.`, { op })
}

function weightsFor(op: string, name: Exclude<RateName, 'sigmaRel'>, value: unknown, update?: number): Weights {
  const when = update === undefined ? '' : ` at update ${update}`
  const got = `got ${written(value)}${when}`
  const number = typeof value === 'number' ? value : Number.NaN
  if (name === 'halfLife' || name === 'timeConstant') {
    if (!(number > 0)) throw new OptionError(`${op}: ${name} must be a positive number of updates, ${got}.`, { op })
    const log = name === 'halfLife' ? -Math.LN2 / number : -1 / number
    return { tau: -Math.expm1(log), decay: name === 'halfLife' ? 2 ** (-1 / number) : Math.exp(log) }
  }
  if (!(number >= 0 && number <= 1)) {
    const meaning = name === 'decay' ? 'the weight of the old value' : 'the weight of the source'
    throw new OptionError(`${op}: ${name} is ${meaning} and must be in [0, 1], ${got}.`, { op })
  }
  return name === 'decay' ? { tau: 1 - number, decay: number } : { tau: number, decay: 1 - number }
}
