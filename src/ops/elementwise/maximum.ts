import { type Binary, defineOp, type NumberDType } from '../define.js'

/**
 * The larger of two elements: `y = max(a, b)`; either side may be a number. NaN if either is NaN.
 *
 * Shapes: `a: S, b: S → S`.  Gradient: dy to the larger, half of it to each on a tie; to both where one is NaN.
 * Throws: `ShapeError` when shapes differ (broadcast with `broadcastTo`), `DTypeError`.
 * Torch: `torch.maximum(a, b)`, without implicit broadcasting.
 * @example maximum(tensor([1, 5]), tensor([3, 4])) // [3, 5]
 */
export const maximum = defineOp<Binary<NumberDType>>({
  name: 'maximum',
  dtypes: 'number',
  forward: (a, b) => a.max(b),
  vjp: [
    (dy, [a, b]) => a.eq(b).select(dy.mul(0.5), a.lt(b).select(0, dy)),
    (dy, [a, b]) => a.eq(b).select(dy.mul(0.5), a.gt(b).select(0, dy)),
  ],
})
