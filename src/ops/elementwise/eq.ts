import { type Comparison, defineOp } from '../define.js'

/**
 * Whether a is equal to b: `y = a = b` as bool; either side may be a number. Never taped; false where one is NaN.
 *
 * Shapes: `a: S, b: S → S`.  Gradient: none.
 * Throws: `ShapeError` when shapes differ (broadcast with `broadcastTo`), `DTypeError` when dtypes differ.
 * Torch: `a == b`, without implicit broadcasting.
 * @example eq(tensor([1, 2]), 2) // [0, 1]
 */
export const eq = defineOp<Comparison>({
  name: 'eq',
  dtypes: 'any',
  forward: (a, b) => a.eq(b),
  vjp: [null, null],
})
