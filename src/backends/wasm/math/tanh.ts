import { f32x4, v128 } from '../assembler.js'
import { expInRange } from './exp.js'
import type { MathContext, Vector } from './interface.js'
import { at, Stages } from './stages.js'

/** `tanh x = x + x³ T(x²)` below `near`: relative error 2^-27.7. */
const rest = [
  -0.3333328068256378, 0.13331405818462372, -0.05373651534318924, 0.02062816731631756, -0.0056922961957752705,
]
const near = 0.625
const signBit = -0x80000000

/**
 * `tanh x` within 1.7 ulp. ±1 at ±∞ and beyond ±9.02, NaN stays NaN, ±0 is kept.
 *
 * A polynomial near 0; further out `1 − 1 / (½ e^2a + ½)` with `a = |x|`, where the rounding of the quotient,
 * which is small against 1, hardly matters.
 */
export function emitTanh(context: MathContext, x: readonly Vector[]): readonly Vector[] {
  const stages = new Stages(context, x.length)
  const { f32, i32, mad } = context
  const a = stages.let((i) => f32x4.pmin(f32x4.abs(at(x, i)), f32(10)))
  const far = stages.let((i) => f32x4.add(at(a, i), at(a, i)))
  expInRange(stages, far, 1)
  stages.set(far, (_, far) => f32x4.sub(f32(1), f32x4.div(f32(1), f32x4.add(far, f32(0.5)))))
  const square = stages.let((i) => f32x4.mul(at(a, i), at(a, i)))
  const small = stages.polynomial(rest, square)
  stages.set(small, (i, small) => mad(f32x4.mul(small, at(square, i)), at(a, i), at(a, i)))
  stages.set(far, (i, far) => v128.bitselect(at(small, i), far, f32x4.lt(at(a, i), f32(near))))
  stages.set(far, (i, far) => v128.or(far, v128.and(at(x, i), i32(signBit))))
  stages.release(a, square, small)
  return far
}
