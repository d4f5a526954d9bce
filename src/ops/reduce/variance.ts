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
import { meanOver } from './mean.js'
import { reduceTensors, requireFloat } from './reduce.js'

/** What `variance` and `std` may be told. */
export interface VarianceOptions {
  /** What is subtracted from n in the divisor: 1 (default) estimates from a sample, 0 describes the elements themselves. */
  readonly correction?: number
}

/**
 * Variance over axes, which are removed; over all of them when `axes` is undefined: `y = Σ(x − mean)² / (n − correction)`.
 * Computed in two passes, so a large mean costs no digits. NaN when n is not larger than the correction.
 *
 * Shapes: `x: S → S without axes`.  Gradient: `dx = 2 (x − mean) / (n − correction) · dy`.
 * Throws: `ShapeError` for an axis out of range, `DTypeError` on other than floats.
 * Torch: `x.var(dim, correction=1)`, the same default.
 * @example variance(tensor([1, 2, 3, 4]), 0, { correction: 0 }) // 1.25
 */
export function variance<
  S extends Shape,
  D extends FloatDType,
  T extends Tape = never,
  const A extends Axes<S> = never,
>(x: Tensor<S, D, T>, axes?: A, options: VarianceOptions = {}): ReduceResult<S, A, D, T> {
  return typed(floatOperation('variance', [recordOf(x)], (x) => spread('variance', x, axes, options)))
}

/**
 * Standard deviation over axes, which are removed; over all of them when `axes` is undefined: the root of `variance`.
 *
 * Shapes: `x: S → S without axes`.  Gradient: `dx = (x − mean) / ((n − correction) · y) · dy`, 0 where y is 0.
 * Throws: `ShapeError` for an axis out of range, `DTypeError` on other than floats.
 * Torch: `x.std(dim, correction=1)`, the same default.
 * @example std(tensor([1, 3]), 0, { correction: 0 }) // 1
 */
export function std<S extends Shape, D extends FloatDType, T extends Tape = never, const A extends Axes<S> = never>(
  x: Tensor<S, D, T>,
  axes?: A,
  options: VarianceOptions = {},
): ReduceResult<S, A, D, T> {
  return typed(floatOperation('std', [recordOf(x)], (x) => spread('std', x, axes, options)))
}

const exprs = forDType((dtype) => {
  const [x, mean, dy, y] = operands(dtype)
  const divisor = scalar(0, dtype)
  const slope = x.sub(mean).mul(dy).div(divisor)
  return {
    deviation: x.sub(mean).square(),
    variance: x.div(divisor),
    std: x.div(divisor).sqrt(),
    dVariance: slope.mul(2),
    dStd: y.eq(0).select(0, slope.div(y)),
  }
})

function spread(op: 'variance' | 'std', x: TensorRecord, axes: number | Dims | undefined, options: VarianceOptions) {
  requireFloat(op, x)
  const gone = normalizeAxes(x.shape, axes, op)
  const n = sizeOf(gone.map((axis) => x.shape[axis] ?? 1))
  const divisor = Math.max(0, n - (options.correction ?? 1))
  const all = (reduced: TensorRecord) => repeated(reduced, x.shape, gone)
  const { deviation, dVariance, dStd, ...of } = exprs(x.dtype)
  const mean = meanOver(x, gone)
  const squares = reduceTensors('sum', [x, all(mean)], gone, deviation)
  const y = mapTensors(of[op], [squares], [divisor])
  const slope = op === 'std' ? dStd : dVariance
  const back = (dy: Value) => typed<Value>(mapTensors(slope, [x, all(mean), all(recordOf(dy)), all(y)], [divisor]))
  return record(op, y, [x], [back])
}
