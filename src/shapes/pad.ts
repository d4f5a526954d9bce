import type { Add } from './arithmetic.js'
import { type Dims, type Shape, type Show, showShape, type UnlessOpen } from './dim.js'
import { ShapeError } from './errors.js'

/** How many elements to put before and after one dimension; null adds none. */
export type Padding = readonly [before: number, after: number] | null

/** The shape of S with the paddings P around its leading dimensions, or a message. */
export type Pad<S extends Shape, P extends Padding[], O extends Shape = [], S0 = S> = P extends [
  infer H,
  ...infer PR extends Padding[],
]
  ? S extends [infer D extends number, ...infer DR extends Shape]
    ? H extends readonly [infer A extends number, infer B extends number]
      ? `${A}${B}` extends `${string}-${string}`
        ? `pad: padding [${A}, ${B}] of ${Show<S0>} is negative`
        : Pad<DR, PR, [...O, Add<Add<A, D>, B>], S0>
      : Pad<DR, PR, [...O, D], S0>
    : UnlessOpen<S, `pad: more paddings than dimensions in ${Show<S0>}`>
  : P extends []
    ? S extends Shape
      ? [...O, ...S]
      : never
    : number[]

/**
 * The shape with `paddings` around its leading dimensions, like the type `Pad`.
 * @throws ShapeError when a padding is not made of non-negative integers or there are more of them than dimensions
 */
export function padShape(shape: Dims, paddings: readonly Padding[]): number[] {
  if (paddings.length > shape.length) {
    throw new ShapeError(
      `pad: more paddings than dimensions in ${showShape(shape)}; ${paddings.length} were given, null adds none`,
      { op: 'pad', shapes: [shape] },
    )
  }
  return shape.map((size, axis) => {
    const [before, after] = paddings[axis] ?? [0, 0]
    if (!Number.isSafeInteger(before) || !Number.isSafeInteger(after) || before < 0 || after < 0) {
      const what = before < 0 || after < 0 ? 'negative; cut with slice' : 'not made of integers; round them'
      const message = `pad: padding [${before}, ${after}] of ${showShape(shape)} is ${what}`
      throw new ShapeError(message, { op: 'pad', shapes: [shape] })
    }
    return before + size + after
  })
}
