import { convertModel } from '../model/clone.js'
import { type FloatDType, isFloat } from '../shapes/dtype.js'
import type { Converted } from './types/convert.js'

/**
 * A copy of a model whose float parameters and buffers are of another dtype, `value → nearest value of dtype`; integers stay
 * as they are, ties stay ties, frozen stays frozen. The model itself is not changed.
 *
 * Shapes: as they are.  Gradient: none, the copy is a model of its own.
 * Throws: `DTypeError` when the device has no such dtype, `OptionError` as `clone`.
 * Torch: `copy.deepcopy(model).to(dtype)`; `model.to(dtype)` itself changes the model.
 * @example const small = convert(model, 'bf16') // and back: convert(small, 'f32')
 */
export const convert = <M extends object, D extends FloatDType>(model: M, dtype: D): Converted<M, D> =>
  convertModel('convert', model, (own) => (isFloat(own) ? dtype : own)) as Converted<M, D>
