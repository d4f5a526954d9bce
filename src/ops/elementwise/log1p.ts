import { defineOp, type Unary } from '../define.js'

/**
 * Natural logarithm of one plus x: `y = ln(1 + x)`, exact near 0 where `log(x + 1)` loses all digits.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = dy / (1 + x)`.
 * Throws: `DTypeError` on other than floats.
 * Torch: `x.log1p()`.
 * @example log1p(tensor([0, 1e-10])) // [0, 1e-10]
 */
export const log1p = defineOp<Unary>({
  name: 'log1p',
  forward: (x) => x.log1p(),
  vjp: [(dy, [x]) => dy.div(x.add(1))],
})
