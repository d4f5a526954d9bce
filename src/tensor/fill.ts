import { constant, type Expr } from '../kernels/expr.js'
import type { Scalars } from './recorder.js'
import type { TensorRecord } from './record.js'

/** Writes an expression without inputs (a constant, random numbers) into a tensor, in place. */
export function fillTensor(target: TensorRecord, value: number | Expr, scalars: Scalars = []): void {
  const expr = typeof value === 'number' ? constant(value, target.dtype) : value.cast(target.dtype)
  const kernel = { kind: 'map', shape: target.shape, inputs: [], outputs: [target.operand()], exprs: [expr] } as const
  target.device.run(kernel, [target.storage], scalars)
}
