import { embeddingRecord } from '../ops/index/embedding.js'
import type { FloatDType } from '../shapes/dtype.js'
import { requireOptions } from '../shapes/options.js'
import { recordOf, type TensorRecord } from '../tensor/record.js'
import { normalParameter } from './initialize.js'
import type { EmbeddingFactory } from './module.js'
import { Printed } from './table.js'

class Embedding extends Printed {
  readonly weight: TensorRecord
  constructor(count: number, features: number, dtype: FloatDType) {
    super()
    this.weight = normalParameter([count, features], dtype)
  }
  forward(x: unknown): TensorRecord {
    return embeddingRecord(recordOf(x), this.weight)
  }
  describe(): string {
    return `embedding(${this.weight.shape.join(', ')})`
  }
}

/**
 * A table of vectors, read by index: `y[…] = weight[x[…]]`.
 *
 * Shapes: `x: S` of i32 or u32 `→ […S, Features]`, `weight: [Count, Features]`. Trace the indices to train the table.
 * Init: N(0, 1).  Throws: `ShapeError` for an index out of range.
 * Torch: `nn.Embedding(count, features)`.
 * @example embedding(1000, 64).forward(tensor([3, 1, 4], { dtype: 'i32' })) // [3, 64]
 */
export const embedding = ((count: number, features: number, options: { dtype?: FloatDType } = {}) => {
  requireOptions('embedding', options, ['dtype'])
  return new Embedding(count, features, options.dtype ?? 'f32')
}) as unknown as EmbeddingFactory
