import type { Box, Shape } from '../../shapes/dim.js'
import { showShape } from '../../shapes/dim.js'
import type { FloatDType } from '../../shapes/dtype.js'
import { ShapeError } from '../../shapes/errors.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Tape, Tensor } from '../../tensor/tensor.js'
import { floatOperation } from '../float-operation.js'
import { requireFloats } from '../linalg/matmul.js'
import { normalized } from './normalized.js'

/**
 * Layer normalisation over the last axis: `y = (x − mean) / √(variance + eps) · weight + bias`, variance biased.
 *
 * Shapes: `x: […L, N], weight: [N], bias: [N] → […L, N]`.
 * Gradient: `dx = (g − mean(g) − x̂ · mean(g · x̂)) / √(variance + eps)` with `g = dy · weight` and x̂ the normalised x;
 * `dweight = Σ dy · x̂`, `dbias = Σ dy` over the leading axes.
 * Throws: `ShapeError` when the last axis is not N, `DTypeError`.
 * Torch: `F.layer_norm(x, [N], weight, bias, eps)`.
 * Paper: Ba, Kiros and Hinton, "Layer normalization", 2016, https://arxiv.org/abs/1607.06450
 * @example layerNorm(tensor([[1, 3]]), ones([2]), zeros([2])) // [[-1, 1]]
 */
export function layerNorm<
  L extends Shape,
  K extends number,
  N extends number,
  D extends FloatDType,
  T extends Tape = never,
>(
  x: Box<K> extends Box<N> ? Tensor<[...L, K], D, T> : `layerNorm: last dimension of the input and of weight differ`,
  weight: Tensor<[N], D>,
  bias: Tensor<[NoInfer<N>], NoInfer<D>>,
  eps = 1e-5,
): Tensor<[...L, K], D, T> {
  return typed(layerNormRecord(recordOf(x), recordOf(weight), recordOf(bias), eps))
}

/** The run time of `layerNorm`, for layers, whose types say more. */
export function layerNormRecord(x: TensorRecord, weight: TensorRecord, bias: TensorRecord, eps: number): TensorRecord {
  requireFloats('layerNorm', x, weight)
  requireFloats('layerNorm', x, bias)
  const size = weight.shape[0] ?? 0
  if (weight.rank !== 1 || x.shape.at(-1) !== size || bias.rank !== 1 || bias.shape[0] !== size) {
    const got = `the last dimension of ${showShape(x.shape)}, weight ${showShape(weight.shape)} and bias ${showShape(bias.shape)}`
    const message = `layerNorm: ${got} differ; weight and bias have one element for each feature of the last axis.`
    throw new ShapeError(message, { op: 'layerNorm', shapes: [x.shape, weight.shape, bias.shape] })
  }
  const leading = x.shape.slice(0, -1).map((_, axis) => axis)
  return floatOperation(
    'layerNorm',
    [x, weight, bias],
    (x, weight, bias) => normalized('layerNorm', x, [x.rank - 1], { weight, bias, shared: leading }, eps).output,
  )
}
