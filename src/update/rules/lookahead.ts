import { OptionError } from '../../shapes/errors.js'
import { defineRule, type UpdateRule } from '../define.js'

/**
 * Lookahead: the target are slow weights that go a part of the way to the fast ones, which start again from there:
 * `slow ← slow + alpha·(fast − slow)`, `fast ← slow`. Writes the model that it follows. Synchronise every k inner steps:
 * `follow(model, lookahead({ alpha: 0.5 }), { every: 5 })`. The optimizer keeps its momentum; `optimizer.reset()` after a
 * synchronisation gives the paper's other variant. Buffers of the fast model stay its own.
 *
 * Throws: `OptionError` unless `0 < alpha ≤ 1`.
 * Torch: none built in; optax: `lookahead(optimizer, sync_period, slow_step_size)`.
 * Paper: Zhang et al., "Lookahead optimizer: k steps forward, 1 step back", 2019, algorithm 1.
 * @example const slow = follow(model, lookahead({ alpha: 0.5 }), { every: 5 })
 */
export function lookahead({ alpha = 0.5 }: { readonly alpha?: number } = {}): UpdateRule<'stateless'> {
  if (!(alpha > 0 && alpha <= 1))
    throw new OptionError(`lookahead: alpha is above 0 and at most 1, got ${alpha}.`, { op: 'lookahead' })
  return defineRule({
    name: 'lookahead',
    scalars: { alpha },
    next: ({ target, source }, s) => {
      const slow = s.alpha.fma(source.sub(target), target)
      return { target: slow, source: slow }
    },
  })
}
