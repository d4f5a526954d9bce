import type { FloatDType, IntDType } from '../../shapes/dtype.js'
import { showShape } from '../../shapes/dim.js'
import { ShapeError } from '../../shapes/errors.js'
import { operation } from '../../tensor/scope.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Shape, Tape, Tensor } from '../../tensor/tensor.js'
import { requireFloat } from '../reduce/reduce.js'
import { gatherRecord } from './gather.js'
import { LookedUpRows } from './row-gradient.js'

/**
 * Looks up rows of a table: `y[…, e] = weight[index[…], e]`. Traced indices put the result on their tape.
 *
 * Shapes: `index: S of i32 or u32, weight: [V, E] → […S, E]`.  Gradient: `dweight[index[…]] += dy[…]`.
 * Throws: `ShapeError` when an index is not below V, `DTypeError` when the indices are not integers.
 * Torch: `F.embedding(index, weight)`.
 * @example embedding(tensor([1, 0], { dtype: 'i32' }), tensor([[1, 2], [3, 4]])) // [[3, 4], [1, 2]]
 */
export function embedding<
  S extends Shape,
  I extends IntDType,
  V extends number,
  E extends number,
  D extends FloatDType,
  T extends Tape = never,
  T2 extends Tape = never,
>(index: Tensor<S, I, T>, weight: Tensor<[V, E], D, T2>): Tensor<[...S, E], D, T | T2> {
  return typed(embeddingRecord(recordOf(index), recordOf(weight)))
}

/** The run time of `embedding`, for layers, whose types say more. */
export function embeddingRecord(index: TensorRecord, weight: TensorRecord): TensorRecord {
  requireFloat('embedding', weight)
  if (weight.rank !== 2) {
    const message = `embedding: the weight is a table [V, E], got shape ${showShape(weight.shape)}; reshape it.`
    throw new ShapeError(message, { op: 'embedding', shapes: [index.shape, weight.shape] })
  }
  const asRows = (dy: TensorRecord) => LookedUpRows.of(weight.shape, index, dy)
  return operation(() => gatherRecord('embedding', weight, 0, index, asRows))
}
