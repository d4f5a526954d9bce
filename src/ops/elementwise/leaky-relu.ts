import type { Shape } from '../../shapes/dim.js'
import type { FloatDType } from '../../shapes/dtype.js'
import type { Tape, Tensor } from '../../tensor/tensor.js'
import { defineOp } from '../define.js'

type Sloped = <S extends Shape, D extends FloatDType, T extends Tape>(
  x: Tensor<S, D, T>,
  slope: number,
) => Tensor<S, D, T>

const sloped = defineOp<Sloped>({
  name: 'leakyRelu',
  forward: (x, slope) => x.gt(0).select(x, x.mul(slope)),
  vjp: [(dy, [x, slope]) => x.gt(0).select(dy, dy.mul(slope))],
})

/**
 * Leaky rectifier: `y = x` where `x > 0`, else `slope · x`.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = dy` where `x > 0`, else `slope · dy` (slope at 0).
 * Throws: `DTypeError` on other than floats.
 * Torch: `F.leaky_relu(x, slope)`.
 * @example leakyRelu(tensor([-1, 2])) // [-0.01, 2]
 */
export function leakyRelu<S extends Shape, D extends FloatDType, T extends Tape = never>(
  x: Tensor<S, D, T>,
  slope = 0.01,
): Tensor<S, D, T> {
  return sloped(x, slope)
}
