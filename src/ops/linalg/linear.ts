import type { FloatDType } from '../../shapes/dtype.js'
import type { Box, Shape } from '../../shapes/dim.js'
import { ShapeError } from '../../shapes/errors.js'
import { sizeOf } from '../../shapes/strides.js'
import { input } from '../../kernels/expr.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Tape, Tensor } from '../../tensor/tensor.js'
import { mapTensors } from '../define.js'
import { matrixTransposed, repeated, reshaped } from '../movement/views.js'
import { floatOperation } from '../float-operation.js'
import { record, type Value } from '../record.js'
import { reduceTensors } from '../reduce/reduce.js'
import { productOf, requireFloats } from './matmul.js'

/**
 * Affine map of the last axis: `y = x · Wᵀ + b`.
 *
 * Shapes: `x: […L, In]`, `weight: [Out, In]`, `bias: [Out]` (optional) `→ […L, Out]`.
 * Gradient: `dx = dy · W`, `dW = dyᵀ · x`, `db = Σ dy` over the leading axes.
 * Throws: `ShapeError` when the last axis is not In, `DTypeError`.
 * Torch: `F.linear(x, weight, bias)`.
 * @example linear(zeros([32, 784]), zeros([10, 784]), zeros([10])) // [32, 10]
 */
export function linear<
  L extends Shape,
  K extends number,
  I extends number,
  O extends number,
  D extends FloatDType,
  T extends Tape = never,
>(
  x: Box<K> extends Box<I> ? Tensor<[...L, K], D, T> : `linear: last dimension of the input and of weight differ`,
  weight: Tensor<[O, I], D>,
  bias?: Tensor<[NoInfer<O>], NoInfer<D>>,
): Tensor<[...L, O], D, T> {
  return typed(linearRecord(recordOf(x), recordOf(weight), bias && recordOf(bias)))
}

/** The run time of `linear`, for layers, whose types say more. */
export function linearRecord(x: TensorRecord, weight: TensorRecord, bias?: TensorRecord): TensorRecord {
  return floatOperation('linear', [x, weight, bias], affine)
}

function affine(x: TensorRecord, weight: TensorRecord, bias?: TensorRecord): TensorRecord {
  requireFloats('linear', x, weight)
  const [outFeatures = 0, inFeatures = 0] = weight.shape
  const last = x.shape.at(-1)
  if (weight.rank !== 2 || last !== inFeatures) {
    const remedy = `the last axis of the input must be ${inFeatures}; check the layer before, or flatten or reshape`
    const message = `linear(${inFeatures} -> ${outFeatures}) got last dimension ${last ?? 'none'} in [${x.shape.join(', ')}]; ${remedy}.`
    throw new ShapeError(message, { op: 'linear', shapes: [x.shape, weight.shape] })
  }
  if (bias) requireBias(x, bias, outFeatures)
  const rows = reshaped(x, [sizeOf(x.shape.slice(0, -1)), inFeatures])
  const product = productOf(rows, matrixTransposed(weight))
  const [a, b] = [input(0, x.dtype), input(1, x.dtype)]
  const flat = bias ? mapTensors(a.add(b), [product, repeated(bias, product.shape, [0])]) : product
  const output = reshaped(flat, [...x.shape.slice(0, -1), outFeatures])
  const incoming = (dy: Value) => reshaped(recordOf(dy), flat.shape)
  return record('linear', output, bias ? [x, weight, bias] : [x, weight], [
    (dy) => typed<Value>(reshaped(productOf(incoming(dy), weight), x.shape)),
    (dy) => typed<Value>(productOf(matrixTransposed(incoming(dy)), rows)),
    (dy) => typed<Value>(reduceTensors('sum', [incoming(dy)], [0])),
  ])
}

function requireBias(x: TensorRecord, bias: TensorRecord, outFeatures: number): void {
  requireFloats('linear', x, bias)
  if (bias.rank === 1 && bias.shape[0] === outFeatures) return
  const message = `linear: the bias must have shape [${outFeatures}], one element for each row of weight, got [${bias.shape.join(', ')}].`
  throw new ShapeError(message, { op: 'linear', shapes: [bias.shape] })
}
