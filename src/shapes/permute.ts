import type { Index } from './axes.js'
import { type Dims, type Shape, type Show, showShape, type UnlessOpen } from './dim.js'
import { ShapeError } from './errors.js'

/** The sizes of S in the order of the axes P, which count from the front, or a message. */
export type Permute<S extends Shape, P extends Shape> = P['length'] extends S['length']
  ? [Exclude<Index<S>, P[number]>] extends [never]
    ? number extends S['length']
      ? number[]
      : { -readonly [K in keyof P]: SizeAt<S, P[K]> }
    : UnlessOpen<S, `permute: axes ${Show<P>} are not a permutation for shape ${Show<S>}`>
  : UnlessOpen<P, `permute: ${P['length']} axes given for shape ${Show<S>}`>
type SizeAt<S, I> = I extends keyof S ? (S[I] extends infer N extends number ? N : never) : never

/**
 * The sizes in the order of `axes`, like the type `Permute`.
 * @throws ShapeError when `axes` does not name every axis once, counted from the front
 */
export function permuteShape(shape: Dims, axes: Dims): number[] {
  if (axes.length !== shape.length) {
    throw new ShapeError(
      `permute: ${axes.length} axes given for shape ${showShape(shape)}; name every axis once, counted from 0`,
      { op: 'permute', shapes: [shape] },
    )
  }
  return axes.map((axis, i) => {
    const size = shape[axis]
    if (size === undefined || axes.indexOf(axis) !== i) {
      throw new ShapeError(
        `permute: axes ${showShape(axes)} are not a permutation for shape ${showShape(shape)}; ` +
          'name every axis once, counted from 0',
        { op: 'permute', shapes: [shape] },
      )
    }
    return size
  })
}
