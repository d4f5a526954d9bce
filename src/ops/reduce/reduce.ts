import { arithmeticOf, type DType, isFloat, isHalf } from '../../shapes/dtype.js'
import { DTypeError } from '../../shapes/errors.js'
import { type Expr, input } from '../../kernels/expr.js'
import type { Combine, ReduceKernel } from '../../kernels/kernel.js'
import { emptyTensor, type TensorRecord } from '../../tensor/record.js'
import { compacted, mapTensors } from '../define.js'
import { forDType } from '../expressions.js'

const element = forDType((dtype) => input(0, dtype))
const narrowed = forDType((dtype) => input(0, arithmeticOf(dtype)).cast(dtype))

/**
 * Combines `expr` of the tensors (slot i = tensors[i], one shape) over `axes`, which are removed; f16 and bf16 in f32, the
 * result rounded. On no tape.
 */
export function reduceTensors(
  combine: Combine,
  tensors: readonly [TensorRecord, ...TensorRecord[]],
  axes: readonly number[],
  expr: Expr = element(tensors[0].dtype),
  scalars: readonly number[] = [],
): TensorRecord {
  const { shape, device } = tensors[0]
  if (isHalf(expr.dtype)) {
    const result = reduceTensors(combine, tensors, axes, expr.cast('f32'), scalars)
    return result.dtype === 'f32' ? mapTensors(narrowed(expr.dtype), [result]) : result
  }
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
  if (isFloat(x.dtype)) return
  throw new DTypeError(`${op}: is not defined for ${x.dtype}; convert with .to('f32').`, { op })
}
