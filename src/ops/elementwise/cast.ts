import type { Shape } from '../../shapes/dim.js'
import { type DType, type FloatDType, isFloat } from '../../shapes/dtype.js'
import { input } from '../../kernels/expr.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Tape, Tensor } from '../../tensor/tensor.js'
import { mapTensors } from '../define.js'
import { forDType } from '../expressions.js'
import { record, type Value } from '../record.js'

const conversions = forDType((from) => forDType((to) => input(0, from).cast(to)))

/**
 * The values as another dtype; x itself when it has that dtype. Floats to integers truncate and saturate (NaN gives 0),
 * anything to bool is `≠ 0`, bool to numbers is 0 or 1, between i32 and u32 the bits are kept. To f16 and bf16 it rounds to
 * the nearest, ties to even; beyond their range is infinite.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = dy` as x's dtype, between floats; results of other dtypes are not taped.
 * Throws: `DTypeError` when the device has no such dtype.
 * Torch: `x.to(dtype)`, which leaves floats outside the integer range undefined. As a method: `x.to(dtype)`.
 * @example cast(tensor([1.9, -1.9]), 'i32') // [1, -1]
 */
export function cast<S extends Shape, D extends DType, D2 extends DType, T extends Tape = never>(
  x: Tensor<S, D, T>,
  dtype: D2,
): Tensor<S, D2, [D2] extends [FloatDType] ? T : never> {
  return typed(castRecord(recordOf(x), dtype))
}

/** The run time of `cast`. */
export function castRecord(x: TensorRecord, dtype: DType): TensorRecord {
  x.device.requireDType('to', dtype)
  if (x.dtype === dtype) return x
  const y = mapTensors(conversions(x.dtype)(dtype), [x])
  if (!isFloat(dtype)) return y
  const back = (dy: Value) => typed<Value>(castRecord(recordOf(dy), x.dtype))
  return record('cast', y, [x], [isFloat(x.dtype) ? back : undefined])
}
