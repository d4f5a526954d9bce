import { type Flatten2d, flatten2dShape } from '../../shapes/conv.js'
import type { Shape } from '../../shapes/dim.js'
import type { DType } from '../../shapes/dtype.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Arg, Res, Tape, Tensor } from '../../tensor/tensor.js'
import { reshapeRecord } from '../movement/reshape.js'

/**
 * Merges channels, height and width of images into one axis.
 *
 * Shapes: `x: […N, C, H, W] → […N, C·H·W]`.  Gradient: `dx = dy` in x's shape.
 * Throws: `ShapeError` when there are fewer than three axes.
 * Torch: `x.flatten(-3)`.
 * @example flatten2d(zeros([32, 16, 5, 5])) // [32, 400]
 */
export function flatten2d<S extends Shape, D extends DType, T extends Tape = never>(
  x: Arg<Flatten2d<S>, Tensor<S, D, T>>,
): Res<Flatten2d<S>, D, T> {
  return typed(flatten2dRecord(recordOf(x)))
}

/** The run time of `flatten2d`, for layers, whose types say more. */
export function flatten2dRecord(x: TensorRecord): TensorRecord {
  return reshapeRecord('flatten2d', x, flatten2dShape(x.shape))
}
