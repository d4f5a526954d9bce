import { type Flatten, flattenShape } from '../../shapes/flatten.js'
import type { DType } from '../../shapes/dtype.js'
import { type Reshape, reshapeShape } from '../../shapes/reshape.js'
import { operation } from '../../tensor/scope.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Arg, Dims, Res, Shape, Tape, Tensor } from '../../tensor/tensor.js'
import { record, type Value } from '../record.js'
import { reshaped } from './views.js'

/**
 * The same elements in row-major order under another shape; one size may be −1 and is worked out.
 * A view where the layout allows it, else a copy.
 *
 * Shapes: `x: S → shape`, equal products.  Gradient: `dx = dy` in x's shape.
 * Throws: `ShapeError` when the number of elements differs.
 * Torch: `x.reshape(shape)`.
 * @example reshape(tensor([1, 2, 3, 4]), [2, -1]) // [[1, 2], [3, 4]]
 */
export function reshape<S extends Shape, D extends DType, T extends Tape, const N extends Dims>(
  x: Tensor<S, D, T>,
  shape: Arg<Reshape<S, [...N]>, N>,
): Res<Reshape<S, [...N]>, D, T> {
  const source = recordOf(x)
  return typed(reshapeRecord('reshape', source, reshapeShape(source.shape, shape as Dims)))
}

/**
 * Merges the axes from `from` on (default 1) into one; the ones before, usually the batch, are kept.
 *
 * Shapes: `[N, A, B] → [N, A·B]`.  Gradient: `dx = dy` in x's shape.
 * Throws: `ShapeError` when there is no such axis.
 * Torch: `torch.flatten(x, from)`, whose default is 0.
 * @example flatten(zeros([32, 28, 28])) // [32, 784]
 */
export function flatten<S extends Shape, D extends DType, T extends Tape, const A extends number = 1>(
  x: Tensor<S, D, T>,
  from?: A,
): Res<Flatten<S, A>, D, T> {
  const source = recordOf(x)
  return typed(reshapeRecord('flatten', source, flattenShape(source.shape, from)))
}

/** The run time of both, under the name of the op that uses it. */
export function reshapeRecord(op: string, x: TensorRecord, shape: readonly number[]): TensorRecord {
  return operation(() => record(op, reshaped(x, shape), [x], [(dy) => typed<Value>(reshaped(recordOf(dy), x.shape))]))
}
