import { normalizeAxis } from '../../shapes/axes.js'
import { type NewAx, type Stack, stackShape } from '../../shapes/concat.js'
import { operation } from '../../tensor/scope.js'
import { emptyTensor, recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { DType } from '../../shapes/dtype.js'
import type { Res, Shape, Tape, Tensor } from '../../tensor/tensor.js'
import { record, type Value } from '../record.js'
import { requireAlike } from './concat.js'
import { copyInto, picked } from './views.js'

/**
 * Tensors of one shape side by side along a new axis (default: the first).
 *
 * Shapes: `N times S → S` with N put in at the axis.  Gradient: each tensor gets its part of dy.
 * Throws: `ShapeError` when shapes differ, none are given or the rank would exceed 6, `DTypeError` when dtypes differ.
 * Torch: `torch.stack(tensors, axis)`.
 * @example stack([tensor([1, 2]), tensor([3, 4])], 1) // [[1, 3], [2, 4]]
 */
export function stack<
  S extends Shape,
  D extends DType,
  T extends Tape,
  const Xs extends readonly Tensor<S, D, T>[],
  const A extends NewAx<S> = 0,
>(tensors: Xs & readonly Tensor<S, D, T>[], axis?: A): Res<Stack<S, Xs['length'], A>, D, T> {
  return typed(operation(() => stackRecord(tensors.map(recordOf), axis)))
}

function stackRecord(tensors: readonly TensorRecord[], axis = 0): TensorRecord {
  const shape = stackShape(
    tensors.map((t) => t.shape),
    axis,
  )
  const first = requireAlike('stack', tensors)
  const at = normalizeAxis(shape, axis, 'stack')
  const output = emptyTensor(first.device, first.dtype, shape)
  for (const [i, t] of tensors.entries()) copyInto(picked(output, at, i), t)
  const vjps = tensors.map((_, i) => (dy: Value) => typed<Value>(picked(recordOf(dy), at, i)))
  return record('stack', output, tensors, vjps)
}
