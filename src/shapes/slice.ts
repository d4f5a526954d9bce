import type { Lte, Sub } from './arithmetic.js'
import { type Dims, type Shape, type Show, type ShowDim, showShape, type UnlessOpen } from './dim.js'
import { ShapeError } from './errors.js'

/** What to keep of one dimension: from start up to, not including, end; null keeps all of it. */
export type Range = readonly [start: number, end: number] | null

/** The shape of S cut to the ranges R of its leading dimensions, or a message. */
export type Slice<S, R extends Range[], O extends Shape = [], S0 = S> = R extends [infer H, ...infer RR extends Range[]]
  ? S extends [infer D extends number, ...infer DR]
    ? H extends readonly [infer A extends number, infer B extends number]
      ? Lte<B, D> extends false
        ? `slice: end ${B} is past dimension ${ShowDim<D>} of ${Show<S0>}`
        : `${A}${B}` extends `${string}-${string}`
          ? `slice: range [${A}, ${B}] of ${Show<S0>} counts from the end`
          : Sub<B, A> extends infer N
            ? [N] extends [never]
              ? `slice: start ${A} is after end ${B}`
              : Slice<DR, RR, [...O, N & number], S0>
            : never
      : Slice<DR, RR, [...O, D], S0>
    : UnlessOpen<S, `slice: more ranges than dimensions in ${Show<S0>}`>
  : R extends []
    ? S extends Shape
      ? [...O, ...S]
      : never
    : number[]

/**
 * The shape cut to `ranges`, like the type `Slice`.
 * @throws ShapeError when a range leaves the shape or there are more ranges than dimensions
 */
export function sliceShape(shape: Dims, ranges: readonly Range[]): number[] {
  if (ranges.length > shape.length) {
    throw new ShapeError(
      `slice: more ranges than dimensions in ${showShape(shape)}; ${ranges.length} were given, null keeps a dimension`,
      { op: 'slice', shapes: [shape] },
    )
  }
  return shape.map((size, i) => {
    const range = ranges[i]
    if (range === undefined || range === null) return size
    const [start, end] = range
    const problem =
      !Number.isInteger(start) || !Number.isInteger(end)
        ? `slice: range [${start}, ${end}] of ${showShape(shape)} is not made of integers; round the ends`
        : end > size
          ? `slice: end ${end} is past dimension ${size} of ${showShape(shape)}; the largest end is ${size}`
          : start < 0 || end < 0
            ? `slice: range [${start}, ${end}] of ${showShape(shape)} counts from the end; ` +
              `count from 0: add ${size} to it`
            : start > end
              ? `slice: start ${start} is after end ${end}; swap them, or use equal ends for an empty result`
              : undefined
    if (problem !== undefined) throw new ShapeError(problem, { op: 'slice', shapes: [shape] })
    return end - start
  })
}
