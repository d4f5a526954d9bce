import { atLeastZero, defineOptimizer, type LearningRate } from './define.js'

/** What `rmsprop` may be told. */
export interface RmspropOptions {
  /** Step size. Default 1e-2. */
  readonly lr: LearningRate
  /** Weight of the old mean square. Default 0.99. */
  readonly alpha: number
  /** Added to the root of the mean square, outside the root. Default 1e-8. */
  readonly eps: number
  /** L2 penalty added to the gradient. Default 0. */
  readonly weightDecay: number
  /** Weight of the previous step. Default 0: none is kept. */
  readonly momentum: number
  /** Subtracts the square of the mean gradient: divides by a standard deviation. Default false. */
  readonly centered: boolean
}

const defaults: RmspropOptions = { lr: 1e-2, alpha: 0.99, eps: 1e-8, weightDecay: 0, momentum: 0, centered: false }

/**
 * RMSprop: `s ← α·s + (1 − α)·g²`, `d = g / (√s + eps)`, `p ← p − lr·d`; with momentum `b ← momentum·b + d`,
 * `p ← p − lr·b`; centered: `a ← α·a + (1 − α)·g` and `√(s − a²)` instead of `√s`.
 *
 * Throws: `OptionError` for values out of range.
 * Torch: `torch.optim.RMSprop`, same defaults. (dfdx starts `s` at 1 and puts eps inside the root.)
 * Paper: Tieleman, Hinton, Coursera lecture 6.5, 2012; centered: Graves, arXiv 1308.0850, 2013.
 * @example const optimizer = rmsprop(model, { lr: 1e-3, momentum: 0.9 })
 */
export const rmsprop = defineOptimizer({
  name: 'rmsprop',
  defaults,
  state: ({ momentum, centered }) => [
    's' as const,
    ...(centered ? (['a'] as const) : []),
    ...(momentum > 0 ? (['b'] as const) : []),
  ],
  check: ({ alpha, momentum, eps, weightDecay }) =>
    alpha >= 0 && alpha < 1 ? atLeastZero({ momentum, eps, weightDecay }) : `alpha must be in [0, 1), got ${alpha}`,
  scalars: ({ lr, alpha, eps, weightDecay, momentum }) => ({ lr, alpha, take: 1 - alpha, eps, weightDecay, momentum }),
  update: ({ p, g, s: old, a, b }, s, { weightDecay, momentum, centered }) => {
    const gradient = weightDecay === 0 ? g : g.add(p.mul(s.weightDecay))
    const square = old.mul(s.alpha).add(gradient.mul(gradient).mul(s.take))
    const mean = centered ? a.add(gradient.sub(a).mul(s.take)) : undefined
    const spread = mean ? square.sub(mean.mul(mean)).sqrt() : square.sqrt()
    const direction = gradient.div(spread.add(s.eps))
    const step = momentum > 0 ? b.mul(s.momentum).add(direction) : direction
    return { p: p.sub(step.mul(s.lr)), s: square, ...(mean && { a: mean }), ...(momentum > 0 && { b: step }) }
  },
})
