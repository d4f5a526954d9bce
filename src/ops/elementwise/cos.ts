import { defineOp, type Unary } from '../define.js'

/**
 * Cosine, of radians: `y = cos x`, right for large arguments too.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = −sin(x) · dy`.
 * Throws: `DTypeError` on other than floats.
 * Torch: `x.cos()`.
 * @example cos(tensor([0, Math.PI])) // [1, -1]
 */
export const cos = defineOp<Unary>({
  name: 'cos',
  forward: (x) => x.cos(),
  vjp: [(dy, [x]) => dy.neg().mul(x.sin())],
})
