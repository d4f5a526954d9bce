import { type Dims, type Shape, type Show, showShape } from './dim.js'
import { ShapeError } from './errors.js'

interface AxesOfRank {
  [rank: number]: number
  0: never
  1: 0 | -1
  2: 0 | 1 | -1 | -2
  3: 0 | 1 | 2 | -1 | -2 | -3
  4: 0 | 1 | 2 | 3 | -1 | -2 | -3 | -4
  5: 0 | 1 | 2 | 3 | 4 | -1 | -2 | -3 | -4 | -5
  6: 0 | 1 | 2 | 3 | 4 | 5 | -1 | -2 | -3 | -4 | -5 | -6
}
interface IndicesOfRank {
  [rank: number]: number
  0: never
  1: 0
  2: 0 | 1
  3: 0 | 1 | 2
  4: 0 | 1 | 2 | 3
  5: 0 | 1 | 2 | 3 | 4
  6: 0 | 1 | 2 | 3 | 4 | 5
}
/** rank and negative axis -> index */
interface FromTheEnd {
  '1-1': 0
  '2-1': 1
  '2-2': 0
  '3-1': 2
  '3-2': 1
  '3-3': 0
  '4-1': 3
  '4-2': 2
  '4-3': 1
  '4-4': 0
  '5-1': 4
  '5-2': 3
  '5-3': 2
  '5-4': 1
  '5-5': 0
  '6-1': 5
  '6-2': 4
  '6-3': 3
  '6-4': 2
  '6-5': 1
  '6-6': 0
}

/**
 * The valid axes of S as a plain union. As a constraint it lets editors complete the axes, and no conditional type sits
 * in the parameter.
 */
export type Ax<S extends Shape> = AxesOfRank[S['length'] & number]

/** The valid non-negative axes of S. */
export type Index<S extends Shape> = IndicesOfRank[S['length'] & number]

/** The axis A of S counted from the front (distributes over unions), or a message. */
export type Axis<S extends Shape, A> =
  A extends Index<S>
    ? A
    : A extends number
      ? `${S['length']}${A}` extends infer K extends keyof FromTheEnd
        ? FromTheEnd[K]
        : number extends S['length']
          ? number
          : `axis ${A} is out of range for shape ${Show<S>}`
      : never

/** S without the axes A, which count from the front. */
export type Drop<S, A, I extends 0[] = [], O extends Shape = []> = S extends [infer H extends number, ...infer R]
  ? Drop<R, A, [...I, 0], I['length'] extends A ? O : [...O, H]>
  : S extends []
    ? O
    : number[]

/** S with the axis A, which counts from the front, replaced by the sizes V. */
export type SetAt<S, A, V extends Shape, I extends 0[] = [], O extends Shape = []> = S extends [
  infer H extends number,
  ...infer R,
]
  ? SetAt<R, A, V, [...I, 0], I['length'] extends A ? [...O, ...V] : [...O, H]>
  : S extends []
    ? O
    : number[]

/**
 * The axis counted from the front, like the type `Axis`: `normalizeAxis([2, 3], -1)` is 1.
 * @throws ShapeError when there is no such axis
 */
export function normalizeAxis(shape: Dims, axis: number, op?: string): number {
  const rank = shape.length
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    const valid = rank === 0 ? 'a scalar has no axes' : `valid axes are ${-rank} to ${rank - 1}`
    throw new ShapeError(
      `${op === undefined ? '' : `${op}: `}axis ${axis} is out of range for shape ${showShape(shape)}; ${valid}`,
      { ...(op === undefined ? {} : { op }), shapes: [shape] },
    )
  }
  return axis < 0 ? axis + rank : axis
}

/**
 * The axes counted from the front, ascending; all of them when none are given.
 * @throws ShapeError when there is no such axis, or one is named twice
 */
export function normalizeAxes(shape: Dims, axes?: number | Dims, op?: string): number[] {
  if (axes === undefined) return shape.map((_, i) => i)
  const list = typeof axes === 'number' ? [axes] : axes
  const normalized = list.map((axis) => normalizeAxis(shape, axis, op)).sort((a, b) => a - b)
  normalized.forEach((axis, i) => {
    if (axis === normalized[i + 1]) {
      throw new ShapeError(
        `${op === undefined ? '' : `${op}: `}axis ${axis} of shape ${showShape(shape)} is named twice in ` +
          `${showShape(list)}; name each axis once`,
        { ...(op === undefined ? {} : { op }), shapes: [shape] },
      )
    }
  })
  return normalized
}
