import { linearRecord } from '../ops/linalg/linear.js'
import { OptionError } from '../shapes/errors.js'
import { requireOptions } from '../shapes/options.js'
import { recordOf, type TensorRecord } from '../tensor/record.js'
import type { FloatDType } from '../shapes/dtype.js'
import { uniformParameter } from './initialize.js'
import type { LinearFactory } from './module.js'
import { Printed } from './table.js'

class Linear extends Printed {
  readonly weight: TensorRecord
  readonly bias?: TensorRecord

  constructor(inFeatures: number, outFeatures: number, withBias: boolean, dtype: FloatDType) {
    super()
    if (![inFeatures, outFeatures].every((size) => Number.isInteger(size) && size >= 1))
      throw new OptionError(`linear: sizes must be positive integers, got ${inFeatures} and ${outFeatures}.`, {
        op: 'linear',
      })
    const bound = 1 / Math.sqrt(inFeatures)
    this.weight = uniformParameter([outFeatures, inFeatures], bound, dtype)
    if (withBias) this.bias = uniformParameter([outFeatures], bound, dtype)
  }

  forward(x: unknown): TensorRecord {
    return linearRecord(recordOf(x), this.weight, this.bias)
  }

  describe(): string {
    const [outFeatures, inFeatures] = this.weight.shape
    return `linear(${inFeatures} -> ${outFeatures})`
  }
}

/**
 * Affine map of the last axis: `y = x · Wᵀ + b`.
 *
 * Shapes: `x: […L, In] → […L, Out]`, `weight: [Out, In]`, `bias: [Out]` (left out with `{ bias: false }`).
 * Init: U(±1/√In), both.  Throws: `ShapeError` when the last axis is not In.
 * Torch: `nn.Linear(in, out)`, same names and initialisation.
 * @example linear(784, 512).forward(zeros([32, 784])) // [32, 512]
 */
export const linear = ((
  inFeatures: number,
  outFeatures: number,
  options: { bias?: boolean; dtype?: FloatDType } = {},
) => {
  requireOptions('linear', options, ['bias', 'dtype'])
  return new Linear(inFeatures, outFeatures, options.bias ?? true, options.dtype ?? 'f32')
}) as unknown as LinearFactory
