import { type Matmul, matmulShape } from '../../shapes/matmul.js'
import { type DType, isFloat } from '../../shapes/dtype.js'
import { DTypeError } from '../../shapes/errors.js'
import { sizeOf } from '../../shapes/strides.js'
import { emptyTensor, recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Arg, Res, Shape, Tape, Tensor } from '../../tensor/tensor.js'
import { requireDevice } from '../define.js'
import { matrixTransposed, packed, reshaped } from '../movement/views.js'
import { floatOperation } from '../float-operation.js'
import { record, type Value } from '../record.js'

/**
 * Matrix product: `y[…, m, n] = Σ_k a[…, m, k] · b[…, k, n]`, k ascending, one accumulator per element.
 *
 * Shapes: `[M, K] [K, N] → [M, N]`; a vector on the left is a row, on the right a column, and its axis is
 * removed; `[…B, M, K] [K, N]` shares b; `[…B, M, K] […B, K, N]` multiplies pairs.
 * Gradient: `da = dy · bᵀ`, `db = aᵀ · dy`, summed over a shared batch.
 * Throws: `ShapeError` when inner or batch dimensions differ, `DTypeError` on other than floats.
 * Torch: `a @ b`, without broadcasting of batch dimensions.
 * @example matmul(tensor([[1, 2]]), tensor([[3], [4]])) // [[11]]
 */
export function matmul<
  S extends Shape,
  S2 extends Shape,
  D extends DType,
  T extends Tape = never,
  T2 extends Tape = never,
>(a: Tensor<S, D, T>, b: Arg<Matmul<S, S2>, Tensor<S2, D, T2>>): Res<Matmul<S, S2>, D, T | T2> {
  return typed(floatOperation('matmul', [recordOf(a), recordOf(b)], matmulRecord))
}

function matmulRecord(a: TensorRecord, b: TensorRecord): TensorRecord {
  requireFloats('matmul', a, b)
  const shape = matmulShape(a.shape, b.shape)
  const column = b.rank === 1 ? b.view({ shape: [...b.shape, 1], strides: [...b.strides, 0] }) : b
  const rows = a.rank === 1 ? a.view({ shape: [1, ...a.shape], strides: [0, ...a.strides] }) : a
  // A shared right side makes one tall product of all batches.
  const shared = column.rank === 2 && rows.rank > 2
  const left = shared ? reshaped(rows, [sizeOf(rows.shape.slice(0, -1)), rows.shape.at(-1) ?? 0]) : rows
  const product = productOf(left, column)
  const incoming = (dy: Value) => reshaped(recordOf(dy), product.shape)
  return record(
    'matmul',
    reshaped(product, shape),
    [a, b],
    [
      (dy) => typed<Value>(reshaped(productOf(incoming(dy), matrixTransposed(column)), a.shape)),
      (dy) => typed<Value>(reshaped(productOf(matrixTransposed(left), incoming(dy)), b.shape)),
    ],
  )
}

export function requireFloats(op: string, a: TensorRecord, b: TensorRecord): void {
  requireDevice(op, a, b)
  if (a.dtype === b.dtype && isFloat(a.dtype)) return
  throw new DTypeError(
    `${op}: needs two float tensors of one dtype, got ${a.dtype} and ${b.dtype}; convert with .to('f32').`,
    { op },
  )
}

/** `a · b` of matrices with equal batch dimensions, on no tape; transposed views are read as they lie. */
export function productOf(a: TensorRecord, b: TensorRecord): TensorRecord {
  const [x, y] = [readable(a), readable(b)]
  const batch = x.shape.slice(0, -2)
  const [m, k] = [x.shape.at(-2) ?? 1, x.shape.at(-1) ?? 1]
  const n = y.shape.at(-1) ?? 1
  const output = emptyTensor(x.device, x.dtype, [...batch, m, n])
  const operands = { a: x.operand(), b: y.operand(), output: output.operand() }
  x.device.run({ kind: 'matmul', batch, m, n, k, ...operands }, [x.storage, y.storage, output.storage])
  return output
}

/** Rows or columns must lie next to each other; anything else is copied first. */
function readable(x: TensorRecord): TensorRecord {
  const [rows, columns] = [x.strides.at(-2), x.strides.at(-1)]
  const [m, n] = [x.shape.at(-2), x.shape.at(-1)]
  return rows === 1 || columns === 1 || m === 1 || n === 1 ? x : packed(x)
}
