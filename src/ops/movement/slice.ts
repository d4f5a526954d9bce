import type { DType } from '../../shapes/dtype.js'
import { type Range, type Slice, sliceShape } from '../../shapes/slice.js'
import { operation } from '../../tensor/scope.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Arg, Res, Shape, Tape, Tensor } from '../../tensor/tensor.js'
import { record, type Value } from '../record.js'
import { cut, padded } from './views.js'

/**
 * Cuts to [start, end) in each leading axis, as a view; null keeps an axis.
 *
 * Shapes: `x: S → [end₀ − start₀, …]`.  Gradient: `dx = dy` in its place, 0 outside; several slices of one tensor add up.
 * Throws: `ShapeError` when a range leaves the shape or counts from the end.
 * Torch: `x[start:end, …]`, whose ends may leave the shape.
 * @example slice(tensor([[1, 2, 3], [4, 5, 6]]), [null, [1, 3]]) // [[2, 3], [5, 6]]
 */
export function slice<S extends Shape, D extends DType, T extends Tape, const R extends readonly Range[]>(
  x: Tensor<S, D, T>,
  ranges: Arg<Slice<S, [...R]>, R>,
): Res<Slice<S, [...R]>, D, T> {
  return typed(operation(() => sliceRecord(recordOf(x), ranges as readonly Range[])))
}

function sliceRecord(x: TensorRecord, ranges: readonly Range[]): TensorRecord {
  const shape = sliceShape(x.shape, ranges)
  const starts = x.shape.map((_, axis) => ranges[axis]?.[0] ?? 0)
  return record('slice', cut(x, starts, shape), [x], [(dy) => typed<Value>(padded(recordOf(dy), starts, x.shape))])
}
