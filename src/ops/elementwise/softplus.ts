import { defineOp, type Unary } from '../define.js'

/**
 * Softplus, a smooth rectifier: `y = ln(1 + eˣ)`.
 * Computed as `max(x, 0) + log1p(e^−|x|)`: no overflow for large x, no lost digits for small.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = sigmoid(x) · dy`.
 * Throws: `DTypeError` on other than floats.
 * Torch: `F.softplus(x)` (beta = 1); its shortcut above the threshold 20 is equal within f32 rounding.
 * @example softplus(tensor([0])) // [0.6931]
 */
export const softplus = defineOp<Unary>({
  name: 'softplus',
  forward: (x) => x.max(0).add(x.abs().neg().exp().log1p()),
  vjp: [(dy, [x]) => dy.div(x.neg().exp().add(1))],
})
