import { normalizeAxes } from '../../shapes/axes.js'
import { broadcastAxes, broadcastToShape, type BroadcastTo } from '../../shapes/broadcast.js'
import type { DType } from '../../shapes/dtype.js'
import { DTypeError } from '../../shapes/errors.js'
import { operation } from '../../tensor/scope.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Arg, Axes, Dims, ReduceResult, Res, Shape, Tape, Tensor } from '../../tensor/tensor.js'
import { repeated, reshaped } from '../movement/views.js'
import { record, type Value } from '../record.js'
import { reduceTensors } from './reduce.js'

/**
 * Sum over axes, which are removed; over all of them when none are given. An empty sum is 0.
 * The order of additions depends on the shape alone.
 *
 * Shapes: `x: S → S without axes`.  Gradient: `dx = dy`, repeated along the axes.
 * Throws: `ShapeError` for an axis out of range, `DTypeError` on bool.
 * Torch: `x.sum(dim)`.
 * @example sum(tensor([[1, 2], [3, 4]]), 0) // [4, 6]
 */
export function sum<S extends Shape, D extends DType, T extends Tape = never, const A extends Axes<S> = never>(
  x: Tensor<S, D, T>,
  axes?: A,
): ReduceResult<S, A, D, T> {
  return typed(operation(() => sumRecord(recordOf(x), axes)))
}

function sumRecord(x: TensorRecord, axes?: number | Dims): TensorRecord {
  if (x.dtype === 'bool')
    throw new DTypeError("sum: is not defined for bool; count with .to('i32').sum().", { op: 'sum' })
  const gone = normalizeAxes(x.shape, axes, 'sum')
  const output = reduceTensors('sum', [x], gone)
  return record('sum', output, [x], [(dy) => typed<Value>(repeated(recordOf(dy), x.shape, gone))])
}

/**
 * Repeats `x` along axes of size 1 and along new leading axes, as a view: nothing is copied.
 *
 * Shapes: `x: S → shape`, aligned at the last axis.  Gradient: `dx = dy` summed over the repeated axes.
 * Throws: `ShapeError` when an axis is neither 1 nor equal.
 * Torch: `x.expand(shape)`.
 * @example broadcastTo(tensor([1, 2]), [3, 2]) // [[1, 2], [1, 2], [1, 2]]
 */
export function broadcastTo<S extends Shape, D extends DType, T extends Tape, const N extends Dims>(
  x: Tensor<S, D, T>,
  shape: Arg<BroadcastTo<S, [...N]>, N>,
): Res<BroadcastTo<S, [...N]>, D, T> {
  return typed(operation(() => broadcastRecord(recordOf(x), shape as Dims)))
}

function broadcastRecord(x: TensorRecord, to: Dims): TensorRecord {
  const shape = broadcastToShape(x.shape, to)
  const axes = broadcastAxes(x.shape, shape)
  const offset = shape.length - x.rank
  const strides = shape.map((_, axis) => (axes.includes(axis) ? 0 : (x.strides[axis - offset] ?? 0)))
  const back = (dy: Value): Value => {
    const gradient = recordOf(dy)
    return typed(reshaped(axes.length > 0 ? reduceTensors('sum', [gradient], axes) : gradient, x.shape))
  }
  return record('broadcastTo', x.view({ shape, strides }), [x], [back])
}
