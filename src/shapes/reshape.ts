import type { Div, Mod, Product } from './arithmetic.js'
import { checkShape, type Dims, type Shape, type Show, showShape } from './dim.js'
import { ShapeError } from './errors.js'
import { sizeOf } from './strides.js'

/**
 * The new shape N when it has as many elements as S, with one -1 filled in, else a message. Equal leading dimensions,
 * also named ones, are cancelled first; what is then not known at compile time is checked at run time.
 */
export type Reshape<S, N extends Shape> = -1 extends N[number]
  ? Without<N, -1> extends infer R extends Shape
    ? Infer<S, N, R, Product<R>>
    : never
  : Cancel<S, N> extends [infer A, infer B]
    ? Product<A> extends infer PA
      ? Product<B> extends infer PB
        ? PA extends PB
          ? N
          : number extends PA | PB
            ? N
            : `reshape: ${Show<S>} has ${Product<S> & number} elements, ${Show<N>} has ${Product<N> & number}`
        : never
      : never
    : never
/** R is N without the -1 and Q the product of R. `number` in N also leads here, since -1 is a number. */
type Infer<S, N extends Shape, R extends Shape, Q> = R['length'] extends N['length']
  ? N
  : [...R, -1]['length'] extends N['length']
    ? Q extends 0
      ? `reshape: -1 in ${Show<N>} cannot be inferred, another size is 0`
      : Mod<Product<S>, Q> extends infer M
        ? M extends 0
          ? Fill<N, Div<Product<S>, Q>>
          : number extends M
            ? Fill<N, number>
            : `reshape: ${Show<S>} does not divide into ${Show<N>}`
        : never
    : `reshape: ${Show<N>} has more than one -1`
type Cancel<A, B> = A extends [infer H, ...infer R]
  ? B extends [infer H2, ...infer R2]
    ? [H, H2] extends [H2, H]
      ? Cancel<R, R2>
      : [A, B]
    : [A, B]
  : [A, B]
type Without<N, X, O extends Shape = []> = N extends [infer H extends number, ...infer R]
  ? Without<R, X, H extends X ? O : [...O, H]>
  : N extends []
    ? O
    : number[]
type Fill<N, V> = { -readonly [K in keyof N]: N[K] extends -1 ? V : N[K] }

/**
 * The new shape with its -1 filled in, like the type `Reshape`.
 * @throws ShapeError when the numbers of elements differ or -1 cannot be inferred
 */
export function reshapeShape(shape: Dims, to: Dims): number[] {
  const free = to.indexOf(-1)
  if (free !== to.lastIndexOf(-1)) {
    throw new ShapeError(`reshape: ${showShape(to)} has more than one -1; state all sizes but one`, {
      op: 'reshape',
      shapes: [shape, to],
    })
  }
  const rest = to.filter((_, i) => i !== free)
  checkShape('reshape', rest)
  const count = sizeOf(shape)
  const known = sizeOf(rest)
  if (free < 0) {
    if (count !== known) {
      throw new ShapeError(
        `reshape: ${showShape(shape)} has ${count} elements, ${showShape(to)} has ${known}; ` +
          'the numbers must be equal: write -1 for one size to have it computed',
        { op: 'reshape', shapes: [shape, to] },
      )
    }
    return [...to]
  }
  if (known === 0) {
    throw new ShapeError(
      `reshape: -1 in ${showShape(to)} cannot be inferred, another size is 0; state the size instead of -1`,
      { op: 'reshape', shapes: [shape, to] },
    )
  }
  if (count % known !== 0) {
    throw new ShapeError(
      `reshape: ${showShape(shape)} does not divide into ${showShape(to)}; ` +
        `${count} elements must be a multiple of ${known}`,
      { op: 'reshape', shapes: [shape, to] },
    )
  }
  return to.map((size) => (size === -1 ? count / known : size))
}
