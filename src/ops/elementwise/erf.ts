import { defineOp, type Unary } from '../define.js'

/**
 * Error function: `y = 2/√π ∫₀ˣ e^(−t²) dt`.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = 2/√π · e^(−x²) · dy`.
 * Throws: `DTypeError` on other than floats.
 * Torch: `x.erf()`.
 * @example erf(tensor([0, 1])) // [0, 0.8427]
 */
export const erf = defineOp<Unary>({
  name: 'erf',
  forward: (x) => x.erf(),
  vjp: [
    (dy, [x]) =>
      dy.mul(
        x
          .square()
          .neg()
          .exp()
          .mul(2 / Math.sqrt(Math.PI)),
      ),
  ],
})
