import { type Expr, input, scalar } from '../kernels/expr.js'
import { foreachTensors } from '../model/foreach.js'
import { batchNormRecord, batchNormTrainingRecord } from '../ops/norm/batch-norm.js'
import { arithmeticOf, type DType, type FloatDType } from '../shapes/dtype.js'
import { showShape } from '../shapes/dim.js'
import { OptionError, ShapeError } from '../shapes/errors.js'
import { requireOptions } from '../shapes/options.js'
import { recordOf, type TensorRecord } from '../tensor/record.js'
import { operation } from '../tensor/scope.js'
import { isTraining } from './evaluating.js'
import { constantState } from './initialize.js'
import type { BatchNorm1dFactory, BatchNorm2dFactory } from './module.js'
import { collected, type Running } from './recompute-statistics.js'
import { Printed } from './table.js'

/** The layers differ in the rank of what they take. */
class BatchNorm extends Printed {
  readonly weight: TensorRecord
  readonly bias: TensorRecord
  readonly running_mean: TensorRecord
  readonly running_var: TensorRecord
  readonly num_batches_tracked: TensorRecord

  constructor(
    readonly name: 'batchNorm1d' | 'batchNorm2d',
    features: number,
    readonly eps: number,
    readonly momentum: number,
    dtype: FloatDType,
  ) {
    super()
    const problem = !(eps >= 0)
      ? `eps must be at least 0, got ${eps}`
      : !(momentum >= 0 && momentum <= 1) &&
        `momentum is the weight of the batch and must be in [0, 1], got ${momentum}`
    if (problem) throw new OptionError(`${name}: ${problem}.`, { op: name })
    this.weight = constantState('parameter', [features], 1, dtype)
    this.bias = constantState('parameter', [features], 0, dtype)
    this.running_mean = constantState('buffer', [features], 0, dtype)
    this.running_var = constantState('buffer', [features], 1, dtype)
    this.num_batches_tracked = constantState('buffer', [], 0, 'i32')
  }

  forward(input: unknown): TensorRecord {
    const x = recordOf(input)
    const { name, weight, bias, running_mean: mean, running_var: variance, eps } = this
    const features = weight.shape[0] ?? 0
    const images = name === 'batchNorm2d'
    const ranks = images ? [4] : [2, 3]
    if (!ranks.includes(x.rank) || x.shape[1] !== features) {
      const needs = images ? `[N, ${features}, H, W]` : `[N, ${features}] or [N, ${features}, L]`
      const message = `${name}(${features}): got shape ${showShape(x.shape)}, needs ${needs}.`
      throw new ShapeError(message, { op: name, shapes: [x.shape] })
    }
    const collects = collected(this)
    if (!collects && !isTraining(x)) return batchNormRecord(x, { mean, variance }, weight, bias, eps)
    const count = x.size / features
    if (count < 2) {
      const remedy = 'train on larger batches, or normalise by the running statistics with inference(model)'
      const message = `${name}(${features}): a variance needs two values a feature, got shape ${showShape(x.shape)}; ${remedy}.`
      throw new ShapeError(message, { op: name, shapes: [x.shape] })
    }
    return operation(() => {
      const batch = batchNormTrainingRecord(x, weight, bias, eps)
      follow(collects ?? this, batch, count)
      return batch.output
    })
  }

  describe(): string {
    return `${this.name}(${this.weight.shape[0]})`
  }
}

/**
 * Moves the running statistics towards those of a batch, in place and on no tape. Not a private method: a copy of the
 * layer has none.
 */
function follow(
  { running_mean, running_var, num_batches_tracked: tracked, momentum }: Running,
  batch: { readonly mean: TensorRecord; readonly variance: TensorRecord },
  count: number,
): void {
  const reads = [running_mean, batch.mean, running_var, batch.variance]
  const scalars = [momentum, count / (count - 1)]
  foreachTensors(
    followed(running_mean.dtype, batch.mean.dtype),
    [{ reads, writes: [running_mean, running_var] }],
    scalars,
  )
  foreachTensors([input(0, 'i32').add(1)], [{ reads: [tracked], writes: [tracked] }], [])
}

interface Options {
  readonly eps?: number
  readonly momentum?: number
  readonly dtype?: FloatDType
}

function layer(name: 'batchNorm1d' | 'batchNorm2d') {
  return (features: number, options: Options = {}) => {
    requireOptions(name, options, ['eps', 'momentum', 'dtype'])
    const { eps = 1e-5, momentum = 0.1, dtype = 'f32' } = options
    return new BatchNorm(name, features, eps, momentum, dtype)
  }
}

const followed = (running: DType, batch: DType): Expr[] => {
  const number = arithmeticOf(running)
  const of = (slot: number, dtype: DType) => input(slot, dtype).cast(number)
  const [mean, variance] = [of(0, running), of(2, running)]
  const [batchMean, batchVariance] = [of(1, batch), of(3, batch)]
  const [momentum, unbiased] = [scalar(0, number), scalar(1, number)]
  const towards = (old: Expr, now: Expr) => momentum.fma(now.sub(old), old).cast(running)
  return [towards(mean, batchMean), towards(variance, batchVariance.mul(unbiased))]
}

/**
 * Normalises each feature over the batch: `y = (x − mean) / √(variance + eps) · weight + bias`. On a taped input mean
 * and biased variance are those of the batch, and the running statistics follow:
 * `running ← (1 − momentum) · running + momentum · batch`, with the unbiased variance; otherwise, and in
 * `inference(model)`, the running statistics are used and kept.
 *
 * Shapes: `x: [N, C] or [N, C, L]` → the same; `weight, bias, running_mean, running_var: [C]`, `num_batches_tracked: []`.
 * Init: weight 1, bias 0, running mean 0 and variance 1; eps 1e-5 and momentum 0.1 unless stated.
 * Gradient: for x, weight and bias; through the batch's statistics, not through the running ones.
 * Throws: `ShapeError` for another shape, and in training for one value a feature; `OptionError` for bad options.
 * Torch: `nn.BatchNorm1d(C)`; the tape decides here instead of `train()` and `eval()`, the counter is i32 for its i64,
 * and `momentum=None` (a plain average) is what `recomputeStatistics` does.
 * Paper: Ioffe, Szegedy, "Batch normalization", 2015.
 * @example sequential(linear(784, 128, { bias: false }), batchNorm1d(128), relu())
 */
export const batchNorm1d = layer('batchNorm1d') as unknown as BatchNorm1dFactory

/**
 * Normalises each channel over batch and image, as `batchNorm1d` does features.
 *
 * Shapes: `x: [N, C, H, W]` → the same; `weight, bias, running_mean, running_var: [C]`, `num_batches_tracked: []`.
 * Init: weight 1, bias 0, running mean 0 and variance 1; eps 1e-5 and momentum 0.1 unless stated.
 * Gradient: for x, weight and bias; through the batch's statistics, not through the running ones.
 * Throws: `ShapeError` for another shape, and in training for one value a channel; `OptionError` for bad options.
 * Torch: `nn.BatchNorm2d(C)`, with the differences of `batchNorm1d`.
 * @example sequential(conv2d(3, 64, 3, { padding: 1, bias: false }), batchNorm2d(64), relu())
 */
export const batchNorm2d = layer('batchNorm2d') as unknown as BatchNorm2dFactory
