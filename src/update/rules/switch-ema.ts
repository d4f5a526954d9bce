import { OptionError } from '../../shapes/errors.js'
import { defineRule, type StatefulRule } from '../define.js'
import { rateOf, type ConstantRate } from '../rate.js'

/**
 * Switch-EMA: an exponential average, whose value the model itself takes over at each `period`-th update:
 * `target ← decay·target + (1 − decay)·source`, then `source ← target`. Training goes on from the average; a period of
 * one epoch is what the paper uses. The rate counts updates; a schedule of it is not taken.
 *
 * Throws: `OptionError` for a rate out of range, or a period that is no whole number from 1.
 * Torch: none; ema_pytorch: `update_model_with_ema_every`.
 * Paper: Li et al., "Switch EMA: a free lunch for better flatness and sharpness", 2024, algorithm 1.
 * @example const average = follow(model, switchEma({ decay: 0.999, period: 1875 }))
 */
export function switchEma({ period, ...rate }: ConstantRate & { readonly period: number }): StatefulRule {
  if (!(Number.isSafeInteger(period) && period >= 1))
    throw new OptionError(`switchEma: period is a whole number of updates from 1, got ${period}.`, { op: 'switchEma' })
  const { weights, text } = rateOf('switchEma', rate as ConstantRate)
  const { tau, decay } = weights({ updates: 0, now: 1, interval: 1 })
  const rule = defineRule({
    name: 'switchEma',
    scalars: { tau, keep: -decay, switches: (n: number) => Number((n + 1) % period === 0) },
    next: ({ target, source }, s) => {
      const difference = source.sub(target)
      const next = s.tau.lt(0.5).select(s.tau.fma(difference, target), s.keep.fma(difference, source))
      return { target: next, source: s.switches.ne(0).select(next, source) }
    },
  })
  return { ...rule, text: `switchEma ${text} period ${period}` }
}
