import { input } from '../../kernels/expr.js'
import type { Operand, RowsKernel } from '../../kernels/kernel.js'
import { contiguousStrides, sizeOf } from '../../shapes/strides.js'
import { runMap } from './map.js'
import { ReferenceBuffer } from './memory.js'
import { runReduce } from './reduce.js'

/** One kernel for each stage, the numbers of the rows in memory of their own. */
export function runRows(kernel: RowsKernel, buffers: readonly ReferenceBuffer[], scalars: readonly number[]): void {
  const { shape, inputs, stages } = kernel
  const outer = shape.slice(0, -1)
  const widest = 8
  const numbers = stages.map(() => new ReferenceBuffer(widest * Math.max(1, sizeOf(outer))))
  const perRow = ({ expr }: { expr: { dtype: Operand['dtype'] } }): Operand => ({
    dtype: expr.dtype,
    strides: [...contiguousStrides(outer), 0],
    offset: 0,
  })
  const operands = [...stages.map(perRow), ...inputs]
  const bound = [...numbers, ...buffers.slice(0, inputs.length)]
  const withoutRow = (operand: Operand): Operand => ({ ...operand, strides: operand.strides.slice(0, -1) })
  const copy = (from: Operand, source: ReferenceBuffer, to: Operand, target: ReferenceBuffer) =>
    runMap(
      { kind: 'map', shape: outer, inputs: [withoutRow(from)], outputs: [withoutRow(to)], exprs: [input(0, to.dtype)] },
      [source, target],
      [],
    )
  let slot = inputs.length
  stages.forEach((stage, j) => {
    const { pass, expr, output } = stage
    const target = output && buffers[slot++]
    const own = numbers[j]
    if (!own) return
    if (pass === 'each') {
      if (!output || !target) return
      runMap({ kind: 'map', shape, inputs: operands, outputs: [output], exprs: [expr] }, [...bound, target], scalars)
      return
    }
    const result = withoutRow(perRow(stage))
    if (pass === 'once') {
      const reads = operands.map(withoutRow)
      runMap({ kind: 'map', shape: outer, inputs: reads, outputs: [result], exprs: [expr] }, [...bound, own], scalars)
    } else {
      const axes = [shape.length - 1]
      const reduce = { kind: 'reduce', combine: pass, shape, axes, inputs: operands, expr, output: result } as const
      runReduce(reduce, [...bound, own], scalars)
    }
    if (output && target) copy(perRow(stage), own, output, target)
  })
}
