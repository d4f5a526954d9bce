import { contiguousStrides } from '../../shapes/strides.js'
import type { DType } from '../../shapes/dtype.js'
import { type Expr, input } from '../../kernels/expr.js'
import type { Combine } from '../../kernels/kernel.js'
import { emptyTensor, type TensorRecord } from '../../tensor/record.js'

/** Combines `expr` of the tensors (slot i = tensors[i], one shape) over `axes`, which are removed. On no tape. */
export function reduceTensors(
  combine: Combine,
  tensors: readonly [TensorRecord, ...TensorRecord[]],
  axes: readonly number[],
  expr: Expr = input(0, tensors[0].dtype),
): TensorRecord {
  const { shape, device } = tensors[0]
  const kept = shape.filter((_, axis) => !axes.includes(axis))
  const dtype: DType = combine === 'argmax' || combine === 'argmin' ? 'i32' : expr.dtype
  const result = emptyTensor(device, dtype, kept)
  const output = result.operand(contiguousStrides(kept))
  const ascending = [...axes].sort((a, b) => a - b)
  const inputs = tensors.map((t) => t.operand())
  const kernel = { kind: 'reduce', combine, shape, axes: ascending, inputs, expr, output } as const
  device.run(kernel, [...tensors.map((t) => t.storage), result.storage])
  return result
}
