import type { Rate } from '../model/rate.js'
import { OptionError } from '../shapes/errors.js'

/** A rate as every rule uses it, in f64: `tau` is the weight of the source, `decay` that of the old target. */
export interface Weights {
  readonly tau: number
  readonly decay: number
}

/**
 * The weights that a rate stands for: `tau = 1 − decay`; `halfLife h` gives `decay = 2^(−1/h)`, computed so that
 * long half-lives keep their digits.
 *
 * Throws: `OptionError` when none or several are given, or one is out of range.
 */
export function weightsOf(op: string, rate: Rate): Weights {
  if (typeof rate !== 'object' || rate === null) {
    const got =
      typeof rate === 'number'
        ? `the number ${String(rate)}; write { decay: ${String(rate)} } or { tau: ${String(rate)} }`
        : String(rate)
    throw new OptionError(`${op}: give exactly one of { decay }, { tau } or { halfLife }; got ${got}.`, { op })
  }
  const given = (['decay', 'tau', 'halfLife'] as const).filter((name) => rate[name] !== undefined)
  const [name] = given
  if (name === undefined || given.length > 1) {
    const what = given.length === 0 ? 'none was given' : `got ${given.join(' and ')}`
    throw new OptionError(`${op}: give exactly one of { decay }, { tau } or { halfLife }; ${what}.`, { op })
  }
  const value = rate[name] ?? Number.NaN
  if (name === 'halfLife') {
    if (!(value > 0))
      throw new OptionError(`${op}: halfLife must be a positive number of updates, got ${value}.`, { op })
    return { tau: -Math.expm1(-Math.LN2 / value), decay: 2 ** (-1 / value) }
  }
  if (!(value >= 0 && value <= 1)) {
    const meaning = name === 'decay' ? 'the weight of the old value' : 'the weight of the source'
    throw new OptionError(`${op}: ${name} is ${meaning} and must be in [0, 1], got ${value}.`, { op })
  }
  return name === 'decay' ? { tau: 1 - value, decay: value } : { tau: value, decay: 1 - value }
}
