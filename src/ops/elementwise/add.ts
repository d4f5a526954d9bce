import { type Binary, defineOp, type NumberDType } from '../define.js'

/**
 * Elementwise sum: `y = a + b`; either side may be a number.
 *
 * Shapes: `a: S, b: S → S`.  Gradient: `da = dy`, `db = dy`.
 * Throws: `ShapeError` when shapes differ (broadcast with `broadcastTo`), `DTypeError`.
 * Torch: `a + b`, without implicit broadcasting.
 * @example add(tensor([1, 2]), tensor([3, 4])) // [4, 6]
 */
export const add = defineOp<Binary<NumberDType>>({
  name: 'add',
  dtypes: 'number',
  forward: (a, b) => a.add(b),
  vjp: [(dy) => dy, (dy) => dy],
})
