import { type Comparison, defineOp } from '../define.js'

/**
 * Whether a is less than b: `y = a < b` as bool; either side may be a number. Never taped; false where one is NaN.
 *
 * Shapes: `a: S, b: S → S`.  Gradient: none.
 * Throws: `ShapeError` when shapes differ (broadcast with `broadcastTo`), `DTypeError` when dtypes differ.
 * Torch: `a < b`, without implicit broadcasting.
 * @example lt(tensor([1, 2]), 2) // [1, 0]
 */
export const lt = defineOp<Comparison>({
  name: 'lt',
  dtypes: 'any',
  forward: (a, b) => a.lt(b),
  vjp: [null, null],
})
