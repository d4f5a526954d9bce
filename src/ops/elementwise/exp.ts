import { defineOp, type Unary } from '../define.js'

/**
 * Exponential: `y = eˣ`.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = dy · y`.
 * Throws: `DTypeError` on other than floats.
 * Torch: `x.exp()`.
 * @example exp(tensor([0, 1])) // [1, 2.7183]
 */
export const exp = defineOp<Unary>({
  name: 'exp',
  forward: (x) => x.exp(),
  vjp: [(dy, _, y) => dy.mul(y)],
})
