import { constant } from '../../kernels/expr.js'
import { recordOf, typed } from '../../tensor/record.js'
import { type PointwiseLoss, pointwiseLoss } from './pointwise.js'

const absolute = pointwiseLoss({
  name: 'mae',
  loss: (x, t) => x.sub(t).abs(),
  dx: (x, t) => x.gt(t).select(1, x.lt(t).select(constant(-1, x.dtype), 0)),
  dt: (x, t) => x.gt(t).select(-1, x.lt(t).select(constant(1, x.dtype), 0)),
})

/**
 * Mean absolute error: `mean(|x − t|)`.
 *
 * Shapes: `prediction: S, target: S → []`, or S with `{ reduction: 'none' }`.
 * Gradient: `dx = sign(x − t) / n · dy`, 0 where they are equal; `dt = −dx`.
 * Throws: `ShapeError` when shapes differ, `DTypeError` on other than floats.
 * Torch: `F.l1_loss(x, t, reduction='mean')`, without implicit broadcasting.
 * @example mae(tensor([1, 2]), tensor([1, 4])) // 1
 */
export const mae: PointwiseLoss = (prediction, target, options = {}) =>
  typed(absolute(recordOf(prediction), recordOf(target), options.reduction ?? 'mean'))
