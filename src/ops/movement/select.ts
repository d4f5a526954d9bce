import { type Ax, normalizeAxis } from '../../shapes/axes.js'
import { sameShape, showShape } from '../../shapes/dim.js'
import type { DType } from '../../shapes/dtype.js'
import { ShapeError } from '../../shapes/errors.js'
import type { Reduce } from '../../shapes/reduce.js'
import { type Leading, leadingShape } from '../../shapes/select.js'
import { operation } from '../../tensor/scope.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Res, Shape, Tape, Tensor } from '../../tensor/tensor.js'
import { gathered, perRow, requireIndex, scattered } from '../index/rows.js'
import { record, type Value } from '../record.js'
import { padded, picked } from './views.js'

/**
 * The part at one index of an axis, which is removed. With a number: the same index everywhere, as a view; a negative one
 * counts from the end. With a tensor of indices, one for each position of the axes before: `y[b, …] = x[b, index[b], …]`.
 *
 * Shapes: `x: S → S without the axis`, `index: the sizes of S before the axis`.
 * Gradient: `dx = dy` in its place, 0 elsewhere.
 * Throws: `ShapeError` when there is no such axis or index, or the indices do not fit.
 * Torch: `x.select(axis, index)`; with a tensor `x.take_along_dim(index[..., None], axis).squeeze(axis)` (last axis).
 * @example select(tensor([[1, 2], [3, 4]]), 1, tensor([1, 0], { dtype: 'i32' })) // [2, 3]
 */
export function select<S extends Shape, D extends DType, T extends Tape, const A extends Ax<S>>(
  x: Tensor<S, D, T>,
  axis: A,
  index: number | Tensor<Leading<S, A>, 'i32'> | Tensor<Leading<S, A>, 'u32'>,
): Res<Reduce<S, A>, D, T> {
  const source = recordOf(x)
  const at = normalizeAxis(source.shape, axis, 'select')
  return typed(
    operation(() =>
      typeof index === 'number' ? selectOne(source, at, index) : selectEach(source, at, recordOf(index)),
    ),
  )
}

function selectOne(x: TensorRecord, axis: number, index: number): TensorRecord {
  const size = x.shape[axis] ?? 0
  if (!Number.isInteger(index) || index < -size || index >= size) {
    const range = size === 0 ? 'the axis is empty' : `use ${-size} to ${size - 1}`
    const message = `select: index ${index} is out of range for axis ${axis} of ${showShape(x.shape)}; ${range}.`
    throw new ShapeError(message, { op: 'select', shapes: [x.shape] })
  }
  const at = index < 0 ? index + size : index
  const starts = x.shape.map((_, i) => (i === axis ? at : 0))
  const back = (dy: Value) => {
    const gradient = recordOf(dy)
    const strides = [...gradient.strides.slice(0, axis), 0, ...gradient.strides.slice(axis)]
    const shape = x.shape.map((all, i) => (i === axis ? 1 : all))
    return typed<Value>(padded(gradient.view({ shape, strides }), starts, x.shape))
  }
  return record('select', picked(x, axis, at), [x], [back])
}

function selectEach(x: TensorRecord, axis: number, index: TensorRecord): TensorRecord {
  requireIndex('select', x, index)
  const leading = leadingShape(x.shape, axis)
  if (!sameShape(leading, index.shape)) {
    const remedy = `one index is needed for each position before axis ${axis}, shape ${showShape(leading)}`
    const message = `select: indices of shape ${showShape(index.shape)} do not fit ${showShape(x.shape)}; ${remedy}.`
    throw new ShapeError(message, { op: 'select', shapes: [x.shape, index.shape] })
  }
  const rows = perRow(x.shape, axis)
  const output = gathered('select', x, index, rows, [...leading, ...x.shape.slice(axis + 1)])
  return record(
    'select',
    output,
    [x, index],
    [(dy) => typed<Value>(scattered('select', recordOf(dy), index, rows, x.shape)), undefined],
  )
}
