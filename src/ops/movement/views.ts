import { contiguousStrides } from '../../shapes/strides.js'
import { input } from '../../kernels/expr.js'
import type { TensorRecord } from '../../tensor/record.js'
import { mapInto, mapTensors } from '../define.js'
import { forDType } from '../expressions.js'
import { filled } from '../fill.js'

const copy = forDType((dtype) => input(0, dtype))

/** Layout changes without a tape: what movement ops and gradients are made of. Only those that say so copy. */

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
  return x.contiguous ? x : mapTensors(copy(x.dtype), [x])
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

/** The part of `x` that starts at `starts` and has `shape`. */
export function cut(x: TensorRecord, starts: readonly number[], shape: readonly number[]): TensorRecord {
  const offset = starts.reduce((sum, start, axis) => sum + start * (x.strides[axis] ?? 0), x.offset)
  return x.view({ shape, offset: shape.includes(0) ? x.offset : offset })
}

/** The part of one axis from `start` on that has `size` elements. */
export function cutAxis(x: TensorRecord, axis: number, start: number, size: number): TensorRecord {
  const starts = x.shape.map((_, i) => (i === axis ? start : 0))
  return cut(
    x,
    starts,
    x.shape.map((all, i) => (i === axis ? size : all)),
  )
}

/** Without an axis, at one index of it. */
export function picked(x: TensorRecord, axis: number, index: number): TensorRecord {
  const others = (_: number, i: number) => i !== axis
  const offset = x.offset + index * (x.strides[axis] ?? 0)
  return x.view({ shape: x.shape.filter(others), strides: x.strides.filter(others), offset })
}

/** Copies `x` into `target`, a view of the same shape. */
export function copyInto(target: TensorRecord, x: TensorRecord): void {
  mapInto(target, copy(x.dtype), [x])
}

/** A copy of `x` from `starts` on in a larger shape that holds `value` elsewhere. */
export function padded(x: TensorRecord, starts: readonly number[], shape: readonly number[], value = 0): TensorRecord {
  const output = filled(x.device, x.dtype, shape, value)
  copyInto(cut(output, starts, x.shape), x)
  return output
}
