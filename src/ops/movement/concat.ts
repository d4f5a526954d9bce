import { normalizeAxis } from '../../shapes/axes.js'
import { type ConcatAll, concatShape } from '../../shapes/concat.js'
import { ShapeError } from '../../shapes/errors.js'
import { operation } from '../../tensor/scope.js'
import { emptyTensor, recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { AnyTensor, Arg, Res, ShapesOf, TapeOf, Tensor } from '../../tensor/tensor.js'
import { differentDTypes, requireDevice } from '../define.js'
import { record, type Value } from '../record.js'
import { copyInto, cutAxis } from './views.js'

/**
 * Tensors one after another along an axis.
 *
 * Shapes: `[…, A, …], […, B, …], … → […, A + B + …, …]`.  Gradient: each tensor gets its part of dy.
 * Throws: `ShapeError` when sizes outside the axis differ or no tensors are given, `DTypeError` when dtypes differ.
 * Torch: `torch.cat(tensors, axis)`, which mixes dtypes.
 * @example concat([tensor([1, 2]), tensor([3])], 0) // [1, 2, 3]
 */
export function concat<const Xs extends readonly AnyTensor[], const A extends number>(
  tensors: Arg<ConcatAll<ShapesOf<Xs>, A>, Xs>,
  axis: A,
): Res<ConcatAll<ShapesOf<Xs>, A>, DTypeOfTensor<Xs[number]>, TapeOf<Xs[number]>> {
  return typed(concatRecord((tensors as readonly unknown[]).map(recordOf), axis))
}

/** The dtype of X, a tensor or a union of tensors. */
type DTypeOfTensor<X> = X extends Tensor<infer _S, infer D, infer _T> ? D : never

/** The run time of `concat`. */
export function concatRecord(tensors: readonly TensorRecord[], axis: number): TensorRecord {
  return operation(() => joined(tensors, axis))
}

function joined(tensors: readonly TensorRecord[], axis: number): TensorRecord {
  const shape = concatShape(
    tensors.map((t) => t.shape),
    axis,
  )
  const first = requireAlike('concat', tensors)
  const at = normalizeAxis(shape, axis, 'concat')
  const output = emptyTensor(first.device, first.dtype, shape)
  let start = 0
  const parts = tensors.map((t) => {
    const size = t.shape[at] ?? 0
    const part = { start, size }
    copyInto(cutAxis(output, at, start, size), t)
    start += size
    return part
  })
  const vjps = parts.map((part) => (dy: Value) => typed<Value>(cutAxis(recordOf(dy), at, part.start, part.size)))
  return record('concat', output, tensors, vjps)
}

/** The first of tensors that are on one device and have one dtype. */
export function requireAlike(op: string, tensors: readonly TensorRecord[]): TensorRecord {
  const [first, ...others] = tensors
  if (!first) throw new ShapeError(`${op}: no tensors given; give one or more.`, { op })
  for (const other of others) {
    requireDevice(op, first, other)
    if (first.dtype === other.dtype) continue
    throw differentDTypes(op, first.dtype, other.dtype)
  }
  return first
}
