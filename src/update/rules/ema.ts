import { blendRule, stateful, type StatefulRule, type UpdateRule } from '../define.js'
import { type ConstantRate, rateOf, type UpdateRate } from '../rate.js'

/**
 * Exponential moving average: `target ← decay · target + (1 − decay) · source`.
 *
 * The rate is named by exactly one of `decay` (weight of the old value), `tau` = 1 − decay (weight of the source),
 * `halfLife` and `timeConstant` (updates after which 1/2, or 1/e, of the old value is left), and `sigmaRel` (see
 * `powerEma`). All but the last may be schedules of the steps (or samples) so far; those need `follow`, which counts.
 * `1 − decay` is worked out in f64. Computed as `t + tau·(s − t)`, or `s − decay·(s − t)` from tau ½ on: equal models stay
 * equal bit for bit. A decay of 0 copies and a decay of 1 changes no parameter, so NaN does not leak through a weight of 0.
 *
 * Throws: `OptionError` when the rate is not exactly one, or out of range.
 * Torch: `swa_utils.get_ema_multi_avg_fn(decay)`. As tau (RL) or momentum (mmengine): `1 − decay`.
 * @example update({ target: teacher, source: student }, ema({ decay: 0.999 }))
 */
export function ema(rate: ConstantRate): UpdateRule<'stateless'>
export function ema(rate: UpdateRate): StatefulRule
export function ema(rate: UpdateRate): UpdateRule {
  const { constant, text, weights, gamma } = rateOf('ema', rate)
  return blendRule(constant ? 'stateless' : stateful, 'ema', `ema ${text}`, weights, gamma)
}
