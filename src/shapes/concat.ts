import type { Add } from './arithmetic.js'
import { type Axis, type Drop, normalizeAxis, type SetAt } from './axes.js'
import { checkShape, type Dims, sameShape, type Shape, type Show, showShape } from './dim.js'
import { ShapeError } from './errors.js'

/** The shape of A followed by B along the axis X, or a message: all other sizes are equal. */
export type Concat<A extends Shape, B extends Shape, X> =
  Axis<A, X> extends infer N ? (N extends number ? ConcatAt<A, B, N, Drop<A, N>, Drop<B, N>> : N) : never
type ConcatAt<A extends Shape, B extends Shape, N extends number, RA, RB> = [RA, RB] extends [RB, RA]
  ? SetAt<A, N, [Add<A[N], B[N]>]>
  : number extends A['length'] | B['length']
    ? number[]
    : `concat: ${Show<A>} and ${Show<B>} differ outside axis ${N}`

/** The shape of a list of tensors joined along the axis X, or a message. Ss is the tuple of their shapes. */
export type ConcatAll<Ss, X, Acc = never> = Ss extends [infer S extends Shape, ...infer R]
  ? [Acc] extends [never]
    ? ConcatAll<R, X, S>
    : Acc extends Shape
      ? Concat<Acc, S, X> extends infer C
        ? C extends string
          ? C
          : ConcatAll<R, X, C>
        : never
      : never
  : Ss extends []
    ? [Acc] extends [never]
      ? 'concat: no tensors given'
      : Acc
    : number[]

interface NewAxes {
  [rank: number]: number
  0: 0 | -1
  1: 0 | 1 | -1 | -2
  2: 0 | 1 | 2 | -1 | -2 | -3
  3: 0 | 1 | 2 | 3 | -1 | -2 | -3 | -4
  4: 0 | 1 | 2 | 3 | 4 | -1 | -2 | -3 | -4 | -5
  5: 0 | 1 | 2 | 3 | 4 | 5 | -1 | -2 | -3 | -4 | -5 | -6
  6: never
}
/** The places where a new axis can be put into S, as a constraint. Nothing fits into a shape of the largest rank. */
export type NewAx<S extends Shape> = NewAxes[S['length'] & number]

/** The shape of N tensors of shape S stacked along a new axis X. */
export type Stack<S extends Shape, N extends number, X extends number> = number extends S['length']
  ? number[]
  : Axis<[...S, 0], X> extends infer I extends number
    ? Insert<S, I, N>
    : Extract<Axis<[...S, 0], X>, string>
type Insert<S, I, N extends number, O extends Shape = []> = O['length'] extends I
  ? S extends Shape
    ? [...O, N, ...S]
    : never
  : S extends [infer H extends number, ...infer R]
    ? Insert<R, I, N, [...O, H]>
    : number[]

/**
 * The shape of tensors joined along `axis`, like the types `Concat` and `ConcatAll`.
 * @throws ShapeError when a size outside `axis` differs, or no shapes are given
 */
export function concatShape(shapes: readonly Dims[], axis: number): number[] {
  const first = shapes[0]
  if (first === undefined) {
    throw new ShapeError('concat: no tensors given; give one or more', { op: 'concat' })
  }
  const at = normalizeAxis(first, axis, 'concat')
  const outside = first.filter((_, i) => i !== at)
  let total = 0
  for (const shape of shapes) {
    const size = shape[at]
    if (
      size === undefined ||
      !sameShape(
        outside,
        shape.filter((_, i) => i !== at),
      )
    ) {
      throw new ShapeError(
        `concat: ${showShape(first)} and ${showShape(shape)} differ outside axis ${at}; ` +
          'all other sizes must be equal: slice, pad or reshape first',
        { op: 'concat', shapes },
      )
    }
    total += size
  }
  return first.map((size, i) => (i === at ? total : size))
}

/**
 * The shape of equally shaped tensors stacked along a new axis, like the type `Stack`.
 * @throws ShapeError when the shapes differ, none are given, or there is no such place for an axis
 */
export function stackShape(shapes: readonly Dims[], axis = 0): number[] {
  const first = shapes[0]
  if (first === undefined) throw new ShapeError('stack: no tensors given; give one or more', { op: 'stack' })
  for (const shape of shapes) {
    if (!sameShape(first, shape)) {
      throw new ShapeError(
        `stack: ${showShape(first)} and ${showShape(shape)} differ; stacked tensors have one shape, concat joins others`,
        { op: 'stack', shapes },
      )
    }
  }
  const at = normalizeAxis([...first, shapes.length], axis, 'stack')
  const out = [...first.slice(0, at), shapes.length, ...first.slice(at)]
  checkShape('stack', out)
  return out
}
