import { type Binary, defineOp } from '../define.js'

/**
 * Elementwise quotient: `y = a / b`; either side may be a number.
 *
 * Shapes: `a: S, b: S → S`.  Gradient: `da = dy / b`, `db = −dy · y / b`.
 * Throws: `ShapeError` when shapes differ (broadcast with `broadcastTo`), `DTypeError` on other than floats.
 * Torch: `a / b`, without implicit broadcasting and on floats only.
 * @example div(1, tensor([2, 4])) // [0.5, 0.25]
 */
export const div = defineOp<Binary>({
  name: 'div',
  forward: (a, b) => a.div(b),
  vjp: [(dy, [, b]) => dy.div(b), (dy, [, b], y) => dy.neg().mul(y.div(b))],
})
