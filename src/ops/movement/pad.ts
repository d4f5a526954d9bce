import type { DType } from '../../shapes/dtype.js'
import { type Pad, type Padding, padShape } from '../../shapes/pad.js'
import { operation } from '../../tensor/scope.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Arg, Res, Shape, Tape, Tensor } from '../../tensor/tensor.js'
import { record, type Value } from '../record.js'
import { cut, padded } from './views.js'

/**
 * Puts `value` (default 0) around the elements: [before, after] for each leading axis, null for none.
 *
 * Shapes: `x: S → [before₀ + S₀ + after₀, …]`.  Gradient: `dx` is the part of dy that x became.
 * Throws: `ShapeError` for a negative padding or more paddings than axes.
 * Torch: `F.pad(x, …, value=value)`, which lists the last axis first, in one flat list.
 * @example pad(tensor([1, 2]), [[1, 2]]) // [0, 1, 2, 0, 0]
 */
export function pad<S extends Shape, D extends DType, T extends Tape, const P extends readonly Padding[]>(
  x: Tensor<S, D, T>,
  paddings: Arg<Pad<S, [...P]>, P>,
  value = 0,
): Res<Pad<S, [...P]>, D, T> {
  return typed(operation(() => padRecord(recordOf(x), paddings as readonly Padding[], value)))
}

function padRecord(x: TensorRecord, paddings: readonly Padding[], value: number): TensorRecord {
  const shape = padShape(x.shape, paddings)
  const starts = x.shape.map((_, axis) => paddings[axis]?.[0] ?? 0)
  const output = padded(x, starts, shape, value)
  return record('pad', output, [x], [(dy) => typed<Value>(cut(recordOf(dy), starts, x.shape))])
}
