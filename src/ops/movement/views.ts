import { contiguousStrides } from '../../shapes/strides.js'
import { input } from '../../kernels/expr.js'
import type { TensorRecord } from '../../tensor/record.js'
import { mapTensors } from '../define.js'

/** Layout changes without a tape: what movement ops and gradients are made of. None of them copies, but `packed`. */

/** The axes in another order. */
export function transposed(x: TensorRecord, axes: readonly number[]): TensorRecord {
  return x.view({ shape: axes.map((axis) => x.shape[axis] ?? 1), strides: axes.map((axis) => x.strides[axis] ?? 0) })
}

/** The last two axes exchanged. */
export function matrixTransposed(x: TensorRecord): TensorRecord {
  const axes = x.shape.map((_, axis) => axis)
  return transposed(x, [...axes.slice(0, -2), x.rank - 1, x.rank - 2])
}

/** The same elements row-major without gaps: `x` itself, or a copy. */
export function packed(x: TensorRecord): TensorRecord {
  return x.contiguous ? x : mapTensors(input(0, x.dtype), [x])
}

/** Another shape with the same number of elements; copies only when the layout asks for it. */
export function reshaped(x: TensorRecord, shape: readonly number[]): TensorRecord {
  return packed(x).view({ shape, strides: contiguousStrides(shape) })
}

/** Repeats along `axes` of `shape`, which `x` does not have: the adjoint of a sum over them. */
export function repeated(x: TensorRecord, shape: readonly number[], axes: readonly number[]): TensorRecord {
  let next = 0
  const strides = shape.map((_, axis) => (axes.includes(axis) ? 0 : (x.strides[next++] ?? 0)))
  return x.view({ shape, strides })
}
