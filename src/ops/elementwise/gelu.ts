import type { Shape } from '../../shapes/dim.js'
import type { FloatDType } from '../../shapes/dtype.js'
import type { Expr } from '../../kernels/expr.js'
import type { Tape, Tensor } from '../../tensor/tensor.js'
import { defineOp, type Unary } from '../define.js'

/** `Φ(x)`, the standard normal's distribution function. */
const normalCdf = (x: Expr) => x.mul(Math.SQRT1_2).erf().add(1).mul(0.5)
/** `φ(x)`, its density. */
const normalPdf = (x: Expr) =>
  x
    .square()
    .mul(-0.5)
    .exp()
    .mul(1 / Math.sqrt(2 * Math.PI))

const exact = defineOp<Unary>({
  name: 'gelu',
  forward: (x) => x.mul(normalCdf(x)),
  vjp: [(dy, [x]) => dy.mul(normalCdf(x).add(x.mul(normalPdf(x))))],
})

const rate = Math.sqrt(2 / Math.PI)
const cubic = 0.044715
/** `tanh(√(2/π) · (x + 0.044715 x³))`. */
const curve = (x: Expr) => x.square().mul(cubic).add(1).mul(x).mul(rate).tanh()

const approximated = defineOp<Unary>({
  name: 'gelu',
  forward: (x) => x.mul(0.5).mul(curve(x).add(1)),
  vjp: [
    (dy, [x]) => {
      const t = curve(x)
      const slope = x
        .square()
        .mul(3 * cubic)
        .add(1)
        .mul(rate)
      const bend = x.mul(0.5).mul(t.square().neg().add(1)).mul(slope)
      // Beyond 100 the bend is 0, but x² may be infinite.
      return dy.mul(t.add(1).mul(0.5).add(x.abs().lt(100).select(bend, 0)))
    },
  ],
})

/**
 * Gaussian error linear unit: `y = x · Φ(x)` with the normal distribution function
 * `Φ(x) = ½ (1 + erf(x/√2))`; or, faster, `y = ½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = (Φ(x) + x · φ(x)) · dy` with `φ(x) = e^(−x²/2) / √(2π)`; that of the
 * approximation likewise exact.
 * Throws: `DTypeError` on other than floats.
 * Torch: `F.gelu(x, approximate='none' | 'tanh')`.
 * Paper: Hendrycks and Gimpel, "Gaussian error linear units", 2016, https://arxiv.org/abs/1606.08415
 * @example gelu(tensor([1]), { approximate: 'tanh' }) // [0.8412]
 */
export function gelu<S extends Shape, D extends FloatDType, T extends Tape = never>(
  x: Tensor<S, D, T>,
  { approximate = 'none' }: { readonly approximate?: 'none' | 'tanh' } = {},
): Tensor<S, D, T> {
  return approximate === 'tanh' ? approximated(x) : exact(x)
}
