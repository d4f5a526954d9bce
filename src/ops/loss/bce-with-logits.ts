import { recordOf, typed } from '../../tensor/record.js'
import { type PointwiseLoss, pointwiseLoss } from './pointwise.js'

const binary = pointwiseLoss({
  name: 'bceWithLogits',
  loss: (x, t) => x.max(0).sub(x.mul(t)).add(x.abs().neg().exp().log1p()),
  dx: (x, t) => x.neg().exp().add(1).recip().sub(t),
  dt: (x) => x.neg(),
})

/**
 * Binary cross-entropy of logits x and probabilities t: the mean of `−t ln σ(x) − (1 − t) ln(1 − σ(x))`.
 * Computed as `max(x, 0) − x t + log1p(e^−|x|)`: finite for any finite logit.
 *
 * Shapes: `logits: S, target: S → []`, or S with `{ reduction: 'none' }`.
 * Gradient: `dx = (σ(x) − t) / n · dy`, `dt = −x / n · dy`.
 * Throws: `ShapeError` when shapes differ, `DTypeError` on other than floats (convert labels with `.to('f32')`).
 * Torch: `F.binary_cross_entropy_with_logits(x, t, reduction='mean')`.
 * @example bceWithLogits(tensor([0]), tensor([1])) // 0.6931
 */
export const bceWithLogits: PointwiseLoss = (logits, target, options = {}) =>
  typed(binary(recordOf(logits), recordOf(target), options.reduction ?? 'mean'))
