import { type Comparison, defineOp } from '../define.js'

/**
 * Whether a is less than or equal to b: `y = a ≤ b` as bool; either side may be a number. Never taped; false
 * where one is NaN.
 *
 * Shapes: `a: S, b: S → S`.  Gradient: none.
 * Throws: `ShapeError` when shapes differ (broadcast with `broadcastTo`), `DTypeError` when dtypes differ.
 * Torch: `a <= b`, without implicit broadcasting.
 * @example le(tensor([1, 3]), 2) // [1, 0]
 */
export const le = defineOp<Comparison>({
  name: 'le',
  dtypes: 'any',
  forward: (a, b) => a.le(b),
  vjp: [null, null],
})
