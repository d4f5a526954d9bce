import { type Axis, normalizeAxis, type SetAt } from './axes.js'
import { checkShape, type Dims, type Shape } from './dim.js'

/** S with the axis A replaced by the shape of the indices, or a message. */
export type Gather<S extends Shape, A, SI extends Shape> =
  Axis<S, A> extends infer N ? (N extends string ? N : SetAt<S, N, SI>) : never

/**
 * The shape with `axis` replaced by the shape of the indices, like the type `Gather`. A scalar index removes the axis,
 * which is the shape of `select`.
 * @throws ShapeError when there is no such axis or the result has too many dimensions
 */
export function gatherShape(shape: Dims, axis: number, index: Dims, op = 'gather'): number[] {
  const at = normalizeAxis(shape, axis, op)
  const out = [...shape.slice(0, at), ...index, ...shape.slice(at + 1)]
  checkShape(op, out)
  return out
}
