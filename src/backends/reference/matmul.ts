import type { MatmulKernel, Operand } from '../../kernels/kernel.js'
import { DTypeError } from '../../tensor/errors.js'
import { sizeOf } from '../../shapes/strides.js'
import { checkBuffers, checkDType, checkOperand } from './check.js'
import type { ReferenceBuffer } from './memory.js'
import { walk } from './walk.js'

/** `out[…, m, n] = Σ_k a[…, m, k] · b[…, k, n]`, summed in f64 in ascending k and rounded once. */
export function runMatmul(kernel: MatmulKernel, buffers: readonly ReferenceBuffer[]): void {
  const { batch, m, n, k, a, b, output } = kernel
  const { dtype } = output
  checkBuffers('matmul', 3, buffers.length)
  if (dtype !== 'f32' && dtype !== 'f64') {
    throw new DTypeError(`matmul: operands must be f32 or f64, got ${dtype}; cast them first.`, { op: 'matmul' })
  }
  checkDType('matmul', 'a', dtype, a.dtype)
  checkDType('matmul', 'b', dtype, b.dtype)

  const [aElements, bElements, outElements] = buffers.map((buffer) => buffer.elements(dtype))
  if (!aElements || !bElements || !outElements) return
  checkOperand('matmul', 'a', [...batch, m, k], a, aElements)
  checkOperand('matmul', 'b', [...batch, k, n], b, bElements)
  checkOperand('matmul', 'the output', [...batch, m, n], output, outElements)

  const [aRow, aColumn] = matrixStrides(a)
  const [bRow, bColumn] = matrixStrides(b)
  const [outRow, outColumn] = matrixStrides(output)
  const [nextA, nextB, nextOut] = [a, b, output].map((operand) => walk(batch, operand))
  const start = { a: new Int32Array(1), b: new Int32Array(1), out: new Int32Array(1) }

  for (let item = sizeOf(batch); item > 0; item--) {
    nextA?.(1, start.a)
    nextB?.(1, start.b)
    nextOut?.(1, start.out)
    for (let row = 0; row < m; row++) {
      for (let column = 0; column < n; column++) {
        let left = (start.a[0] ?? 0) + row * aRow
        let right = (start.b[0] ?? 0) + column * bColumn
        let sum = 0
        for (let i = 0; i < k; i++) {
          sum += (aElements[left] ?? 0) * (bElements[right] ?? 0)
          left += aColumn
          right += bRow
        }
        outElements[(start.out[0] ?? 0) + row * outRow + column * outColumn] = sum
      }
    }
  }
}

/** The strides of rows and columns; the batch axes' come before them. */
function matrixStrides({ strides }: Operand): [row: number, column: number] {
  return [strides.at(-2) ?? 0, strides.at(-1) ?? 0]
}
