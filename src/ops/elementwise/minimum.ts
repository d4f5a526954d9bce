import { type Binary, defineOp, type NumberDType } from '../define.js'

/**
 * The smaller of two elements: `y = min(a, b)`; either side may be a number. NaN if either is NaN.
 *
 * Shapes: `a: S, b: S → S`.  Gradient: dy to the smaller, half of it to each on a tie; to both where one is NaN.
 * Throws: `ShapeError` when shapes differ (broadcast with `broadcastTo`), `DTypeError`.
 * Torch: `torch.minimum(a, b)`, without implicit broadcasting.
 * @example minimum(tensor([1, 5]), tensor([3, 4])) // [1, 4]
 */
export const minimum = defineOp<Binary<NumberDType>>({
  name: 'minimum',
  dtypes: 'number',
  forward: (a, b) => a.min(b),
  vjp: [
    (dy, [a, b]) => a.eq(b).select(dy.mul(0.5), a.gt(b).select(0, dy)),
    (dy, [a, b]) => a.eq(b).select(dy.mul(0.5), a.lt(b).select(0, dy)),
  ],
})
