import { recordOf, typed } from '../../tensor/record.js'
import { type PointwiseLoss, pointwiseLoss } from './pointwise.js'

const squared = pointwiseLoss({
  name: 'mse',
  loss: (x, t) => x.sub(t).square(),
  dx: (x, t) => x.sub(t).mul(2),
  dt: (x, t) => t.sub(x).mul(2),
})

/**
 * Mean squared error: `mean((x − t)²)`.
 *
 * Shapes: `prediction: S, target: S → []`, or S with `{ reduction: 'none' }`.
 * Gradient: `dx = 2 (x − t) / n · dy`, `dt = −dx`.
 * Throws: `ShapeError` when shapes differ, `DTypeError` on other than floats.
 * Torch: `F.mse_loss(x, t, reduction='mean')`, without implicit broadcasting.
 * @example mse(tensor([1, 2]), tensor([1, 4])) // 2
 */
export const mse: PointwiseLoss = (prediction, target, options = {}) =>
  typed(squared(recordOf(prediction), recordOf(target), options.reduction ?? 'mean'))
