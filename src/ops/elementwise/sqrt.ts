import { defineOp, type Unary } from '../define.js'

/**
 * Square root: `y = √x`; NaN below 0.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = dy / (2y)`; infinite at 0.
 * Throws: `DTypeError` on other than floats.
 * Torch: `x.sqrt()`.
 * @example sqrt(tensor([4, 9])) // [2, 3]
 */
export const sqrt = defineOp<Unary>({
  name: 'sqrt',
  forward: (x) => x.sqrt(),
  vjp: [(dy, _, y) => dy.div(y.mul(2))],
})
