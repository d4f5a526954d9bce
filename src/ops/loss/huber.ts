import { OptionError } from '../../shapes/errors.js'
import type { FloatDType } from '../../shapes/dtype.js'
import { recordOf, typed } from '../../tensor/record.js'
import type { Shape, Tape, Tensor } from '../../tensor/tensor.js'
import { type LossOptions, pointwiseLoss, type Reduced, type Reduction } from './pointwise.js'

const huberLoss = pointwiseLoss({
  name: 'huber',
  loss: (x, t, delta) => {
    const size = x.sub(t).abs()
    return size.gt(delta).select(delta.mul(size.sub(delta.mul(0.5))), size.square().mul(0.5))
  },
  dx: (x, t, delta) => x.sub(t).max(delta.neg()).min(delta),
  dt: (x, t, delta) => t.sub(x).max(delta.neg()).min(delta),
})

/** What `huber` may be told. */
export interface HuberOptions<R extends Reduction = Reduction> extends LossOptions<R> {
  /** Where the square turns into a line; 1 by default. */
  readonly delta?: number
}

/**
 * Huber loss, a square near 0 and a line far out: the mean of `½ d²` where `|d| ≤ delta`, else `delta (|d| − ½ delta)`,
 * with `d = x − t`.
 *
 * Shapes: `prediction: S, target: S → []`, or S with `{ reduction: 'none' }`.
 * Gradient: `dx = d / n · dy`, d limited to ±delta; `dt = −dx`.
 * Throws: `ShapeError` when shapes differ, `DTypeError` on other than floats, `OptionError` when delta is not positive.
 * Torch: `F.huber_loss(x, t, reduction='mean', delta=1.0)`; `F.smooth_l1_loss(…, beta)` is it divided by beta.
 * Paper: Huber, "Robust estimation of a location parameter", 1964, https://doi.org/10.1214/aoms/1177703732
 * @example huber(tensor([0, 3]), tensor([0, 0])) // 1.25
 */
export function huber<
  S extends Shape,
  D extends FloatDType,
  T extends Tape = never,
  T2 extends Tape = never,
  R extends Reduction = 'mean',
>(
  prediction: Tensor<S, D, T>,
  target: Tensor<NoInfer<S>, NoInfer<D>, T2>,
  { delta = 1, reduction }: HuberOptions<R> = {},
): Tensor<Reduced<S, R>, D, T | T2> {
  if (!(delta > 0))
    throw new OptionError(`huber: delta must be above 0, got ${delta}; use mae for delta near 0.`, { op: 'huber' })
  return typed(huberLoss(recordOf(prediction), recordOf(target), reduction ?? 'mean', delta))
}
