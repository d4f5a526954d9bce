import { f32x4, v128 } from '../assembler.js'
import { expInRange } from './exp.js'
import type { MathContext, Vector } from './interface.js'
import { at, Stages } from './stages.js'

/** `erf x = x + x E(x²)` below 1: relative error 2^-29.4. */
const small = [
  0.12837916612625122, -0.3761262595653534, 0.11283578723669052, -0.026853347197175026, 0.005187162198126316,
  -0.0007997853099368513, 7.806903158780187e-5,
]
/** `erf a = 1 − e^(−a Q(a))` from 1 to 3.95: relative error 2^-28.5. */
const large = [
  1.1284854412078857, 0.6358139514923096, 0.1051383689045906, -0.02281223051249981, 0.003191107651218772,
  -0.0002111338690156117,
]
const signBit = -0x80000000

/** `erf x = 2/√π ∫₀ˣ e^(−t²) dt` within 1.4 ulp. ±1 at ±∞ and beyond ±3.92, NaN stays NaN, ±0 is kept. */
export function emitErf(context: MathContext, x: readonly Vector[]): readonly Vector[] {
  const stages = new Stages(context, x.length)
  const { f32, i32, mad } = context
  const a = stages.let((i) => f32x4.pmin(f32x4.abs(at(x, i)), f32(4)))
  const far = stages.polynomial(large, a)
  stages.set(far, (i, far) => f32x4.neg(f32x4.mul(far, at(a, i))))
  expInRange(stages, far)
  stages.set(far, (i, far) => v128.or(f32x4.sub(f32(1), far), v128.and(at(x, i), i32(signBit))))
  const square = stages.let((i) => f32x4.mul(at(a, i), at(a, i)))
  const near = stages.polynomial(small, square)
  stages.set(near, (i, near) => mad(near, at(x, i), at(x, i)))
  stages.set(far, (i, far) => v128.bitselect(at(near, i), far, f32x4.lt(at(a, i), f32(1))))
  stages.release(a, square, near)
  return far
}
