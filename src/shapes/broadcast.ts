import { type Box, type Dims, type Show, showShape, type UnlessOpen } from './dim.js'
import { ShapeError } from './errors.js'

/**
 * B when a tensor of shape A can be repeated to shape B, else a message. Shapes are aligned at their last dimension, as
 * NumPy does; a dimension of size 1 is stretched, a missing one is added. A size that is `number` on either side is
 * checked at run time.
 */
export type BroadcastTo<A, B> =
  Fits<A, B> extends true
    ? B
    : UnlessOpen<A, UnlessOpen<B, `cannot broadcast ${Show<A>} to ${Show<B>}`>> extends infer E
      ? E extends string
        ? E
        : B
      : never
type Fits<A, B> = A extends [...infer AR, infer P]
  ? B extends [...infer BR, infer Q]
    ? Box<P> extends Box<Q> | Box<1>
      ? Fits<AR, BR>
      : Box<Q> extends Box<P>
        ? Fits<AR, BR>
        : false
    : false
  : A extends []
    ? true
    : false

/**
 * Checks that a tensor of shape `from` can be repeated to shape `to`, and returns `to`, like the type `BroadcastTo`.
 * @throws ShapeError when a dimension of `from` is neither 1 nor that of `to`
 */
export function broadcastToShape(from: Dims, to: Dims): number[] {
  const offset = to.length - from.length
  if (offset < 0 || from.some((size, i) => size !== 1 && size !== to[i + offset])) {
    throw new ShapeError(
      `cannot broadcast ${showShape(from)} to ${showShape(to)}; ` +
        'aligned at the last dimension, each size must be 1 or equal: reshape first',
      { op: 'broadcastTo', shapes: [from, to] },
    )
  }
  return [...to]
}

/** The axes of `to` along which a broadcast from `from` repeats values: the gradient is summed over them. */
export function broadcastAxes(from: Dims, to: Dims): number[] {
  const offset = to.length - from.length
  return to.flatMap((size, i) => (i < offset || (from[i - offset] === 1 && size !== 1) ? [i] : []))
}
