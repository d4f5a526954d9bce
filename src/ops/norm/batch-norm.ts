import { type Box, type Shape, showShape } from '../../shapes/dim.js'
import type { FloatDType } from '../../shapes/dtype.js'
import { ShapeError } from '../../shapes/errors.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Tape, Tensor } from '../../tensor/tensor.js'
import { floatOperation } from '../float-operation.js'
import { requireFloats } from '../linalg/matmul.js'
import { normalized, normalizedBy } from './normalized.js'

type Channels<K, C, X> = Box<K> extends Box<C> ? X : `batchNorm: dimension 1 of the input and the size of weight differ`

/** What a batch was normalised with: inputs of running statistics. On no tape. */
export interface BatchNormResult<S extends Shape, C extends number, D extends FloatDType, T extends Tape> {
  readonly output: Tensor<S, D, T>
  /** Of each channel. */
  readonly mean: Tensor<[C], D>
  /** Of each channel, biased: divided by the number of elements n. PyTorch's running variance takes n / (n − 1) times it. */
  readonly variance: Tensor<[C], D>
}

/**
 * Batch normalisation with the statistics of the batch, for training: `output = (x − mean) / √(variance + eps) · weight + bias`
 * with mean and biased variance over all axes but axis 1. The statistics are returned too.
 *
 * Shapes: `x: [N, C, …R], weight: [C], bias: [C] → output: [N, C, …R], mean: [C], variance: [C]`.
 * Gradient: as `layerNorm`, through the statistics; mean and variance are on no tape.
 * Throws: `ShapeError` when axis 1 is not C, `DTypeError`.
 * Torch: `F.batch_norm(x, None, None, weight, bias, training=True, eps=eps)`; it updates running statistics itself.
 * Paper: Ioffe and Szegedy, "Batch normalization", 2015, https://arxiv.org/abs/1502.03167
 * @example batchNormTraining(tensor([[1], [3]]), ones([1]), zeros([1])).output // [[-1], [1]]
 */
export function batchNormTraining<
  N extends number,
  K extends number,
  R extends Shape,
  C extends number,
  D extends FloatDType,
  T extends Tape = never,
>(
  x: Channels<K, C, Tensor<[N, K, ...R], D, T>>,
  weight: Tensor<[C], D>,
  bias: Tensor<[NoInfer<C>], NoInfer<D>>,
  eps = 1e-5,
): BatchNormResult<[N, K, ...R], C, D, T> {
  const { output, mean, variance } = batchNormTrainingRecord(recordOf(x), recordOf(weight), recordOf(bias), eps)
  return { output: typed(output), mean: typed(mean), variance: typed(variance) }
}

/**
 * Batch normalisation with given statistics, for evaluation: `y = (x − mean) / √(variance + eps) · weight + bias`.
 *
 * Shapes: `x: [N, C, …R], mean, variance, weight, bias: [C] → [N, C, …R]`.
 * Gradient: `dx = dy · weight / √(variance + eps)`, `dweight = Σ dy · x̂`, `dbias = Σ dy`; none for the statistics.
 * Throws: `ShapeError` when axis 1 is not C, `DTypeError`.
 * Torch: `F.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)`.
 * @example batchNorm(tensor([[3]]), tensor([1]), tensor([4]), ones([1]), zeros([1])) // [[1]]
 */
export function batchNorm<
  N extends number,
  K extends number,
  R extends Shape,
  C extends number,
  D extends FloatDType,
  T extends Tape = never,
>(
  x: Channels<K, C, Tensor<[N, K, ...R], D, T>>,
  mean: Tensor<[NoInfer<C>], NoInfer<D>>,
  variance: Tensor<[NoInfer<C>], NoInfer<D>>,
  weight: Tensor<[C], D>,
  bias: Tensor<[NoInfer<C>], NoInfer<D>>,
  eps = 1e-5,
): Tensor<[N, K, ...R], D, T> {
  const statistics = { mean: recordOf(mean), variance: recordOf(variance) }
  return typed(batchNormRecord(recordOf(x), statistics, recordOf(weight), recordOf(bias), eps))
}

/** The run time of `batchNormTraining`, for layers, whose types say more. */
export function batchNormTrainingRecord(x: TensorRecord, weight: TensorRecord, bias: TensorRecord, eps: number) {
  const shared = requireChannels(x, [weight, bias])
  return floatOperation('batchNorm', [x, weight, bias], (x, weight, bias) =>
    normalized('batchNorm', x, shared, { weight, bias, shared }, eps),
  )
}

/** The run time of `batchNorm`, for layers, whose types say more. */
export function batchNormRecord(
  x: TensorRecord,
  statistics: { readonly mean: TensorRecord; readonly variance: TensorRecord },
  weight: TensorRecord,
  bias: TensorRecord,
  eps: number,
): TensorRecord {
  const shared = requireChannels(x, [statistics.mean, statistics.variance, weight, bias])
  const { mean, variance } = statistics
  return floatOperation('batchNorm', [x, mean, variance, weight, bias], (x, mean, variance, weight, bias) =>
    normalizedBy('batchNorm', x, shared, { weight, bias, shared }, { mean, variance }, eps),
  )
}

/** Throws unless each of `parts` has one element for each channel; returns the axes that channels are not on. */
function requireChannels(x: TensorRecord, parts: readonly TensorRecord[]): number[] {
  for (const part of parts) {
    requireFloats('batchNorm', x, part)
    if (x.rank >= 2 && part.rank === 1 && part.shape[0] === x.shape[1]) continue
    const rule =
      'the input is [N, C, …], and weight, bias, mean and variance have one element for each of its C channels'
    const message = `batchNorm: ${showShape(x.shape)} and ${showShape(part.shape)} do not fit; ${rule}.`
    throw new ShapeError(message, { op: 'batchNorm', shapes: [x.shape, part.shape] })
  }
  return x.shape.flatMap((_, axis) => (axis === 1 ? [] : [axis]))
}
