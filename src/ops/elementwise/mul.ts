import { type Binary, defineOp, type NumberDType } from '../define.js'

/**
 * Elementwise product: `y = a · b`; either side may be a number.
 *
 * Shapes: `a: S, b: S → S`.  Gradient: `da = dy · b`, `db = dy · a`; `mul(x, x)` gives `2x · dy`.
 * Throws: `ShapeError` when shapes differ (broadcast with `broadcastTo`), `DTypeError`.
 * Torch: `a * b`, without implicit broadcasting.
 * @example mul(tensor([1, 2]), 3) // [3, 6]
 */
export const mul = defineOp<Binary<NumberDType>>({
  name: 'mul',
  dtypes: 'number',
  forward: (a, b) => a.mul(b),
  vjp: [(dy, [, b]) => dy.mul(b), (dy, [a]) => dy.mul(a)],
})
