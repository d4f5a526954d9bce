import type { Shape } from '../../shapes/dim.js'
import type { FloatDType } from '../../shapes/dtype.js'
import type { Tape, Tensor } from '../../tensor/tensor.js'
import { defineOp } from '../define.js'

type Test = <S extends Shape, D extends FloatDType, T extends Tape = never>(x: Tensor<S, D, T>) => Tensor<S, 'bool'>

/**
 * Whether an element is NaN, as bool. Never taped.
 *
 * Shapes: `x: S → S`.  Gradient: none.
 * Throws: `DTypeError` on other than floats.
 * Torch: `x.isnan()`.
 * @example isNan(tensor([1, NaN])) // [0, 1]
 */
export const isNan = defineOp<Test>({
  name: 'isNan',
  forward: (x) => x.isNaN(),
  vjp: [null],
})
