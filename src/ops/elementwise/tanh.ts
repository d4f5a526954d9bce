import { defineOp, type Unary } from '../define.js'

/**
 * Hyperbolic tangent: `y = tanh x`, in (−1, 1).
 *
 * Shapes: `x: S → S`.  Gradient: `dx = (1 − y²) · dy`.
 * Throws: `DTypeError` on other than floats.
 * Torch: `x.tanh()`.
 * @example tanh(tensor([0, 1])) // [0, 0.7616]
 */
export const tanh = defineOp<Unary>({
  name: 'tanh',
  forward: (x) => x.tanh(),
  vjp: [(dy, _, y) => dy.mul(y.square().neg().add(1))],
})
