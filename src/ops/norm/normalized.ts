import { sizeOf } from '../../shapes/strides.js'
import { input, scalar } from '../../kernels/expr.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import { mapTensors } from '../define.js'
import { forDType } from '../expressions.js'
import { repeated } from '../movement/views.js'
import { record, type Value } from '../record.js'
import { meanOver } from '../reduce/mean.js'
import { reduceTensors } from '../reduce/reduce.js'

/** Scale and shift of normalised elements. */
export interface Affine {
  readonly weight: TensorRecord
  readonly bias: TensorRecord
  /** The axes of x that weight and bias do not have. */
  readonly shared: readonly number[]
}

const exprs = forDType((dtype) => {
  const [x, mean, rate, weight, dy, sumG, sumGHat] = [0, 1, 2, 3, 4, 5, 6].map((slot) => input(slot, dtype)) as Operands
  const bias = dy
  const [n, eps] = [scalar(0, dtype), scalar(1, dtype)]
  const hat = x.sub(mean).mul(rate)
  const g = dy.mul(weight)
  return {
    copy: x,
    deviation: x.sub(mean).square(),
    rate: x.div(n).add(eps).sqrt().recip(),
    fixedRate: x.add(eps).sqrt().recip(),
    variance: x.div(n),
    output: hat.mul(weight).add(bias),
    g,
    gHat: g.mul(hat),
    dyHat: dy.mul(hat),
    dFixed: g.mul(rate),
    dx: g
      .sub(sumG.div(n))
      .sub(hat.mul(sumGHat.div(n)))
      .mul(rate),
  }
})
type Seven<X> = [X, X, X, X, X, X, X]
type Operands = Seven<ReturnType<typeof input>>
type Inputs = [TensorRecord, ...TensorRecord[]]

/**
 * `(x − mean) / √(variance + eps) · weight + bias` with mean and biased variance of x over `axes`, as one op with
 * gradients for x, weight and bias. To be called inside an `operation`.
 */
export function normalized(op: string, x: TensorRecord, axes: readonly number[], affine: Affine, eps: number) {
  const e = exprs(x.dtype)
  const n = sizeOf(axes.map((axis) => x.shape[axis] ?? 1))
  const mean = meanOver(x, axes)
  const squares = reduceTensors('sum', [x, repeated(mean, x.shape, axes)], axes, e.deviation)
  const rate = mapTensors(e.rate, [squares], [n, eps])
  const output = scaled(op, x, axes, affine, { mean, rate }, (inputs) => {
    const sumG = reduceTensors('sum', inputs, axes, e.g)
    const sumGHat = reduceTensors('sum', inputs, axes, e.gHat)
    return mapTensors(e.dx, [...inputs, repeated(sumG, x.shape, axes), repeated(sumGHat, x.shape, axes)], [n])
  })
  // Made after the op is recorded: what it made before belongs to the tape and goes with it.
  return { output, mean: mean.view(), variance: mapTensors(e.variance, [squares], [n]) }
}

/** The same with a given mean and variance, which are constants to the gradient. */
export function normalizedBy(
  op: string,
  x: TensorRecord,
  axes: readonly number[],
  affine: Affine,
  statistics: { readonly mean: TensorRecord; readonly variance: TensorRecord },
  eps: number,
): TensorRecord {
  const e = exprs(x.dtype)
  const rate = mapTensors(e.fixedRate, [statistics.variance], [0, eps])
  // Copied, because running statistics may have moved on when the gradient for weight reads them.
  const mean = mapTensors(e.copy, [statistics.mean])
  return scaled(op, x, axes, affine, { mean, rate }, (inputs) => mapTensors(e.dFixed, inputs))
}

/** Normalises, scales and shifts; `dx` gets x, mean, rate, weight and dy, each in the shape of x. */
function scaled(
  op: string,
  x: TensorRecord,
  axes: readonly number[],
  { weight, bias, shared }: Affine,
  { mean, rate }: { readonly mean: TensorRecord; readonly rate: TensorRecord },
  dx: (inputs: Inputs) => TensorRecord,
): TensorRecord {
  const { output: outputOf, dyHat } = exprs(x.dtype)
  const all = (last: TensorRecord): Inputs => [
    x,
    repeated(mean, x.shape, axes),
    repeated(rate, x.shape, axes),
    repeated(weight, x.shape, shared),
    last,
  ]
  const output = mapTensors(outputOf, all(repeated(bias, x.shape, shared)))
  return record(
    op,
    output,
    [x, weight, bias],
    [
      (dy) => typed<Value>(dx(all(recordOf(dy)))),
      (dy) => typed<Value>(reduceTensors('sum', all(recordOf(dy)), shared, dyHat)),
      (dy) => typed<Value>(reduceTensors('sum', [recordOf(dy)], shared)),
    ],
  )
}
