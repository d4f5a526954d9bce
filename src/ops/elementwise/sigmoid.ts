import { defineOp, type Unary } from '../define.js'

/**
 * Logistic function: `y = 1 / (1 + e⁻ˣ)`, in (0, 1); never overflows to NaN.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = y · (1 − y) · dy`.
 * Throws: `DTypeError` on other than floats.
 * Torch: `x.sigmoid()`.
 * @example sigmoid(tensor([0, 2])) // [0.5, 0.8808]
 */
export const sigmoid = defineOp<Unary>({
  name: 'sigmoid',
  forward: (x) => x.neg().exp().add(1).recip(),
  vjp: [(dy, _, y) => dy.mul(y.mul(y.neg().add(1)))],
})
