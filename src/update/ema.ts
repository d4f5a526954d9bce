import type { Rate } from '../model/rate.js'
import { OptionError } from '../shapes/errors.js'
import type { BufferPolicy, UpdateRule } from './define.js'
import { weightsOf } from './rate.js'

/** How buffers (running statistics, counters) follow. */
export interface EmaOptions {
  /** Default `copy`. Integers never blend: they are copied where floats blend. */
  readonly buffers?: BufferPolicy
}

/**
 * Exponential moving average: `target ← decay · target + (1 − decay) · source`.
 *
 * The rate is named by exactly one of `decay` (weight of the old value), `tau` = 1 − decay (weight of the source)
 * and `halfLife` (updates after which half of the old value is left). `1 − decay` is worked out in f64. Computed as
 * `t + tau·(s − t)`, or `s − decay·(s − t)` from tau ½ on: equal models stay equal bit for bit. A decay of 0 copies
 * and a decay of 1 touches no parameter, so NaN does not leak through a weight of 0.
 *
 * Throws: `OptionError` when the rate is not exactly one, or out of range.
 * Torch: `swa_utils.get_ema_multi_avg_fn(decay)`. As tau (RL) or momentum (mmengine): `1 − decay`.
 * @example update({ target: teacher, source: student }, ema({ decay: 0.999 }))
 */
export function ema(options: Rate & EmaOptions): UpdateRule {
  const { tau, decay } = weightsOf('ema', options)
  const { buffers = 'copy' } = options
  if (!['copy', 'blend', 'skip'].includes(buffers))
    throw new OptionError(`ema: buffers is 'copy', 'blend' or 'skip', got ${String(buffers)}.`, { op: 'ema' })
  return {
    name: 'ema',
    buffers,
    action: tau === 0 ? 'keep' : decay === 0 ? 'copy' : 'blend',
    scalars: tau < 0.5 ? [tau] : [-decay],
    blend: (target, source, [weight]) => {
      const difference = source.sub(target)
      return weight ? weight.fma(difference, tau < 0.5 ? target : source) : source
    },
  }
}
