import { defineOp, type NumberDType, type Unary } from '../define.js'

/**
 * Rectifier: `y = max(x, 0)`; NaN stays NaN.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = dy`, 0 where `x ≤ 0`.
 * Throws: `DTypeError` on bool.
 * Torch: `F.relu(x)`.
 * @example relu(tensor([-1, 2])) // [0, 2]
 */
export const relu = defineOp<Unary<NumberDType>>({
  name: 'relu',
  dtypes: 'number',
  forward: (x) => x.max(0),
  // By the output, which is ≤ 0 where x is: x need not be kept.
  vjp: [(dy, _, y) => y.le(0).select(0, dy)],
})
