import type { Expr } from '../kernels/expr.js'
import { atLeastZero, defineOptimizer, type LearningRate } from './define.js'

/** What `adam` and `adamw` may be told. */
export interface AdamOptions {
  /** Step size. Default 1e-3. */
  readonly lr: LearningRate
  /** Weight of the old first moment. Default 0.9. */
  readonly beta1: number
  /** Weight of the old second moment. Default 0.999. */
  readonly beta2: number
  /** Added to the root of the second moment, outside the root. Default 1e-8. */
  readonly eps: number
  /** `adam`: L2 penalty added to the gradient, default 0. `adamw`: decay of the parameter itself, default 1e-2. */
  readonly weightDecay: number
}

const check = ({ beta1, beta2, eps, weightDecay }: AdamOptions): string | undefined =>
  checkBetas({ beta1, beta2 }) ?? atLeastZero({ eps, weightDecay })

/** What is wrong with the weights of the moments, if anything. */
export function checkBetas({ beta1, beta2 }: Pick<AdamOptions, 'beta1' | 'beta2'>): string | undefined {
  for (const [name, beta] of [
    ['beta1', beta1],
    ['beta2', beta2],
  ] as const)
    if (!(beta >= 0 && beta < 1)) return `${name} must be in [0, 1), got ${beta}`
  return undefined
}

const adamDefaults: AdamOptions = { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 }

/**
 * Adam: `m ← β₁·m + (1 − β₁)·g`, `v ← β₂·v + (1 − β₂)·g²`,
 * `p ← p − lr / (1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + eps)`; weight decay is added to `g` as `weightDecay·p`.
 *
 * Throws: `OptionError` for values out of range.
 * Torch: `torch.optim.Adam`, same defaults; `betas` is two options here.
 * Paper: Kingma, Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.
 * @example const optimizer = adam(model, { lr: 1e-3 })
 */
export const adam = defineOptimizer({
  name: 'adam',
  defaults: adamDefaults,
  state: () => ['m', 'v'],
  check,
  scalars: adamScalars,
  update: ({ p, g, m, v }, s, { weightDecay }) => adamStep(p, weightDecay === 0 ? g : s.weightDecay.fma(p, g), m, v, s),
})

/**
 * Adam with decoupled weight decay: first `p ← p · (1 − lr·weightDecay)`, then the step of `adam` without a penalty.
 *
 * Throws: `OptionError` for values out of range.
 * Torch: `torch.optim.AdamW`, same defaults; `betas` is two options here.
 * Paper: Loshchilov, Hutter, "Decoupled weight decay regularization", 2019, algorithm 2.
 * @example const optimizer = adamw(model, { lr: 1e-3, weightDecay: 0.05 })
 */
export const adamw = defineOptimizer({
  name: 'adamw',
  defaults: { ...adamDefaults, weightDecay: 1e-2 },
  state: () => ['m', 'v'],
  check,
  scalars: adamScalars,
  update: ({ p, g, m, v }, s) => adamStep(p.mul(s.shrink), g, m, v, s),
})

type Scalar = 'step' | 'take1' | 'keep2' | 'take2' | 'eps' | 'weightDecay' | 'shrink'

/** The step common to all. √(1 − β₂ᵗ) is in `step` and `eps`, so one division an element is enough. */
export function adamStep(p: Expr, g: Expr, m: Expr, v: Expr, s: Readonly<Record<Scalar, Expr>>) {
  const first = s.take1.fma(g.sub(m), m)
  const second = g.mul(s.take2).fma(g, v.mul(s.keep2))
  return { p: s.step.fma(first.div(second.sqrt().add(s.eps)), p), m: first, v: second }
}

/** The numbers of one step. */
export function adamScalars(
  options: Omit<AdamOptions, 'lr'> & { readonly lr: number },
  step: number,
): Record<Scalar, number> {
  const { lr, beta1, beta2, eps, weightDecay } = options
  const root = Math.sqrt(1 - beta2 ** step)
  return {
    step: (-lr * root) / (1 - beta1 ** step),
    take1: 1 - beta1,
    keep2: beta2,
    take2: 1 - beta2,
    eps: eps * root,
    weightDecay,
    shrink: 1 - lr * weightDecay,
  }
}
