import { layerNormRecord } from '../ops/norm/layer-norm.js'
import type { FloatDType } from '../shapes/dtype.js'
import { OptionError } from '../shapes/errors.js'
import { requireOptions } from '../shapes/options.js'
import { recordOf, type TensorRecord } from '../tensor/record.js'
import { constantState } from './initialize.js'
import type { LayerNormFactory } from './module.js'
import { Printed } from './table.js'

class LayerNorm extends Printed {
  readonly weight: TensorRecord
  readonly bias: TensorRecord

  constructor(
    features: number,
    readonly eps: number,
    dtype: FloatDType,
  ) {
    super()
    if (!(eps >= 0)) throw new OptionError(`layerNorm: eps must be at least 0, got ${eps}.`, { op: 'layerNorm' })
    this.weight = constantState('parameter', [features], 1, dtype)
    this.bias = constantState('parameter', [features], 0, dtype)
  }

  forward(x: unknown): TensorRecord {
    return layerNormRecord(recordOf(x), this.weight, this.bias, this.eps)
  }

  describe(): string {
    return `layerNorm(${this.weight.shape[0]})`
  }
}

/**
 * Normalises the last axis of each item to mean 0 and variance 1, then scales and shifts it:
 * `y = (x − mean) / √(variance + eps) · weight + bias`, with the biased variance.
 *
 * Shapes: `x: […L, Features] → […L, Features]`, `weight, bias: [Features]`.
 * Init: weight 1, bias 0; eps is 1e-5 unless stated.  Gradient: for x, weight and bias, through mean and variance.
 * Throws: `ShapeError` when the last axis is not Features, `DTypeError`, `OptionError` for a negative eps.
 * Torch: `nn.LayerNorm(features)`; here over one axis only.
 * Paper: Ba, Kiros, Hinton, "Layer normalization", 2016.
 * @example sequential(linear(784, 128), layerNorm(128), relu())
 */
export const layerNorm = ((features: number, options: { eps?: number; dtype?: FloatDType } = {}) => {
  requireOptions('layerNorm', options, ['eps', 'dtype'])
  return new LayerNorm(features, options.eps ?? 1e-5, options.dtype ?? 'f32')
}) as unknown as LayerNormFactory
