import { normalizeAxes } from '../../shapes/axes.js'
import type { FloatDType } from '../../shapes/dtype.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Axes, Dims, ReduceResult, Shape, Tape, Tensor } from '../../tensor/tensor.js'
import { mapTensors } from '../define.js'
import { forDType, operands } from '../expressions.js'
import { repeated } from '../movement/views.js'
import { floatOperation } from '../float-operation.js'
import { record, type Value } from '../record.js'
import { reduceTensors, requireFloat } from './reduce.js'

/**
 * Logarithm of a sum of exponentials over axes, which are removed; over all of them when none are given: `y = ln Σ eˣ`.
 * The largest element is taken out first, so nothing overflows; empty gives −∞.
 *
 * Shapes: `x: S → S without axes`.  Gradient: `dx = e^(x − y) · dy`, the softmax; 0 where y is −∞.
 * Throws: `ShapeError` for an axis out of range, `DTypeError` on other than floats.
 * Torch: `x.logsumexp(dim)`.
 * @example logSumExp(tensor([1000, 1000])) // 1000.6931
 */
export function logSumExp<
  S extends Shape,
  D extends FloatDType,
  T extends Tape = never,
  const A extends Axes<S> = never,
>(x: Tensor<S, D, T>, axes?: A): ReduceResult<S, A, D, T> {
  return typed(floatOperation('logSumExp', [recordOf(x)], (x) => logSumExpRecord(x, axes)))
}

const exprs = forDType((dtype) => {
  const [x, y, dy] = operands(dtype)
  return {
    // An infinite largest element would turn ∞ − ∞ into NaN.
    shift: x.abs().eq(Infinity).select(0, x),
    term: x.sub(y).exp(),
    log: x.log().add(y),
    slope: y.eq(-Infinity).select(0, x.sub(y).exp().mul(dy)),
  }
})

function logSumExpRecord(x: TensorRecord, axes?: number | Dims): TensorRecord {
  requireFloat('logSumExp', x)
  const gone = normalizeAxes(x.shape, axes, 'logSumExp')
  const y = logSumExpOver(x, gone)
  const all = (reduced: TensorRecord) => repeated(reduced, x.shape, gone)
  const back = (dy: Value) => typed<Value>(mapTensors(exprs(x.dtype).slope, [x, all(y), all(recordOf(dy))]))
  return record('logSumExp', y, [x], [back])
}

/** The same on no tape. */
export function logSumExpOver(x: TensorRecord, axes: readonly number[]): TensorRecord {
  const { shift, term, log } = exprs(x.dtype)
  const largest = mapTensors(shift, [reduceTensors('max', [x], axes)])
  const total = reduceTensors('sum', [x, repeated(largest, x.shape, axes)], axes, term)
  return mapTensors(log, [total, largest])
}
