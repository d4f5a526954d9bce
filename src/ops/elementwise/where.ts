import type { Shape } from '../../shapes/dim.js'
import type { DType } from '../../shapes/dtype.js'
import type { Tape, Tensor } from '../../tensor/tensor.js'
import { defineOp } from '../define.js'

interface Where {
  <S extends Shape>(condition: Tensor<S, 'bool'>, a: number, b: number): Tensor<S>
  <S extends Shape, D extends DType, T extends Tape = never>(
    condition: Tensor<S, 'bool'>,
    a: number,
    b: Tensor<NoInfer<S>, D, T>,
  ): Tensor<S, D, T>
  <S extends Shape, D extends DType, T extends Tape = never, T2 extends Tape = never>(
    condition: Tensor<S, 'bool'>,
    a: Tensor<NoInfer<S>, D, T>,
    b: Tensor<NoInfer<S>, NoInfer<D>, T2> | number,
  ): Tensor<S, D, T | T2>
}

/**
 * Chooses between two elements: `y = condition ? a : b`; a and b may be numbers (two numbers give f32).
 * The side that is not chosen has no influence, not even as NaN.
 *
 * Shapes: `condition: S of bool, a: S, b: S → S`.  Gradient: `da = dy` where the condition holds, else 0; `db` the reverse.
 * Throws: `ShapeError` when shapes differ (broadcast with `broadcastTo`), `DTypeError`.
 * Torch: `torch.where(condition, a, b)`, without implicit broadcasting.
 * @example where(tensor([true, false]), tensor([1, 2]), 0) // [1, 0]
 */
export const where = defineOp<Where>({
  name: 'where',
  dtypes: 'any',
  condition: true,
  forward: (condition, a, b) => condition.select(a, b),
  vjp: [null, (dy, [condition]) => condition.select(dy, 0), (dy, [condition]) => condition.select(0, dy)],
})
