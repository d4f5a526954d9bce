import { type AdamOptions, adamScalars, adamStep, checkBetas } from './adam.js'
import { atLeastZero, defineOptimizer } from './define.js'

/** What `sparseAdam` may be told. */
export interface SparseAdamOptions extends Omit<AdamOptions, 'weightDecay'> {}

const defaults: SparseAdamOptions = { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8 }

/**
 * Adam for tables of which a step looks up a few rows: `m ← β₁·m + (1 − β₁)·g`, `v ← β₂·v + (1 − β₂)·g²`,
 * `p ← p − lr · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + eps)` on those rows; other rows, and their moments, are neither read nor
 * written. t counts the steps of the optimizer. Rows looked up twice have the sum of both gradients.
 *
 * A parameter that was used in any other way has a gradient everywhere and is updated everywhere, so that a model with
 * an embedding needs one optimizer. A lazy shadow leaves rows that no step touches until they are read.
 *
 * Throws: `OptionError` for values out of range.
 * Torch: `torch.optim.SparseAdam` with `nn.Embedding(…, sparse=True)`; it refuses other parameters. `betas` is two options.
 * Paper: Kingma, Ba, "Adam: a method for stochastic optimization", 2015; as there in algorithm 1 without its reordering,
 * `eps` is added to √v before the bias is corrected.
 * @example const optimizer = sparseAdam(model, { lr: 1e-3 })
 */
export const sparseAdam = defineOptimizer({
  name: 'sparseAdam',
  defaults,
  state: () => ['m', 'v'],
  untouched: () => 'only',
  check: ({ eps, ...betas }) => checkBetas(betas) ?? atLeastZero({ eps }),
  scalars: (options, step) => ({ ...adamScalars({ ...options, weightDecay: 0 }, step), eps: options.eps }),
  update: ({ p, g, m, v }, s) => adamStep(p, g, m, v, s),
})
