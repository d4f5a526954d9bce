import { defineOp, type NumberDType, type Unary } from '../define.js'

/**
 * Negation: `y = −x`.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = −dy`.
 * Throws: `DTypeError` on bool.
 * Torch: `-x`.
 * @example neg(tensor([1, -2])) // [-1, 2]
 */
export const neg = defineOp<Unary<NumberDType>>({
  name: 'neg',
  dtypes: 'number',
  forward: (x) => x.neg(),
  vjp: [(dy) => dy.neg()],
})
