import type { ForeachKernel, Part } from '../../kernels/kernel.js'
import { checkBuffers, checkOperand, checkProgram, checkScalars } from './check.js'
import { programOf } from './evaluate.js'
import type { ReferenceBuffer } from './memory.js'
import { sweep } from './sweep.js'

/** One contiguous map per part, in order. An `index` leaf counts from the start of its part. */
export function runForeach(
  kernel: ForeachKernel,
  buffers: readonly ReferenceBuffer[],
  scalars: readonly number[],
): void {
  const { inputs, outputs, exprs, parts } = kernel
  const program = programOf(exprs)
  checkScalars('foreach', program.scalarCount, scalars.length)
  checkProgram('foreach', program, exprs, inputs, outputs)
  const dtypes = [...inputs, ...outputs]

  const bind = ({ length, operands }: Part, at: number) => {
    checkBuffers('foreach', dtypes.length, operands.length)
    return operands.flatMap(({ buffer, offset }, i) => {
      const elements = buffers[buffer]?.elements(dtypes[i] ?? 'f32')
      checkBuffers('foreach', Math.max(buffers.length, buffer + 1), buffers.length)
      if (!elements) return []
      const placement = { strides: [1], offset }
      checkOperand('foreach', `operand ${i} of part ${at}`, [length], placement, elements)
      return { ...placement, elements }
    })
  }
  const bound = parts.map(bind)

  parts.forEach(({ length }, at) => {
    const operands = bound[at] ?? []
    const targets = operands.slice(inputs.length)
    let done = 0
    sweep(program, [length], [0], operands.slice(0, inputs.length), scalars, (count) => {
      targets.forEach(({ elements, offset }, j) => {
        elements.set(program.results[j]?.subarray(0, count) ?? [], offset + done)
      })
      done += count
    })
  })
}
