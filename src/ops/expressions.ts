import type { DType } from '../shapes/dtype.js'
import { type Expr, input } from '../kernels/expr.js'

/** What depends on the dtype alone, made at first use and once: expressions are compiled by identity of structure. */
export function forDType<X>(make: (dtype: DType) => X): (dtype: DType) => X {
  const made: Partial<Record<DType, X>> = {}
  return (dtype) => (made[dtype] ??= make(dtype))
}

/** The operands of an expression on floats: slots 0, 1, 2 and 3. */
export const operands = (dtype: DType): readonly [Expr, Expr, Expr, Expr] => [
  input(0, dtype),
  input(1, dtype),
  input(2, dtype),
  input(3, dtype),
]
