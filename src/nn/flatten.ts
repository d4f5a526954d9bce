import { flatten as flattenOp } from '../ops/movement/reshape.js'
import type { Value } from '../ops/record.js'
import { recordOf, typed } from '../tensor/record.js'
import type { Flatten } from './module.js'
import { Printed } from './table.js'

class FlattenLayer extends Printed {
  readonly name = 'flatten'
  forward(x: unknown): unknown {
    return flattenOp(typed<Value>(recordOf(x)))
  }
  describe(): string {
    return 'flatten()'
  }
}

/**
 * Merges all axes but the first into one.
 * Shapes: `[N, A, B, …] → [N, A·B·…]`.  Torch: `nn.Flatten()`.
 * @example sequential(flatten(), linear(784, 10))
 */
export const flatten = () => new FlattenLayer() as unknown as Flatten
