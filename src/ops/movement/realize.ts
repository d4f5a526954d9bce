import type { DType } from '../../shapes/dtype.js'
import { sameShape, showShape } from '../../shapes/dim.js'
import { ShapeError } from '../../shapes/errors.js'
import { recordOf } from '../../tensor/record.js'
import type { Dims, Shape, Tape, Tensor } from '../../tensor/tensor.js'

/**
 * The same tensor with sizes that are known from now on: the way from `number` to a literal, checked at run time.
 *
 * Shapes: `x: S → shape`, which must be S.  Gradient: x itself is returned.
 * Throws: `ShapeError` when the sizes are others.
 * Torch: nothing; sizes are not in types there.
 * @example realize(x, [32, 10]) // from Tensor<[number, 10]> to Tensor<[32, 10]>
 */
export function realize<S extends Shape, D extends DType, T extends Tape, const N extends Dims>(
  x: Tensor<S, D, T>,
  shape: N,
): Tensor<[...N], D, T> {
  const { shape: actual } = recordOf(x)
  if (!sameShape(actual, shape)) {
    const message = `realize: the tensor has shape ${showShape(actual)}, not ${showShape(shape)}; state the sizes it has, or reshape it.`
    throw new ShapeError(message, { op: 'realize', shapes: [actual, shape] })
  }
  // The sizes are equal; only the compiler did not know them.
  return x as unknown as Tensor<[...N], D, T>
}
