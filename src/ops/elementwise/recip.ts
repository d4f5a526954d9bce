import { defineOp, type Unary } from '../define.js'

/**
 * Reciprocal: `y = 1 / x`; ±∞ at ±0.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = −y² · dy`.
 * Throws: `DTypeError` on other than floats.
 * Torch: `x.reciprocal()`.
 * @example recip(tensor([2, 4])) // [0.5, 0.25]
 */
export const recip = defineOp<Unary>({
  name: 'recip',
  forward: (x) => x.recip(),
  vjp: [(dy, _, y) => dy.neg().mul(y.square())],
})
