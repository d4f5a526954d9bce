import type { Expr } from '../../kernels/expr.js'
import type { Kernel, MatmulKernel, Operand } from '../../kernels/kernel.js'
import { prepareForeach } from './foreach.js'
import type { Target } from './generated.js'
import { prepareIndexKernel } from './index-kernels.js'
import { kernelEntry } from './kernel-module.js'
import type { Prepared } from './launch.js'
import { prepareMap } from './map.js'
import { matmulEntry, planMatmul } from './matmul/index.js'
import { prepareReduce } from './reduce.js'

/** Turns a descriptor into launches. Throws what is wrong with it before anything runs. */
export function prepare(kernel: Kernel, target: Target): Prepared {
  switch (kernel.kind) {
    case 'map':
      return prepareMap(kernel, target)
    case 'foreach':
      return prepareForeach(kernel, target)
    case 'reduce':
      return prepareReduce(kernel, target)
    case 'matmul':
      return prepareMatmul(kernel, target)
    case 'gather':
    case 'scatterAdd':
      return prepareIndexKernel(kernel, (name) => kernelEntry(target, name))
  }
}

function prepareMatmul(kernel: MatmulKernel, target: Target): Prepared {
  const { block, pointers, nanoseconds, workBytes } = planMatmul(kernel, target.mode)
  const launch = { entry: kernelEntry(target, matmulEntry), block, pointers, scalars: [], nanoseconds }
  const nothing = kernel.m === 0 || kernel.n === 0 || kernel.batch.includes(0)
  return { launches: nothing ? [] : [launch], scratchBytes: (threads) => threads * workBytes }
}

const operandKey = ({ dtype, strides, offset }: Operand): string => `${dtype}${strides.join()}+${offset}`

const operands = (all: readonly Operand[]): string => all.map(operandKey).join()
const exprs = (all: readonly Expr[]): string => all.map((e) => e.key).join('|')

/** Structure of a descriptor as text: equal texts mean equal launches. */
export function kernelKey(kernel: Kernel): string {
  switch (kernel.kind) {
    case 'map':
      return ['m', kernel.shape, operands(kernel.inputs), operands(kernel.outputs), exprs(kernel.exprs)].join('|')
    case 'reduce': {
      const { combine, shape, axes, inputs, output, expr } = kernel
      return ['r', combine, shape, axes, operands(inputs), operandKey(output), expr.key].join('|')
    }
    case 'matmul': {
      const { batch, m, n, k, a, b, output } = kernel
      return ['x', batch, m, n, k, operands([a, b, output])].join('|')
    }
    case 'gather':
    case 'scatterAdd': {
      const { kind, outer, size, inner, count, perOuter, source, index, output } = kernel
      return [kind, outer, size, inner, count, perOuter, operands([source, index, output])].join('|')
    }
    case 'foreach': {
      const parts = kernel.parts.map((p) => `${p.length}:${p.operands.map((o) => `${o.buffer}+${o.offset}`).join()}`)
      return ['f', kernel.inputs, kernel.outputs, parts, exprs(kernel.exprs)].join('|')
    }
  }
}

/** Bytes each buffer of the list must have at least. */
export function extents(kernel: Kernel): readonly number[] {
  const strided = (shape: readonly number[], { strides, offset }: Operand) =>
    shape.includes(0)
      ? 0
      : 4 * (1 + shape.reduce((last, size, axis) => last + Math.max(0, (size - 1) * (strides[axis] ?? 0)), offset))
  const flat = (length: number, { offset }: Operand) => (length === 0 ? 0 : 4 * (offset + length))
  switch (kernel.kind) {
    case 'map':
      return [...kernel.inputs, ...kernel.outputs].map((o) => strided(kernel.shape, o))
    case 'reduce': {
      const kept = kernel.shape.filter((_, axis) => !kernel.axes.includes(axis))
      return [...kernel.inputs.map((o) => strided(kernel.shape, o)), strided(kept, kernel.output)]
    }
    case 'matmul': {
      const { batch, m, n, k, a, b, output } = kernel
      return [strided([...batch, m, k], a), strided([...batch, k, n], b), strided([...batch, m, n], output)]
    }
    case 'gather':
    case 'scatterAdd': {
      const { kind, outer, size, inner, count, perOuter, source, index, output } = kernel
      const [whole, listed] = [outer * size * inner, outer * count * inner]
      const [from, to] = kind === 'gather' ? [whole, listed] : [listed, whole]
      return [flat(from, source), flat(perOuter ? outer * count : count, index), flat(to, output)]
    }
    case 'foreach': {
      const needs: number[] = []
      for (const { length, operands } of kernel.parts) {
        for (const { buffer, offset } of operands) needs[buffer] = Math.max(needs[buffer] ?? 0, 4 * (offset + length))
      }
      return Array.from(needs, (bytes) => bytes ?? 0)
    }
  }
}
