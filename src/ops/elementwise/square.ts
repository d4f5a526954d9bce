import { defineOp, type NumberDType, type Unary } from '../define.js'

/**
 * Square: `y = x²`.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = 2x · dy`.
 * Throws: `DTypeError` on bool.
 * Torch: `x.square()`.
 * @example square(tensor([-3, 2])) // [9, 4]
 */
export const square = defineOp<Unary<NumberDType>>({
  name: 'square',
  dtypes: 'number',
  forward: (x) => x.square(),
  vjp: [(dy, [x]) => dy.mul(x.mul(2))],
})
