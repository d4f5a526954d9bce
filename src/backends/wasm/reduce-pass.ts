import type { Expr } from '../../kernels/expr.js'
import type { Operand } from '../../kernels/kernel.js'
import type { ReduceOp } from './reduce-op.js'

/** An operand with its place in the buffer list (or `scratch`). */
export interface Placed extends Operand {
  readonly buffer: number
}

/** One pass. Strides run over `[...outer, reduced, columns]`; the output's reduced axis is that of the blocks. */
export interface Pass {
  readonly op: ReduceOp
  readonly expr: Expr
  readonly inputs: readonly Placed[]
  readonly outer: readonly number[]
  readonly reduced: number
  readonly columns: number
  /** Elements of the reduced axis combined into one result. */
  readonly block: number
  readonly output: Placed
}
