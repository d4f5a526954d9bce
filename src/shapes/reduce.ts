import { type Axis, type Drop, normalizeAxes } from './axes.js'
import type { Dims, Shape } from './dim.js'

/** S without the axes A (one, or a list); a scalar when A is never, which is how "no axes given" arrives. */
export type Reduce<S extends Shape, A> = [A] extends [never]
  ? []
  : A extends readonly number[]
    ? ReduceAt<S, Axis<S, A[number]>>
    : ReduceAt<S, Axis<S, A>>
type ReduceAt<S, N> = [N] extends [number] ? Drop<S, N> : Extract<N, string>

/**
 * The shape that is left when `axes` are reduced away, like the type `Reduce`; no axes given reduces all of them.
 * @throws ShapeError when there is no such axis, or one is named twice
 */
export function reduceShape(shape: Dims, axes?: number | Dims, op = 'sum'): number[] {
  const gone = normalizeAxes(shape, axes, op)
  return shape.filter((_, axis) => !gone.includes(axis))
}
