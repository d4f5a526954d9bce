import type { Shape } from '../../shapes/dim.js'
import { OptionError } from '../../shapes/errors.js'
import type { Tape, Tensor } from '../../tensor/tensor.js'
import { defineOp, type NumberDType } from '../define.js'

type Bounded = <S extends Shape, D extends NumberDType, T extends Tape>(
  x: Tensor<S, D, T>,
  min: number,
  max: number,
) => Tensor<S, D, T>

const bounded = defineOp<Bounded>({
  name: 'clamp',
  dtypes: 'number',
  forward: (x, min, max) => x.max(min).min(max),
  vjp: [(dy, [x, min, max]) => x.ge(min).and(x.le(max)).select(dy, 0)],
})

/**
 * Limits to a range: `y = min(max(x, min), max)`; one end may be left out. NaN stays NaN.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = dy` where `min ≤ x ≤ max`, both ends included, else 0.
 * Throws: `OptionError` when neither end is given or one is NaN, `DTypeError` on bool.
 * Torch: `x.clamp(min, max)`; with min above max everything becomes max, as there.
 * @example clamp(tensor([-2, 0.5, 3]), { min: 0, max: 1 }) // [0, 0.5, 1]
 */
export function clamp<S extends Shape, D extends NumberDType, T extends Tape = never>(
  x: Tensor<S, D, T>,
  { min, max }: { readonly min?: number; readonly max?: number } = {},
): Tensor<S, D, T> {
  if ((min === undefined && max === undefined) || Number.isNaN(min) || Number.isNaN(max)) {
    const got = `{ min: ${min}, max: ${max} }`
    throw new OptionError(`clamp: needs numbers for min, max or both, got ${got}; state the end to limit.`, {
      op: 'clamp',
    })
  }
  return bounded(x, min ?? Number.NEGATIVE_INFINITY, max ?? Number.POSITIVE_INFINITY)
}
