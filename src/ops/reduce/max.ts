import { normalizeAxes } from '../../shapes/axes.js'
import type { DType } from '../../shapes/dtype.js'
import { DTypeError } from '../../shapes/errors.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Axes, Dims, ReduceResult, Shape, Tape, Tensor } from '../../tensor/tensor.js'
import { mapTensors } from '../define.js'
import { forDType, operands } from '../expressions.js'
import { repeated } from '../movement/views.js'
import { floatOperation } from '../float-operation.js'
import { record, type Value } from '../record.js'
import { reduceTensors } from './reduce.js'

/**
 * Largest element over axes, which are removed; over all of them when none are given. NaN wins; empty gives −∞.
 *
 * Shapes: `x: S → S without axes`.  Gradient: `dy`, shared equally among tied elements; NaN where the result is NaN.
 * Throws: `ShapeError` for an axis out of range, `DTypeError` on bool.
 * Torch: `x.amax(dim)`, with its gradient.
 * @example max(tensor([[1, 2], [3, 0]]), 1) // [2, 3]
 */
export function max<S extends Shape, D extends DType, T extends Tape = never, const A extends Axes<S> = never>(
  x: Tensor<S, D, T>,
  axes?: A,
): ReduceResult<S, A, D, T> {
  return typed(floatOperation('max', [recordOf(x)], (x) => extreme('max', x, axes)))
}

/**
 * Smallest element over axes, which are removed; over all of them when none are given. NaN wins; empty gives ∞.
 *
 * Shapes: `x: S → S without axes`.  Gradient: `dy`, shared equally among tied elements; NaN where the result is NaN.
 * Throws: `ShapeError` for an axis out of range, `DTypeError` on bool.
 * Torch: `x.amin(dim)`, with its gradient.
 * @example min(tensor([[1, 2], [3, 0]]), 1) // [1, 0]
 */
export function min<S extends Shape, D extends DType, T extends Tape = never, const A extends Axes<S> = never>(
  x: Tensor<S, D, T>,
  axes?: A,
): ReduceResult<S, A, D, T> {
  return typed(floatOperation('min', [recordOf(x)], (x) => extreme('min', x, axes)))
}

const exprs = forDType((dtype) => {
  const [first, second, third] = operands(dtype)
  return {
    tie: first.eq(second).cast(dtype),
    share: first.div(second),
    // Where the result is NaN, so is the gradient.
    slope: third.isNaN().select(third, second.eq(third).select(first, 0)),
  }
})

function extreme(op: 'max' | 'min', x: TensorRecord, axes?: number | Dims): TensorRecord {
  if (x.dtype === 'bool') throw new DTypeError(`${op}: is not defined for bool; convert with .to('i32').`, { op })
  const gone = normalizeAxes(x.shape, axes, op)
  const y = reduceTensors(op, [x], gone)
  const back = (dy: Value): Value => {
    const { tie, share, slope } = exprs(x.dtype)
    const best = repeated(y, x.shape, gone)
    const ties = reduceTensors('sum', [x, best], gone, tie)
    const each = mapTensors(share, [recordOf(dy), ties])
    return typed(mapTensors(slope, [repeated(each, x.shape, gone), x, best]))
  }
  return record(op, y, [x], [back])
}
