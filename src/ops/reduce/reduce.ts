import type { DType } from '../../shapes/dtype.js'
import { DTypeError } from '../../shapes/errors.js'
import { type Expr, input } from '../../kernels/expr.js'
import type { Combine, ReduceKernel } from '../../kernels/kernel.js'
import { emptyTensor, type TensorRecord } from '../../tensor/record.js'
import { compacted } from '../define.js'
import { forDType } from '../expressions.js'

const element = forDType((dtype) => input(0, dtype))

/** Combines `expr` of the tensors (slot i = tensors[i], one shape) over `axes`, which are removed. On no tape. */
export function reduceTensors(
  combine: Combine,
  tensors: readonly [TensorRecord, ...TensorRecord[]],
  axes: readonly number[],
  expr: Expr = element(tensors[0].dtype),
  scalars: readonly number[] = [],
): TensorRecord {
  const { shape, device } = tensors[0]
  const kept = shape.filter((_, axis) => !axes.includes(axis))
  const dtype: DType = combine === 'argmax' || combine === 'argmin' ? 'i32' : expr.dtype
  const result = emptyTensor(device, dtype, kept)
  const { used, compact } = compacted(expr)
  const read = used.map((slot) => tensors[slot]).filter((t) => t !== undefined)
  const kernel: ReduceKernel = {
    kind: 'reduce',
    combine,
    shape,
    axes: [...axes].sort((a, b) => a - b),
    inputs: read.map((t) => t.operand()),
    expr: compact,
    output: result.operand(),
  }
  device.run(kernel, [...read.map((t) => t.storage), result.storage], scalars)
  return result
}

/** Throws unless `x` holds floats. */
export function requireFloat(op: string, x: TensorRecord): void {
  if (x.dtype === 'f32' || x.dtype === 'f64') return
  throw new DTypeError(`${op}: is not defined for ${x.dtype}; convert with .to('f32').`, { op })
}
