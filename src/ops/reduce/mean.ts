import { normalizeAxes } from '../../shapes/axes.js'
import type { FloatDType } from '../../shapes/dtype.js'
import { sizeOf } from '../../shapes/strides.js'
import { scalar } from '../../kernels/expr.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Axes, Dims, ReduceResult, Shape, Tape, Tensor } from '../../tensor/tensor.js'
import { mapTensors } from '../define.js'
import { forDType, operands } from '../expressions.js'
import { repeated } from '../movement/views.js'
import { floatOperation } from '../float-operation.js'
import { record, type Value } from '../record.js'
import { reduceTensors, requireFloat } from './reduce.js'

/**
 * Mean over axes, which are removed; over all of them when none are given: `y = Σx / n`. The mean of nothing is NaN.
 *
 * Shapes: `x: S → S without axes`.  Gradient: `dx = dy / n`, repeated along the axes.
 * Throws: `ShapeError` for an axis out of range, `DTypeError` on other than floats.
 * Torch: `x.mean(dim)`.
 * @example mean(tensor([[1, 2], [3, 4]]), 1) // [1.5, 3.5]
 */
export function mean<S extends Shape, D extends FloatDType, T extends Tape = never, const A extends Axes<S> = never>(
  x: Tensor<S, D, T>,
  axes?: A,
): ReduceResult<S, A, D, T> {
  return typed(floatOperation('mean', [recordOf(x)], (x) => meanRecord(x, axes)))
}

const quotient = forDType((dtype) => operands(dtype)[0].div(scalar(0, dtype)))

function meanRecord(x: TensorRecord, axes?: number | Dims): TensorRecord {
  requireFloat('mean', x)
  const gone = normalizeAxes(x.shape, axes, 'mean')
  const output = meanOver(x, gone)
  const n = sizeOf(gone.map((axis) => x.shape[axis] ?? 1))
  const back = (dy: Value) => typed<Value>(repeated(mapTensors(quotient(x.dtype), [recordOf(dy)], [n]), x.shape, gone))
  return record('mean', output, [x], [back])
}

/** The mean over `axes`, on no tape. */
export function meanOver(x: TensorRecord, axes: readonly number[]): TensorRecord {
  const n = sizeOf(axes.map((axis) => x.shape[axis] ?? 1))
  return mapTensors(quotient(x.dtype), [reduceTensors('sum', [x], axes)], [n])
}
