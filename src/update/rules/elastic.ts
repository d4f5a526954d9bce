import { OptionError } from '../../shapes/errors.js'
import { defineRule, type UpdateRule } from '../define.js'

/**
 * Elastic averaging: target (the centre) and source (a worker) pull at each other, `d = alpha·(source − target)`,
 * `target ← target + d`, `source ← source − d`. With several workers, one update each in turn.
 *
 * Throws: `OptionError` unless `0 < alpha < 1`.
 * Torch: none built in.
 * Paper: Zhang, Choromanska, LeCun, "Deep learning with elastic averaging SGD", 2015, equations 5 and 6 in turn.
 * @example for (const worker of workers) update({ target: centre, source: worker }, elastic({ alpha: 0.1 }))
 */
export function elastic({ alpha }: { readonly alpha: number }): UpdateRule<'stateless'> {
  if (!(alpha > 0 && alpha < 1))
    throw new OptionError(`elastic: alpha is between 0 and 1, got ${alpha}.`, { op: 'elastic' })
  return defineRule({
    name: 'elastic',
    scalars: { alpha },
    next: ({ target, source }, s) => {
      const difference = source.sub(target)
      return { target: s.alpha.fma(difference, target), source: s.alpha.neg().fma(difference, source) }
    },
  })
}
