import { ShapeError } from './errors.js'

/**
 * The sizes of a tensor, outermost first. Shapes are mutable tuples: matching them against `[infer H, ...infer R]` is
 * an identity check, while a `readonly [...]` pattern makes the compiler compare all array members (twice the cost).
 */
export type Shape = number[]

/** What callers pass as a shape: `const` type parameters infer readonly tuples. */
export type Dims = readonly number[]

declare const DIM: unique symbol

/** The mark of a named dimension. */
export interface Named<out N extends string = string> {
  readonly [DIM]: N
}

/**
 * A dimension whose size is known at run time only and whose type remembers a name. It is an ordinary number, does not
 * unify with another name, and may be forgotten: `Dim<'batch'>` is assignable to `number`.
 */
export type Dim<N extends string = string> = number & Named<N>

/** The largest rank a tensor may have. */
export const MAX_RANK = 6

/**
 * Comparing `Box<K> extends Box<I>` also resolves in generic code when both are the same type parameter, where
 * `K extends I` and `[K] extends [I]` stay unresolved.
 */
export interface Box<out T> {
  readonly value: T
}

/**
 * The type of an argument: X when the result R is a shape, or R itself when it is the sentence that says what is wrong.
 * Without NoInfer the compiler would infer type arguments from the branches of R.
 */
export type Arg<R, X> = [R] extends [unknown[]] ? X : NoInfer<R>

/** The sentence M, or an unknown shape when the rank of S is not known: then only the run time can tell. */
export type UnlessOpen<S, M> = S extends Shape ? (number extends S['length'] ? number[] : M) : M

/** A dimension as messages print it: `?` when its size is not known, its name when it has one. */
export type ShowDim<N> = number extends N ? '?' : N extends Named<infer S> ? S : N extends number ? `${N}` : '?'

/** A shape as messages print it. A message that contains `?` is not certain, and is not reported when a model is built. */
export type Show<S, A extends string = ''> = S extends [infer H, ...infer R]
  ? Show<R, A extends '' ? ShowDim<H> : `${A}, ${ShowDim<H>}`>
  : S extends []
    ? `[${A}]`
    : // biome-ignore lint/suspicious/noExplicitAny: a pattern that matches every leading part
      S extends [...any, infer L]
      ? `[...?, ${ShowDim<L>}]`
      : '[...?]'

/** A shape as messages print it, like the type `Show`. */
export function showShape(shape: Dims): string {
  return `[${shape.join(', ')}]`
}

/**
 * Checks that `shape` is a shape: at most 6 sizes, each a non-negative integer.
 * @throws ShapeError naming the size that is not one
 */
export function checkShape(op: string, shape: Dims): void {
  if (!Array.isArray(shape))
    throw new ShapeError(`${op}: a shape is a list of sizes, got ${String(shape)}; write [${String(shape)}].`, { op })
  if (shape.length > MAX_RANK) {
    throw new ShapeError(
      `${op}: shape ${showShape(shape)} has rank ${shape.length}, the largest rank is ${MAX_RANK}; ` +
        'merge dimensions with reshape',
      { op, shapes: [shape] },
    )
  }
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new ShapeError(`${op}: ${size} in shape ${showShape(shape)} is not a size; sizes are integers from 0`, {
        op,
        shapes: [shape],
      })
    }
  }
}

/** Whether two shapes are equal, size by size. */
export function sameShape(a: Dims, b: Dims): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i])
}

/**
 * A named dimension of the given size: `dim('batch', 32)` is the number 32 with the type `Dim<'batch'>`, so that
 * tensors of different unknown sizes are not mixed up.
 * @throws ShapeError when `size` is not a non-negative integer
 * @example
 * const batch = dim('batch', images.length)
 * const x = zeros([batch, 784]) // Tensor<[Dim<'batch'>, 784]>
 */
export function dim<const N extends string>(name: N, size: number): Dim<N> {
  if (!Number.isSafeInteger(size) || size < 0) {
    throw new ShapeError(`dim: ${size} is not a size for "${name}"; sizes are integers from 0`, { op: 'dim' })
  }
  return size as Dim<N>
}
