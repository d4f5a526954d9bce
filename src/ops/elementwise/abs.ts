import { defineOp, type NumberDType, type Unary } from '../define.js'

/**
 * Absolute value: `y = |x|`.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = sign(x) · dy`, 0 at 0 and where x is NaN.
 * Throws: `DTypeError` on bool.
 * Torch: `x.abs()`.
 * @example abs(tensor([-3, 2])) // [3, 2]
 */
export const abs = defineOp<Unary<NumberDType>>({
  name: 'abs',
  dtypes: 'number',
  forward: (x) => x.abs(),
  vjp: [(dy, [x]) => x.gt(0).select(dy, x.lt(0).select(dy.neg(), 0))],
})
