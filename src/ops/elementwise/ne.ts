import { type Comparison, defineOp } from '../define.js'

/**
 * Whether a is not equal to b: `y = a ≠ b` as bool; either side may be a number. Never taped; true where one is NaN.
 *
 * Shapes: `a: S, b: S → S`.  Gradient: none.
 * Throws: `ShapeError` when shapes differ (broadcast with `broadcastTo`), `DTypeError` when dtypes differ.
 * Torch: `a != b`, without implicit broadcasting.
 * @example ne(tensor([1, 2]), 2) // [1, 0]
 */
export const ne = defineOp<Comparison>({
  name: 'ne',
  dtypes: 'any',
  forward: (a, b) => a.ne(b),
  vjp: [null, null],
})
