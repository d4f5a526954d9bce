import type { Shape } from '../../shapes/dim.js'
import { arithmeticOf, type FloatDType } from '../../shapes/dtype.js'
import { OptionError } from '../../shapes/errors.js'
import { input, scalar } from '../../kernels/expr.js'
import { uniformUnit } from '../../kernels/random.js'
import { operation } from '../../tensor/scope.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Tape, Tensor } from '../../tensor/tensor.js'
import { mapTensors } from '../define.js'
import { forDType } from '../expressions.js'
import { record, type Value } from '../record.js'
import { requireFloat } from '../reduce/reduce.js'

/** What `dropout` may be told. */
export interface DropoutOptions {
  /** The probability of an element to become 0; 0.5 by default. */
  readonly p?: number
  /** Whether to drop at all; by default when the input is taped. */
  readonly training?: boolean
}

/**
 * Sets each element to 0 with probability p and multiplies the others by `1 / (1 − p)`, so that the mean stays; returns
 * an untaped input as it is. The choice depends on the device's generator and the element's position alone, and is made
 * again in the gradient instead of being stored.
 *
 * Shapes: `x: S → S`.  Gradient: `dx = dy / (1 − p)` where the element was kept, else 0.
 * Throws: `OptionError` when p is outside 0..1, `DTypeError` on other than floats.
 * Torch: `F.dropout(x, p, training)`, where training is true unless stated.
 * Paper: Srivastava et al., "Dropout", 2014, https://jmlr.org/papers/v15/srivastava14a.html
 * @example dropout(hidden, { p: 0.1 })
 */
export function dropout<S extends Shape, D extends FloatDType, T extends Tape = never>(
  x: Tensor<S, D, T>,
  options: DropoutOptions = {},
): Tensor<S, D, T> {
  return typed(dropoutRecord(recordOf(x), options))
}

const exprs = forDType((dtype) => {
  const number = arithmeticOf(dtype)
  const x = input(0, dtype).cast(number)
  const dropped = uniformUnit().lt(scalar(2, 'f32'))
  return dropped.select(0, x.mul(scalar(3, number))).cast(dtype)
})

function dropoutRecord(x: TensorRecord, options: DropoutOptions): TensorRecord {
  if (typeof options !== 'object')
    throw new OptionError(`dropout: options are an object, got ${String(options)}; write { p: ${String(options)} }.`, {
      op: 'dropout',
    })
  const { p = 0.5, training = x.tape === 'taped' } = options
  requireFloat('dropout', x)
  if (!(p >= 0 && p <= 1)) {
    throw new OptionError(`dropout: p is a probability from 0 to 1, got ${p}; 0.1 drops a tenth.`, { op: 'dropout' })
  }
  if (!training || p === 0) return x
  const { device } = x
  const scalars = device.hostScalars(() => [...device.generator.next(), p, 1 / (1 - p)])
  const masked = (values: TensorRecord) => mapTensors(exprs(x.dtype), [values], scalars)
  return operation(() => record('dropout', masked(x), [x], [(dy) => typed<Value>(masked(recordOf(dy)))]))
}
