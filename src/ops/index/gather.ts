import { type Ax, normalizeAxis } from '../../shapes/axes.js'
import { sameShape, showShape } from '../../shapes/dim.js'
import type { DType, IntDType } from '../../shapes/dtype.js'
import { DTypeError, ShapeError } from '../../shapes/errors.js'
import { type Gather, gatherShape } from '../../shapes/gather.js'
import { operation } from '../../tensor/scope.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Entry } from '../../tensor/tape.js'
import type { Arg, Res, Shape, Tape, Tensor } from '../../tensor/tensor.js'
import { mapTensors, type NumberDType, requireDevice } from '../define.js'
import { forDType, operands } from '../expressions.js'
import { record, type Value } from '../record.js'
import { along, gathered, requireIndex, scatterInto, scattered } from './rows.js'

/**
 * The parts at the given indices of an axis, in their order: `y[a, i, b] = x[a, index[i], b]`. Indices may repeat.
 *
 * Shapes: `x: S, index: I → S` with the axis replaced by I.
 * Gradient: dy added up where it came from: the adjoint is `scatterAdd`.
 * Throws: `ShapeError` when there is no such axis or index, `DTypeError` when the indices are not integers.
 * Torch: `x.index_select(axis, index)` for one list of indices; `torch.gather` is `select` with a tensor.
 * @example gather(tensor([[1, 2], [3, 4]]), 0, tensor([1, 1, 0], { dtype: 'i32' })) // [[3, 4], [3, 4], [1, 2]]
 */
export function gather<
  S extends Shape,
  D extends DType,
  T extends Tape,
  const A extends Ax<S>,
  SI extends Shape,
  DI extends IntDType,
>(x: Tensor<S, D, T>, axis: A, index: Tensor<SI, DI>): Res<Gather<S, A, SI>, D, T> {
  return typed(operation(() => gatherRecord('gather', recordOf(x), axis, recordOf(index))))
}

/** The run time of `gather`, under the name of the op that uses it; `asRows` is what its gradient is without a tensor. */
export function gatherRecord(
  op: string,
  x: TensorRecord,
  axis: number,
  index: TensorRecord,
  asRows?: Entry['rows'],
): TensorRecord {
  requireIndex(op, x, index)
  const shape = gatherShape(x.shape, axis, index.shape, op)
  const rows = along(x.shape, normalizeAxis(x.shape, axis, op), index.size)
  const output = gathered(op, x, index, rows, shape)
  return record(
    op,
    output,
    [x, index],
    [(dy) => typed<Value>(scattered(op, recordOf(dy), index, rows, x.shape)), undefined],
    asRows,
  )
}

const copy = forDType((dtype) => operands(dtype)[0])

/**
 * Adds parts to the given indices of an axis: `y = x`, then `y[a, index[i], b] += source[a, i, b]`, i ascending.
 * Indices may repeat. x itself is not changed.
 *
 * Shapes: `x: S, index: I, source: S with the axis replaced by I → S`.
 * Gradient: `dx = dy`, `dsource` the parts of dy at the indices: the adjoint is `gather`.
 * Throws: `ShapeError` when there is no such axis or index or the source does not fit, `DTypeError`.
 * Torch: `x.index_add(axis, index, source)` for one list of indices.
 * @example scatterAdd(zeros([3]), 0, tensor([2, 2], { dtype: 'i32' }), tensor([1, 5])) // [0, 0, 6]
 */
export function scatterAdd<
  S extends Shape,
  D extends NumberDType,
  T extends Tape,
  const A extends Ax<S>,
  SI extends Shape,
  DI extends IntDType,
  S2 extends Shape,
  T2 extends Tape,
>(
  x: Tensor<S, D, T>,
  axis: A,
  index: Tensor<SI, DI>,
  source: Arg<Fitting<Gather<S, A, SI>, S2>, Tensor<S2, NoInfer<D>, T2>>,
): Tensor<S, D, T | T2> {
  return typed(operation(() => scatterRecord(recordOf(x), axis, recordOf(index), recordOf(source))))
}

type Fitting<Expected, S2> = Expected extends string
  ? Expected
  : [Expected, S2] extends [S2, Expected]
    ? S2
    : `scatterAdd: the source must have the shape of x with the axis replaced by the indices`

function scatterRecord(x: TensorRecord, axis: number, index: TensorRecord, source: TensorRecord): TensorRecord {
  requireIndex('scatterAdd', x, index)
  requireDevice('scatterAdd', x, source)
  const expected = gatherShape(x.shape, axis, index.shape, 'scatterAdd')
  if (!sameShape(expected, source.shape)) {
    const message = `scatterAdd: the source must have shape ${showShape(expected)}, x's with axis ${axis} replaced by the indices, got ${showShape(source.shape)}; reshape or permute it.`
    throw new ShapeError(message, { op: 'scatterAdd', shapes: [x.shape, index.shape, source.shape] })
  }
  if (x.dtype !== source.dtype || x.dtype === 'bool') {
    const message = `scatterAdd: needs x and source of one dtype that adds, got ${x.dtype} and ${source.dtype}; convert with .to('f32').`
    throw new DTypeError(message, { op: 'scatterAdd' })
  }
  const rows = along(x.shape, normalizeAxis(x.shape, axis), index.size)
  const output = mapTensors(copy(x.dtype), [x])
  scatterInto('scatterAdd', output, source, index, rows)
  return record(
    'scatterAdd',
    output,
    [x, source, index],
    [(dy) => dy, (dy) => typed<Value>(gathered('scatterAdd', recordOf(dy), index, rows, source.shape)), undefined],
  )
}
