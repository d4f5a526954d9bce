import { DTypeError } from '../../shapes/errors.js'
import { sizeOf } from '../../shapes/strides.js'
import { isHalf } from '../../shapes/dtype.js'
import { input } from '../../kernels/expr.js'
import { emptyTensor, type TensorRecord } from '../../tensor/record.js'
import { mapInto, mapTensors, requireDevice } from '../define.js'
import { forDType } from '../expressions.js'
import { filled } from '../fill.js'
import { packed } from '../movement/views.js'

const widened = forDType((dtype) => input(0, dtype).cast('f32'))

/** How an indexed axis lies in its tensor: `outer` blocks of `size` rows of `inner` elements; `count` rows are taken. */
export interface Rows {
  readonly outer: number
  readonly size: number
  readonly inner: number
  readonly count: number
  /** Whether each block has indices of its own. */
  readonly perOuter: boolean
  readonly inRange?: true
}

/** The same `count` indices in each block along `axis`. */
export const along = (shape: readonly number[], axis: number, count: number): Rows => ({
  outer: sizeOf(shape.slice(0, axis)),
  size: shape[axis] ?? 0,
  inner: sizeOf(shape.slice(axis + 1)),
  count,
  perOuter: false,
})

/** One index for each position before `axis`. */
export const perRow = (shape: readonly number[], axis: number): Rows => ({ ...along(shape, axis, 1), perOuter: true })

/** Integers on x's device, else an error. */
export function requireIndex(op: string, x: TensorRecord, index: TensorRecord): void {
  requireDevice(op, x, index)
  if (index.dtype === 'i32' || index.dtype === 'u32') return
  throw new DTypeError(`${op}: indices are i32 or u32, got ${index.dtype}; convert with .to('i32').`, { op })
}

/** The indexed rows of `source`, as a new tensor of `shape`. On no tape. */
export function gathered(
  op: string,
  source: TensorRecord,
  index: TensorRecord,
  rows: Rows,
  shape: readonly number[],
): TensorRecord {
  const [from, by] = [packed(source), packed(index)]
  const output = emptyTensor(source.device, source.dtype, shape)
  const operands = { source: from.operand(), index: by.operand(), output: output.operand() }
  const kernel = { kind: 'gather', op, ...rows, ...operands } as const
  source.device.run(kernel, [from.storage, by.storage, output.storage])
  return output
}

/** Adds the rows of `source` to the indexed rows of `output`, which is row-major; f16 and bf16 in f32, rounded at the end. */
export function scatterInto(
  op: string,
  output: TensorRecord,
  source: TensorRecord,
  index: TensorRecord,
  rows: Rows,
): void {
  if (isHalf(output.dtype)) {
    const sums = mapTensors(widened(output.dtype), [output])
    scatterInto(op, sums, mapTensors(widened(source.dtype), [source]), index, rows)
    mapInto(output, input(0, 'f32').cast(output.dtype), [sums])
    return
  }
  const [from, by] = [packed(source), packed(index)]
  const operands = { source: from.operand(), index: by.operand(), output: output.operand() }
  const kernel = { kind: 'scatter', combine: 'add', op, ...rows, ...operands } as const
  output.device.run(kernel, [from.storage, by.storage, output.storage])
}

/** The adjoint of `gathered`: rows added up where they came from, 0 elsewhere. */
export function scattered(
  op: string,
  dy: TensorRecord,
  index: TensorRecord,
  rows: Rows,
  shape: readonly number[],
): TensorRecord {
  const output = filled(dy.device, dy.dtype, shape, 0)
  scatterInto(op, output, dy, index, rows)
  return output
}
