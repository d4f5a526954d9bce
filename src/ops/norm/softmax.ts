import { type Ax, normalizeAxis } from '../../shapes/axes.js'
import type { FloatDType } from '../../shapes/dtype.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Shape, Tape, Tensor } from '../../tensor/tensor.js'
import { mapTensors } from '../define.js'
import { forDType, operands } from '../expressions.js'
import { repeated } from '../movement/views.js'
import { floatOperation } from '../float-operation.js'
import { record, type Value } from '../record.js'
import { reduceTensors, requireFloat } from '../reduce/reduce.js'

/**
 * Softmax along an axis: `y = eˣ / Σ eˣ`, all positive, summing to 1. The largest element is taken out first, so nothing
 * overflows.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = y · (dy − Σ dy · y)`.
 * Throws: `ShapeError` when there is no such axis, `DTypeError` on other than floats.
 * Torch: `x.softmax(axis)`.
 * @example softmax(tensor([0, Math.log(3)]), 0) // [0.25, 0.75]
 */
export function softmax<S extends Shape, D extends FloatDType, T extends Tape = never>(
  x: Tensor<S, D, T>,
  axis: Ax<S>,
): Tensor<S, D, T> {
  return typed(floatOperation('softmax', [recordOf(x)], (x) => softmaxRecord(x, axis)))
}

/**
 * Logarithm of the softmax along an axis: `y = x − ln Σ eˣ`, exact where the softmax itself would round to 0.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = dy − e^y · Σ dy`.
 * Throws: `ShapeError` when there is no such axis, `DTypeError` on other than floats.
 * Torch: `x.log_softmax(axis)`.
 * @example logSoftmax(tensor([0, 0]), 0) // [-0.6931, -0.6931]
 */
export function logSoftmax<S extends Shape, D extends FloatDType, T extends Tape = never>(
  x: Tensor<S, D, T>,
  axis: Ax<S>,
): Tensor<S, D, T> {
  return typed(floatOperation('logSoftmax', [recordOf(x)], (x) => logSoftmaxRecord(x, axis)))
}

const exprs = forDType((dtype) => {
  const [a, b, c] = operands(dtype)
  return {
    term: a.sub(b).exp(),
    softmax: a.sub(b).exp().div(c),
    logSoftmax: a.sub(b).sub(c.log()),
    product: a.mul(b),
    dSoftmax: a.mul(b.sub(c)),
    dLogSoftmax: b.sub(a.exp().mul(c)),
  }
})

function softmaxRecord(x: TensorRecord, axis: number): TensorRecord {
  const { all, axes, largest, total } = normalizer('softmax', x, axis)
  const { softmax, product, dSoftmax } = exprs(x.dtype)
  const y = mapTensors(softmax, [x, all(largest), all(total)])
  const back = (dy: Value) => {
    const gradient = recordOf(dy)
    const sum = reduceTensors('sum', [gradient, y], axes, product)
    return typed<Value>(mapTensors(dSoftmax, [y, gradient, all(sum)]))
  }
  return record('softmax', y, [x], [back])
}

function logSoftmaxRecord(x: TensorRecord, axis: number): TensorRecord {
  const { all, axes, largest, total } = normalizer('logSoftmax', x, axis)
  const { logSoftmax, dLogSoftmax } = exprs(x.dtype)
  const y = mapTensors(logSoftmax, [x, all(largest), all(total)])
  const back = (dy: Value) => {
    const gradient = recordOf(dy)
    return typed<Value>(mapTensors(dLogSoftmax, [y, gradient, all(reduceTensors('sum', [gradient], axes))]))
  }
  return record('logSoftmax', y, [x], [back])
}

/** The largest element m along the axis and `Σ e^(x − m)`. */
function normalizer(op: string, x: TensorRecord, axis: number) {
  requireFloat(op, x)
  const axes = [normalizeAxis(x.shape, axis, op)]
  const all = (reduced: TensorRecord) => repeated(reduced, x.shape, axes)
  const largest = reduceTensors('max', [x], axes)
  const total = reduceTensors('sum', [x, all(largest)], axes, exprs(x.dtype).term)
  return { all, axes, largest, total }
}
