import type { Product } from './arithmetic.js'
import { type Dims, type Shape, type Show, showShape } from './dim.js'
import { ShapeError } from './errors.js'
import { sizeOf } from './strides.js'

/**
 * S with all dimensions from number A on merged into one; the A before it are kept. A shape that ends there is
 * unchanged, and a scalar becomes [1].
 */
export type Flatten<S, A extends number = 1, O extends Shape = []> = O['length'] extends A
  ? S extends []
    ? O extends []
      ? [1]
      : O
    : number extends A
      ? number[]
      : Product<S> extends infer P extends number
        ? [...O, P]
        : never
  : S extends [infer H extends number, ...infer R]
    ? Flatten<R, A, [...O, H]>
    : S extends []
      ? O extends []
        ? [1]
        : `flatten: there is no dimension ${A} in ${Show<O>}`
      : number[]

/**
 * The shape with all dimensions from number `from` on merged, like the type `Flatten`.
 * @throws ShapeError when `from` is past the shape
 */
export function flattenShape(shape: Dims, from = 1): number[] {
  if (shape.length === 0) return [1]
  if (!Number.isInteger(from) || from < 0 || from > shape.length) {
    throw new ShapeError(
      `flatten: there is no dimension ${from} in ${showShape(shape)}; it has ${shape.length} dimensions, counted from 0`,
      { op: 'flatten', shapes: [shape] },
    )
  }
  return from === shape.length ? [...shape] : [...shape.slice(0, from), sizeOf(shape.slice(from))]
}
