import { checkShape } from '../../shapes/dim.js'
import type { FloatDType, IntDType } from '../../shapes/dtype.js'
import { operation } from '../../tensor/scope.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Shape, Tape, Tensor } from '../../tensor/tensor.js'
import { filled } from '../fill.js'
import { perRow, requireIndex, scattered } from './rows.js'

/**
 * Class numbers as rows with a single 1: `y[…, c] = 1` where `index[…] = c`, else 0. Never taped.
 *
 * Shapes: `index: S of i32 or u32 → […S, classes]`.  Gradient: none.
 * Throws: `ShapeError` when an index is not below `classes`, `DTypeError` when the indices are not integers.
 * Torch: `F.one_hot(index, classes).float()`, which gives integers.
 * @example oneHot(tensor([2, 0], { dtype: 'i32' }), 3) // [[0, 0, 1], [1, 0, 0]]
 */
export function oneHot<
  S extends Shape,
  I extends IntDType,
  C extends number,
  D extends FloatDType = 'f32',
  T extends Tape = never,
>(index: Tensor<S, I, T>, classes: C, options: { readonly dtype?: D } = {}): Tensor<[...S, C], NoInfer<D>> {
  return typed(operation(() => oneHotRecord(recordOf(index), classes, options.dtype ?? 'f32')))
}

function oneHotRecord(index: TensorRecord, classes: number, dtype: FloatDType): TensorRecord {
  const shape = [...index.shape, classes]
  checkShape('oneHot', shape)
  requireIndex('oneHot', index, index)
  const ones = filled(index.device, dtype, index.shape, 1)
  return scattered('oneHot', ones, index, perRow(shape, index.rank), shape)
}
