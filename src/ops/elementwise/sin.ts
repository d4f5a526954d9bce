import { defineOp, type Unary } from '../define.js'

/**
 * Sine, of radians: `y = sin x`, right for large arguments too.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = cos(x) · dy`.
 * Throws: `DTypeError` on other than floats.
 * Torch: `x.sin()`.
 * @example sin(tensor([0, Math.PI / 2])) // [0, 1]
 */
export const sin = defineOp<Unary>({
  name: 'sin',
  forward: (x) => x.sin(),
  vjp: [(dy, [x]) => dy.mul(x.cos())],
})
