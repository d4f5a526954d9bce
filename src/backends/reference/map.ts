import type { MapKernel, Operand } from '../../kernels/kernel.js'
import { checkBuffers, checkOperand, checkProgram, checkScalars, nameOf } from './check.js'
import { blockSize, programOf } from './evaluate.js'
import { encoded, type ReferenceBuffer } from './memory.js'
import { sweep } from './sweep.js'
import { walk } from './walk.js'

/** `outputs[j][i] = exprs[j](inputs[…][i])`: every result of a block is computed before one of them is stored. */
export function runMap(kernel: MapKernel, buffers: readonly ReferenceBuffer[], scalars: readonly number[]): void {
  const { shape, inputs, outputs, exprs } = kernel
  checkBuffers('map', inputs.length + outputs.length, buffers.length)
  const program = programOf(exprs)
  checkScalars('map', program.scalarCount, scalars.length)
  checkProgram('map', program, exprs, inputs.map(dtypeOf), outputs.map(dtypeOf))

  const bind = (role: 'input' | 'output', operands: readonly Operand[], first: number) =>
    operands.flatMap((operand, i) => {
      const elements = buffers[first + i]?.elements(operand.dtype)
      if (!elements) return []
      checkOperand('map', nameOf(role, i, operand), shape, operand, elements)
      return { ...operand, elements }
    })
  const sources = bind('input', inputs, 0)
  const targets = bind('output', outputs, inputs.length).map((target) => ({ ...target, next: walk(shape, target) }))

  const positions = new Int32Array(blockSize)
  sweep(program, shape, [...shape.keys()], sources, scalars, (count) => {
    targets.forEach(({ elements, dtype, next }, j) => {
      const values = program.results[j] && encoded(program.results[j].subarray(0, count), dtype)
      next(count, positions)
      for (let i = 0; i < count; i++) elements[positions[i] ?? 0] = values?.[i] ?? 0
    })
  })
}

const dtypeOf = ({ dtype }: Operand) => dtype
