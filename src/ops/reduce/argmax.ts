import { type Ax, normalizeAxis } from '../../shapes/axes.js'
import type { DType } from '../../shapes/dtype.js'
import { showShape } from '../../shapes/dim.js'
import { DTypeError, ShapeError } from '../../shapes/errors.js'
import type { Reduce } from '../../shapes/reduce.js'
import { operation } from '../../tensor/scope.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Res, Shape, Tape, Tensor } from '../../tensor/tensor.js'
import { reduceTensors } from './reduce.js'

/**
 * Index of the first largest element along an axis, which is removed; NaN counts as largest. Never taped.
 *
 * Shapes: `x: S → S without the axis`, of i32.  Gradient: none.
 * Throws: `ShapeError` when there is no such axis or it is empty, `DTypeError` on bool.
 * Torch: `x.argmax(axis)`, which gives i64 and any of several equal elements.
 * @example argmax(tensor([[1, 3, 2], [5, 5, 0]]), 1) // [1, 0]
 */
export function argmax<S extends Shape, D extends DType, T extends Tape, const A extends Ax<S>>(
  x: Tensor<S, D, T>,
  axis: A,
): Res<Reduce<S, A>, 'i32', never> {
  return typed(operation(() => indexOfExtreme('argmax', recordOf(x), axis)))
}

/**
 * Index of the first smallest element along an axis, which is removed; NaN counts as smallest. Never taped.
 *
 * Shapes: `x: S → S without the axis`, of i32.  Gradient: none.
 * Throws: `ShapeError` when there is no such axis or it is empty, `DTypeError` on bool.
 * Torch: `x.argmin(axis)`, which gives i64 and any of several equal elements.
 * @example argmin(tensor([[1, 3, 2], [5, 5, 0]]), 1) // [0, 2]
 */
export function argmin<S extends Shape, D extends DType, T extends Tape, const A extends Ax<S>>(
  x: Tensor<S, D, T>,
  axis: A,
): Res<Reduce<S, A>, 'i32', never> {
  return typed(operation(() => indexOfExtreme('argmin', recordOf(x), axis)))
}

function indexOfExtreme(op: 'argmax' | 'argmin', x: TensorRecord, axis: number): TensorRecord {
  if (x.dtype === 'bool') throw new DTypeError(`${op}: is not defined for bool; convert with .to('i32').`, { op })
  const at = normalizeAxis(x.shape, axis, op)
  if (x.shape[at] === 0) {
    const message = `${op}: axis ${at} of ${showShape(x.shape)} is empty, so it has no extreme; give it elements.`
    throw new ShapeError(message, { op, shapes: [x.shape] })
  }
  return reduceTensors(op, [x], [at])
}
