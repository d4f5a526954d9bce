import { defineOp, type Unary } from '../define.js'

/**
 * Natural logarithm: `y = ln x`; −∞ at 0, NaN below.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = dy / x`.
 * Throws: `DTypeError` on other than floats.
 * Torch: `x.log()`.
 * @example log(tensor([1, Math.E])) // [0, 1]
 */
export const log = defineOp<Unary>({
  name: 'log',
  forward: (x) => x.log(),
  vjp: [(dy, [x]) => dy.div(x)],
})
