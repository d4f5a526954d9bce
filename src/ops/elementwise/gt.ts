import { type Comparison, defineOp } from '../define.js'

/**
 * Whether a is greater than b: `y = a > b` as bool; either side may be a number. Never taped; false where one is NaN.
 *
 * Shapes: `a: S, b: S → S`.  Gradient: none.
 * Throws: `ShapeError` when shapes differ (broadcast with `broadcastTo`), `DTypeError` when dtypes differ.
 * Torch: `a > b`, without implicit broadcasting.
 * @example gt(tensor([1, 3]), 2) // [0, 1]
 */
export const gt = defineOp<Comparison>({
  name: 'gt',
  dtypes: 'any',
  forward: (a, b) => a.gt(b),
  vjp: [null, null],
})
