import type { Shape } from '../../shapes/dim.js'
import type { FloatDType } from '../../shapes/dtype.js'
import type { Tape, Tensor } from '../../tensor/tensor.js'
import { type Binary, defineOp } from '../define.js'
import { square } from './square.js'

const power = defineOp<Binary>({
  name: 'pow',
  forward: (a, b) => a.pow(b),
  vjp: [
    (dy, [a, b]) => b.eq(0).select(0, dy.mul(b.mul(a.pow(b.sub(1))))),
    (dy, [a, b], y) =>
      a
        .eq(0)
        .and(b.ge(0))
        .select(0, dy.mul(y.mul(a.log()))),
  ],
})

/**
 * Power: `y = a^b`; either side may be a number. NaN for a negative base with a fractional exponent; `x⁰ = 1`.
 *
 * Shapes: `a: S, b: S → S`.  Gradient: `da = b · a^(b−1) · dy`, 0 where b is 0; `db = y · ln(a) · dy`,
 * 0 where a is 0 and b is not negative.
 * Throws: `ShapeError` when shapes differ (broadcast with `broadcastTo`), `DTypeError` on other than floats.
 * Torch: `a ** b`, without implicit broadcasting.
 * @example pow(tensor([2, 3]), 2) // [4, 9]
 */
export function pow<S extends Shape, D extends FloatDType, T extends Tape = never>(
  a: number,
  b: Tensor<S, D, T>,
): Tensor<S, D, T>
export function pow<S extends Shape, D extends FloatDType, T extends Tape = never, T2 extends Tape = never>(
  a: Tensor<S, D, T>,
  b: Tensor<NoInfer<S>, NoInfer<D>, T2> | number,
): Tensor<S, D, T | T2>
export function pow<S extends Shape, D extends FloatDType, T extends Tape>(
  a: Tensor<S, D, T> | number,
  b: Tensor<S, D, T> | number,
): Tensor<S, D, T> {
  if (typeof a === 'number') return power(a, b as Tensor<S, D, T>)
  return b === 2 ? square(a) : power(a, b)
}
