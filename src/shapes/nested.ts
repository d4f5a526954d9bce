import type { DType } from './dtype.js'
import { type Dims, showShape } from './dim.js'
import { DTypeError, ShapeError } from './errors.js'

/** What a tensor is written as: a number, or equally long lists of lists of numbers. Booleans are 1 and 0. */
export type Nested = number | boolean | readonly Nested[]

/** Whether A is `any`, as `JSON.parse` returns: recursion over its elements would not end. */
type IsAny<A> = 0 extends 1 & A ? true : false

/** The shape of a literal: `[[1, 2, 3], [4, 5, 6]]` has shape [2, 3]. */
export type ShapeOf<A> =
  IsAny<A> extends true
    ? number[]
    : A extends readonly unknown[]
      ? A extends readonly [infer H, ...unknown[]]
        ? [A['length'], ...ShapeOf<H>]
        : ShapeOfList<A>
      : []
/** Lists that are not tuples. Asking about all elements at once ends the recursion for `Nested` itself. */
type ShapeOfList<A extends readonly unknown[]> = A extends readonly []
  ? [0]
  : [A[number]] extends [readonly unknown[]]
    ? [A['length'], ...ShapeOf<A[number]>]
    : [A[number]] extends [number | boolean]
      ? [A['length']]
      : number[]

/** The dtype a literal gets when none is stated: bool when it holds booleans only, else f32. */
export type DTypeOf<A> =
  IsAny<A> extends true
    ? 'f32'
    : A extends readonly (infer E)[]
      ? [E] extends [never]
        ? 'f32'
        : [E] extends [readonly unknown[]]
          ? DTypeOf<E>
          : LeafDType<E>
      : LeafDType<A>
type LeafDType<E> = [E] extends [boolean] ? 'bool' : 'f32'

/** A message when A is not rectangular, else []. */
export type Rect<A> =
  IsAny<A> extends true
    ? []
    : A extends readonly unknown[]
      ? IsUnion<LengthOf<A[number]>> extends true
        ? 'tensor: rows have different lengths'
        : [A[number]] extends [never]
          ? []
          : [A[number]] extends [readonly unknown[]]
            ? Rect<A[number]>
            : []
      : []
type LengthOf<A> = A extends readonly unknown[] ? A['length'] : -1
type IsUnion<A, B = A> = [A] extends [never] ? false : A extends A ? ([B] extends [A] ? false : true) : never

/** The nested arrays that `array()` returns for shape S with elements E. */
export type NestedOf<S, E> = S extends [unknown, ...infer R] ? NestedOf<R, E[]> : S extends [] ? E : NestedArray<E>
/** Nested arrays of unknown depth. */
export type NestedArray<E> = E | NestedArray<E>[]

/** The dtype a literal gets when none is stated, like the type `DTypeOf`. */
export function nestedDType(data: Nested): DType {
  const booleansOnly = (part: Nested): boolean => (isList(part) ? part.every(booleansOnly) : typeof part === 'boolean')
  const isEmpty = (part: Nested): boolean => isList(part) && part.every(isEmpty)
  return booleansOnly(data) && !isEmpty(data) ? 'bool' : 'f32'
}

/**
 * The shape of nested lists, like the type `ShapeOf`.
 * @throws ShapeError when rows have different lengths or depths
 */
export function nestedShape(data: Nested): number[] {
  const shape: number[] = []
  for (let part: Nested | undefined = data; isList(part); part = part[0]) shape.push(part.length)
  checkRect(data, shape, 0)
  return shape
}

/** The elements of nested lists in row-major order; the shape must have been checked. */
export function flattenNested(data: Nested): number[] {
  const out: number[] = []
  const walk = (part: Nested): void => {
    if (isList(part)) part.forEach(walk)
    else if (typeof part === 'number' || typeof part === 'boolean') out.push(Number(part))
    else throw new DTypeError(`tensor: ${String(part)} is not a number; give numbers, or booleans for a bool tensor.`)
  }
  walk(data)
  return out
}

function isList(part: Nested | undefined): part is readonly Nested[] {
  return Array.isArray(part)
}

function checkRect(part: Nested, shape: Dims, depth: number): void {
  if (isList(part) ? part.length !== shape[depth] : depth !== shape.length) {
    const found = isList(part) ? `a list of ${part.length}` : `the value ${part}`
    const expected = depth < shape.length ? `a list of ${shape[depth]}` : 'a value'
    throw new ShapeError(
      `tensor: rows have different lengths: ${found} at depth ${depth} where ${expected} was expected ` +
        `(shape ${showShape(shape)} from the first elements); pad the rows to one length`,
      { op: 'tensor', shapes: [shape] },
    )
  }
  if (isList(part)) for (const inner of part) checkRect(inner, shape, depth + 1)
}
