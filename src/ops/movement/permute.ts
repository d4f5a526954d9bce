import type { DType } from '../../shapes/dtype.js'
import { type Permute, permuteShape } from '../../shapes/permute.js'
import { recordOf, typed } from '../../tensor/record.js'
import type { Arg, Dims, Res, Shape, Tape, Tensor } from '../../tensor/tensor.js'
import { record, type Value } from '../record.js'
import { transposed } from './views.js'

/**
 * The axes in the given order, as a view.
 *
 * Shapes: `x: S → [S[axes[0]], S[axes[1]], …]`.  Gradient: `dx = dy` in x's order.
 * Throws: `ShapeError` when `axes` is not a permutation of x's axes.
 * Torch: `x.permute(axes)`.
 * @example permute(zeros([2, 3, 4]), 2, 0, 1) // [4, 2, 3]
 */
export function permute<S extends Shape, D extends DType, T extends Tape, const P extends Dims>(
  x: Tensor<S, D, T>,
  ...axes: Arg<Permute<S, [...P]>, P>
): Res<Permute<S, [...P]>, D, T> {
  const source = recordOf(x)
  const order: Dims = axes
  permuteShape(source.shape, order)
  const from = order.map((axis) => (axis < 0 ? axis + source.rank : axis))
  const inverse = from.map((_, axis) => from.indexOf(axis))
  const back = (dy: Value) => typed<Value>(transposed(recordOf(dy), inverse))
  return typed(record('permute', transposed(source, from), [source], [back]))
}
