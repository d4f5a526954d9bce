import { type Axis, normalizeAxis } from './axes.js'
import type { Dims, Shape } from './dim.js'

/** The dimensions of S before the axis A. */
export type Leading<S extends Shape, A> = Axis<S, A> extends infer N ? LeadingAt<S, N> : never
type LeadingAt<S, N, O extends Shape = []> = O['length'] extends N
  ? O
  : S extends [infer H extends number, ...infer R]
    ? LeadingAt<R, N, [...O, H]>
    : number[]

/**
 * The dimensions before `axis`, like the type `Leading`.
 * @throws ShapeError when there is no such axis
 */
export function leadingShape(shape: Dims, axis: number, op?: string): number[] {
  return shape.slice(0, normalizeAxis(shape, axis, op))
}
