import type { FloatDType } from '../../shapes/dtype.js'
import { recordOf, typed } from '../../tensor/record.js'
import type { Shape, Tape, Tensor } from '../../tensor/tensor.js'
import { divisors, pointwiseLoss, type Reduced, type Reduction } from './pointwise.js'

const divergence = pointwiseLoss({
  name: 'klDiv',
  loss: (x, p) => p.eq(0).select(0, p.mul(p.log().sub(x))),
  dx: (_, p) => p.neg(),
  dt: (x, p) => p.eq(0).select(0, p.log().add(1).sub(x)),
  reductions: { ...divisors, batchmean: ([rows = 1]) => rows },
})

/**
 * Kullback-Leibler divergence of log-probabilities x from probabilities p: `Σ p (ln p − x) / rows`, a term with p = 0
 * being 0. Rows are the elements of the first axis.
 *
 * Shapes: `logProbabilities: S, target: S → []`, or S with `{ reduction: 'none' }`.
 * Gradient: `dx = −p / rows · dy`, `dp = (ln p + 1 − x) / rows · dy`, 0 where p is 0.
 * Throws: `ShapeError` when shapes differ, `DTypeError` on other than floats.
 * Torch: `F.kl_div(x, p, reduction='batchmean')`; its default, `'mean'`, divides by all elements and is no divergence.
 * @example klDiv(logSoftmax(logits, -1), probabilities)
 */
export function klDiv<
  S extends Shape,
  D extends FloatDType,
  T extends Tape = never,
  T2 extends Tape = never,
  R extends Reduction | 'batchmean' = 'batchmean',
>(
  logProbabilities: Tensor<S, D, T>,
  target: Tensor<NoInfer<S>, NoInfer<D>, T2>,
  { reduction }: { readonly reduction?: R } = {},
): Tensor<Reduced<S, R>, D, T | T2> {
  return typed(divergence(recordOf(logProbabilities), recordOf(target), reduction ?? 'batchmean'))
}
