import { type Comparison, defineOp } from '../define.js'

/**
 * Whether a is greater than or equal to b: `y = a ≥ b` as bool; either side may be a number. Never taped; false
 * where one is NaN.
 *
 * Shapes: `a: S, b: S → S`.  Gradient: none.
 * Throws: `ShapeError` when shapes differ (broadcast with `broadcastTo`), `DTypeError` when dtypes differ.
 * Torch: `a >= b`, without implicit broadcasting.
 * @example ge(tensor([1, 2]), 2) // [0, 1]
 */
export const ge = defineOp<Comparison>({
  name: 'ge',
  dtypes: 'any',
  forward: (a, b) => a.ge(b),
  vjp: [null, null],
})
