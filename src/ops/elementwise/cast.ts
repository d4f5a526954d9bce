import type { Shape } from '../../shapes/dim.js'
import type { DType, FloatDType } from '../../shapes/dtype.js'
import { recordOf } from '../../tensor/record.js'
import type { Tape, Tensor } from '../../tensor/tensor.js'
import { defineOp, type Unary } from '../define.js'

const caster = (dtype: DType) =>
  defineOp<Unary<DType>>({
    name: 'cast',
    dtypes: 'any',
    forward: (x) => x.cast(dtype),
    vjp: [(dy, [x]) => dy.cast(x.dtype)],
  })
const casts = { f64: caster('f64'), f32: caster('f32'), i32: caster('i32'), u32: caster('u32'), bool: caster('bool') }

/**
 * The values as another dtype; x itself when it has that dtype. Floats to integers truncate and saturate (NaN gives 0),
 * anything to bool is `≠ 0`, bool to numbers is 0 or 1, between i32 and u32 the bits are kept.
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
  type Result = Tensor<S, D2, [D2] extends [FloatDType] ? T : never>
  // The dtype of the result is the argument, which the compiler cannot connect with the table above.
  recordOf(x).device.requireDType('to', dtype)
  return (x.dtype === (dtype as DType) ? x : casts[dtype](x)) as unknown as Result
}
