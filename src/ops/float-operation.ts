import { isFloat, isHalf } from '../shapes/dtype.js'
import { TensorRecord } from '../tensor/record.js'
import { operation } from '../tensor/scope.js'
import { differentDTypes } from './define.js'
import { castRecord } from './elementwise/cast.js'

/**
 * Runs the body of an op that takes several kernels. f16 and bf16 operands come as f32, and results go back, all on the
 * tape: whatever the op does in between, in its gradient too, is f32, and each result is rounded once.
 *
 * Throws: `DTypeError` when one operand is f16 or bf16 and another float is not of that dtype.
 */
export function floatOperation<
  Xs extends readonly (TensorRecord | undefined)[],
  R extends TensorRecord | Readonly<Record<string, TensorRecord>>,
>(op: string, operands: readonly [...Xs], body: (...operands: Xs) => R): R {
  return operation(() => {
    const half = operands.find((x) => x && isHalf(x.dtype))?.dtype
    if (half === undefined) return body(...operands)
    const wide = operands.map((x) => {
      if (!x || !isFloat(x.dtype)) return x
      if (x.dtype !== half) throw differentDTypes(op, half, x.dtype)
      return castRecord(x, 'f32')
    }) as unknown as Xs
    const narrowed = (x: TensorRecord) => (x.dtype === 'f32' ? castRecord(x, half) : x)
    const result = body(...wide)
    const narrow =
      result instanceof TensorRecord
        ? narrowed(result)
        : Object.fromEntries(Object.entries(result).map(([name, x]) => [name, narrowed(x)]))
    return narrow as R
  })
}
