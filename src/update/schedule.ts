import { OptionError } from '../shapes/errors.js'
import type { Schedule } from './define.js'
import { requireFunction, written } from './options.js'

// Functions of n: 0 at the first update, then what the rates of the shadow count (steps, or samples), as it was at the update
// before. So an average that is updated at each k-th step is as old as one that is updated at each.

/** A schedule that says what it is: its name and numbers. */
const told = (text: string, of: (n: number) => number): Schedule => Object.assign((n: number) => of(n), { text })

const line = (from: number, to: number, steps: number) => `${from} → ${to} over ${steps}`

function requireThat(name: string, holds: boolean, what: string): void {
  if (!holds) throw new OptionError(`${name}: ${what}.`, { op: name })
}
const isWeight = (value: number): boolean => value >= 0 && value <= 1

/**
 * A decay that warms up as TensorFlow's averages do: `min(most, (1 + n) / (10 + n))`.
 *
 * Throws: `OptionError` unless `most` is in [0, 1].
 * Torch: none; TF1 `ExponentialMovingAverage(num_updates=n)`, diffusers' `EMAModel` (n + 1 there: its first is n = 1).
 * @example ema({ decay: schedules.warmUp(0.9999) })
 */
function warmUp(most = 0.9999): Schedule {
  requireThat('warmUp', isWeight(most), `the largest decay is in [0, 1], got ${most}`)
  return told(`warmUp(${most})`, (n) => Math.min(most, (1 + n) / (10 + n)))
}

/**
 * A decay that warms up by a power: `1 − (1 + n/gamma)^(−power)`, between `least` and `most`. The powers in use are 2/3 for
 * long and 3/4 for short trainings.
 *
 * Throws: `OptionError` for values out of range.
 * Torch: none; `EMAWarmup` of k-diffusion, ema_pytorch's and timm's `use_warmup` (their first update counts as n = 0, too).
 * @example ema({ decay: schedules.inverse({ power: 3 / 4 }) })
 */
function inverse({
  gamma = 1,
  power = 2 / 3,
  least = 0,
  most = 0.9999,
}: {
  readonly gamma?: number
  readonly power?: number
  readonly least?: number
  readonly most?: number
} = {}): Schedule {
  requireThat('inverse', gamma > 0 && power > 0, `gamma and power are above 0, got ${gamma} and ${power}`)
  const range = isWeight(least) && isWeight(most) && least <= most
  requireThat('inverse', range, `0 ≤ least ≤ most ≤ 1, got ${least} and ${most}`)
  return told(`inverse(gamma ${gamma}, power ${power}, ${least} to ${most})`, (n) =>
    Math.min(most, Math.max(least, -Math.expm1(-power * Math.log1p(n / gamma)))),
  )
}

/**
 * A decay that warms up over a time: `most · (1 − e^(−(n + 1)/steps))`.
 *
 * Throws: `OptionError` for values out of range.
 * Torch: none; Ultralytics' `ModelEMA(decay, tau=steps)`, whose first update counts as 1.
 * @example ema({ decay: schedules.exponential(0.9999, 2000) })
 */
function exponential(most = 0.9999, steps = 2000): Schedule {
  requireThat('exponential', isWeight(most) && steps > 0, `decay in [0, 1] and steps above 0, got ${most}, ${steps}`)
  return told(`exponential(${most} over ${steps})`, (n) => most * -Math.expm1(-(n + 1) / steps))
}

/**
 * The decay of a bias-corrected average, without a second tensor: `1 − (1 − d)/(1 − d^(n + 1))`. The first update copies;
 * then the average is that of zeros, divided by `1 − d^n`, at every moment; nearly so where only each k-th step updates.
 *
 * Throws: `OptionError` unless d is in [0, 1).
 * Torch: none; optax's `ema(decay, debias=True)`.
 * @example ema({ decay: schedules.debias(0.999) })
 */
function debias(decay: number): Schedule {
  requireThat('debias', decay >= 0 && decay < 1, `the decay is in [0, 1), got ${decay}`)
  const log = Math.log(decay)
  // Exactly 0 at first, which rounding would miss on either side.
  return told(`debias(${decay})`, (n) => (n === 0 ? 0 : 1 + (1 - decay) / Math.expm1((n + 1) * log)))
}

/**
 * Half a cosine from one value to another: `to + (from − to)·(1 + cos(πn/steps))/2`, then `to`.
 *
 * Throws: `OptionError` for values that are none, or a length below 1.
 * Torch: BYOL's, DINO's and MoCo v3's momentum schedules, update by update.
 * @example ema({ decay: schedules.cosine(0.996, 1, 100_000) })
 */
function cosine(from: number, to: number, steps: number): Schedule {
  requireLine('cosine', from, to, steps)
  return told(`cosine(${line(from, to, steps)})`, (n) =>
    n >= steps ? to : to + ((from - to) * (1 + Math.cos((Math.PI * n) / steps))) / 2,
  )
}

/**
 * A line from one value to another: `from + (to − from)·n/steps`, then `to`.
 *
 * Throws: `OptionError` for values that are none, or a length below 1.
 * Torch: none; fairseq's data2vec (`ema_decay` to `ema_end_decay`), I-JEPA's momentum.
 * @example ema({ decay: schedules.linear(0.999, 0.9999, 30_000) })
 */
function linear(from: number, to: number, steps: number): Schedule {
  requireLine('linear', from, to, steps)
  return told(`linear(${line(from, to, steps)})`, (n) => (n >= steps ? to : from + ((to - from) * n) / steps))
}

/**
 * From one value to another along a power: `to + (from − to)·(1 − n/steps)^power`, then `to`.
 *
 * Throws: `OptionError` for values that are none, a length below 1, or a power that is not above 0.
 * Torch: none; TF's `PolynomialDecay`.
 * @example ema({ tau: schedules.power(0.1, 0.001, 10_000, 2) })
 */
function power(from: number, to: number, steps: number, exponent: number): Schedule {
  requireLine('power', from, to, steps)
  requireThat('power', exponent > 0, `the exponent is above 0, got ${exponent}`)
  return told(`power(${line(from, to, steps)}, exponent ${exponent})`, (n) =>
    n >= steps ? to : to + (from - to) * (1 - n / steps) ** exponent,
  )
}

/**
 * A half-life that grows with the run: `share · (n + 1)`, so that the average always spans the same part of it, in steps as in samples.
 *
 * Throws: `OptionError` unless the share is above 0.
 * Torch: none; torchtitan's `half_life_fraction`.
 * @example ema({ halfLife: schedules.shareOfRun(0.05) })
 */
function shareOfRun(share: number): Schedule {
  requireThat('shareOfRun', share > 0, `the share is above 0, got ${share}`)
  return told(`shareOfRun(${share})`, (n) => share * (n + 1))
}

/**
 * A schedule of your own under a name: what checkpoints keep of it, and compare when they are loaded, where a plain function
 * is taken on trust. Put its numbers into the name.
 *
 * Throws: `OptionError` for a name that is empty, or what is no function.
 * Torch: none; `LambdaLR.state_dict()` leaves functions out.
 * @example ema({ decay: schedules.named(`steps of ${k}`, (n) => 1 - 0.1 * 0.5 ** Math.floor(n / k)) })
 */
function named(name: string, schedule: (n: number) => number): Schedule {
  requireThat('named', typeof name === 'string' && name !== '', `the name is a text, got ${written(name)}`)
  requireFunction('named', 'the schedule', schedule ?? null)
  return told(name, schedule)
}

function requireLine(name: string, from: number, to: number, steps: number): void {
  requireThat(name, Number.isFinite(from) && Number.isFinite(to), `both ends are numbers, got ${from} and ${to}`)
  requireThat(name, steps >= 1, `the length is at least 1 step, got ${steps}`)
}

/**
 * Rates that change: pure functions of n, which is 0 at the first update, and then what the rates of the shadow count
 * (steps; samples or updates with `unit`), as it was at the update before. For use where a rate takes a number. Warm-ups of
 * a decay: `warmUp`, `inverse`, `exponential`, `debias`; from one value to another: `cosine`, `linear`, `power`; half-lives:
 * `shareOfRun`. Any function of n will do as well; `named` gives it a name for checkpoints, which keep what a schedule says
 * of itself, `cosine(0.996 → 1 over 100000)`, and refuse a shadow whose schedule is another.
 *
 * Throws: `OptionError` for values out of range, when the schedule is made.
 * @example follow(student, ema({ decay: schedules.cosine(0.996, 1, 100_000) }))
 */
export const schedules = { warmUp, inverse, exponential, debias, cosine, linear, power, shareOfRun, named }
