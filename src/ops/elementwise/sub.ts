import { type Binary, defineOp, type NumberDType } from '../define.js'

/**
 * Elementwise difference: `y = a − b`; either side may be a number.
 *
 * Shapes: `a: S, b: S → S`.  Gradient: `da = dy`, `db = −dy`.
 * Throws: `ShapeError` when shapes differ (broadcast with `broadcastTo`), `DTypeError`.
 * Torch: `a - b`, without implicit broadcasting.
 * @example sub(1, tensor([3, 4])) // [-2, -3]
 */
export const sub = defineOp<Binary<NumberDType>>({
  name: 'sub',
  dtypes: 'number',
  forward: (a, b) => a.sub(b),
  vjp: [(dy) => dy, (dy) => dy.neg()],
})
