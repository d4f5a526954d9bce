import type { Expr } from '../../kernels/expr.js'
import {
  arithmeticDTypes,
  conv2dSizes,
  exprsOf,
  type Kernel,
  type MatmulKernel,
  type Operand,
  type Place,
  pool2dSizes,
  type WithEpilogue,
} from '../../kernels/kernel.js'
import { touches } from '../../kernels/places.js'
import { DeviceError } from '../../tensor/errors.js'
import { bytesPerElement } from '../../tensor/backend.js'
import { isHalf } from '../../tensor/dtype.js'
import { DTypeError } from '../../tensor/errors.js'
import { withEpilogue } from './epilogue.js'
import { prepareForeach } from './foreach.js'
import type { Target } from './generated.js'
import { defineIndexKernels, prepareIndexKernel } from './index-kernels.js'
import { kernelEntry } from './kernel-module.js'
import type { Prepared } from './launch.js'
import { prepareMap } from './map.js'
import { matmulCalls, matmulEntry, matmulFamily, planMatmul } from './matmul/index.js'
import { NativeKernel } from './native-kernel.js'
import { prepareReduce } from './reduce.js'
import { prepareRows } from './row-stages.js'

/** Turns a descriptor into launches. Throws what is wrong with it before anything runs. */
export function prepare(kernel: Kernel, target: Target): Prepared {
  const half = arithmeticDTypes(kernel).find(isHalf)
  if (half) throw new DTypeError(`${kernel.kind} is not defined on ${half}: cast to f32 first.`, { op: kernel.kind })
  const prepared = prepareKernel(kernel, target)
  if (!('epilogue' in kernel) || !kernel.epilogue) return prepared
  const { output, epilogue } = kernel
  return withEpilogue(prepared, epilogue, output, kernel.kind === 'pool2d' ? kernel.inputs.length : 2, target)
}

function prepareKernel(kernel: Kernel, target: Target): Prepared {
  switch (kernel.kind) {
    case 'map':
      return prepareMap(kernel, target)
    case 'foreach':
      return prepareForeach(kernel, target)
    case 'reduce':
      return prepareReduce(kernel, target)
    case 'rows':
      return prepareRows(kernel, target)
    case 'matmul':
      return prepareMatmul(kernel, target)
    case 'conv2d':
    case 'pool2d': {
      const { wasm } = kernel.native
      if (wasm instanceof NativeKernel) return wasm.prepare(kernel, target)
      throw new DeviceError(
        `${kernel.kind} came without code for the wasm device, expected it in its descriptor. Use the op of this package.`,
        { op: kernel.kind },
      )
    }
    case 'gather':
    case 'scatter':
      return prepareIndexKernel(kernel, (name) => kernelEntry(target, defineIndexKernels, name))
  }
}

/** `order`: the position of each operand in the list of buffers. */
export function prepareMatmul(kernel: MatmulKernel, target: Target, order: readonly number[] = [0, 1, 2]): Prepared {
  const { block, pointers: own, nanoseconds, workBytes } = planMatmul(kernel, target.mode, {}, target.tile)
  const pointers = own.map((pointer) => ({ ...pointer, operand: order[pointer.operand] ?? pointer.operand }))
  const launch = {
    entry: kernelEntry(target, matmulFamily(target.tile), matmulEntry),
    block,
    pointers,
    scalars: [],
    nanoseconds,
    callWords: matmulCalls,
  }
  const nothing = kernel.m === 0 || kernel.n === 0 || kernel.batch.includes(0)
  return { launches: nothing ? [] : [launch], scratchBytes: (threads) => threads * workBytes }
}

const operandKey = ({ dtype, strides, offset }: Operand): string => `${dtype}${strides.join()}+${offset}`

const operands = (all: readonly Operand[]): string => all.map(operandKey).join()
const exprs = (all: readonly Expr[]): string => all.map((e) => e.key).join('|')
const epilogueKey = ({ epilogue }: WithEpilogue): string =>
  epilogue ? `${epilogue.shape}|${operands(epilogue.inputs)}|${epilogue.expr.key}` : ''

/** Structure of a descriptor as text: equal texts mean equal launches. */
export function kernelKey(kernel: Kernel): string {
  switch (kernel.kind) {
    case 'map':
      return ['m', kernel.shape, operands(kernel.inputs), operands(kernel.outputs), exprs(kernel.exprs)].join('|')
    case 'reduce': {
      const { combine, shape, axes, inputs, output, expr } = kernel
      return ['r', combine, shape, axes, operands(inputs), operandKey(output), expr.key].join('|')
    }
    case 'rows': {
      const stages = kernel.stages.map(({ pass, expr, output }) =>
        [pass, expr.key, output && operandKey(output)].join(),
      )
      return ['s', kernel.shape, operands(kernel.inputs), ...stages].join('|')
    }
    case 'matmul': {
      const { batch, m, n, k, a, b, output } = kernel
      return ['x', batch, m, n, k, operands([a, b, output]), epilogueKey(kernel)].join('|')
    }
    case 'conv2d': {
      const { pass, batch, inChannels, outChannels, groups, size, outSize, kernel: window, a, b, output } = kernel
      const { stride, padding, dilation } = kernel
      const numbers = [batch, inChannels, outChannels, groups, size, outSize, window, stride, padding, dilation]
      return ['c', pass, ...numbers, operands([a, b, output]), epilogueKey(kernel)].join('|')
    }
    case 'pool2d': {
      const { pass, combine, planes, size, outSize, kernel: window, stride, padding, countPadding } = kernel
      const numbers = [planes, size, outSize, window, stride, padding]
      const all = operands([...kernel.inputs, kernel.output])
      return ['p', pass, combine, ...numbers, countPadding, all, epilogueKey(kernel)].join('|')
    }
    case 'gather':
    case 'scatter': {
      const { outer, size, inner, count, perOuter, source, index, output, inRange, op } = kernel
      const kind = kernel.kind === 'gather' ? kernel.kind : kernel.combine
      return [kind, op, outer, size, inner, count, perOuter, inRange, operands([source, index, output])].join('|')
    }
    case 'foreach': {
      const places = (all: readonly Place[] = []) => all.map(({ buffer, offset }) => `${buffer}+${offset}`).join()
      const parts = kernel.parts.map(({ length, operands, uniforms, guard }) =>
        [length, places(operands), places(uniforms), places(guard && [guard])].join(':'),
      )
      const reductions = kernel.reductions?.map(({ combine, over, result }) => [combine, over, places([result])])
      const { inputs, outputs, uniforms } = kernel
      return ['f', inputs, outputs, uniforms, parts, reductions?.join(':'), exprs(exprsOf(kernel))].join('|')
    }
  }
}

/** Bytes each buffer of the list must have at least. */
export function extents(kernel: Kernel): readonly number[] {
  const strided = (shape: readonly number[], { dtype, strides, offset }: Operand) => {
    if (shape.includes(0)) return 0
    const reach = shape.reduce((last, size, axis) => last + Math.max(0, (size - 1) * (strides[axis] ?? 0)), offset)
    return bytesPerElement[dtype] * (1 + reach)
  }
  const flat = (length: number, { dtype, offset }: Operand) =>
    length === 0 ? 0 : bytesPerElement[dtype] * (offset + length)
  /** With those of the epilogue's inputs before the output, which is last. */
  const withInputs = ({ epilogue }: WithEpilogue, needs: readonly number[]): readonly number[] => {
    const inputs = epilogue?.inputs.map((o) => strided(epilogue.shape, o)) ?? []
    return [...needs.slice(0, -1), ...inputs, ...needs.slice(-1)]
  }
  switch (kernel.kind) {
    case 'map':
      return [...kernel.inputs, ...kernel.outputs].map((o) => strided(kernel.shape, o))
    case 'rows': {
      const outputs = kernel.stages.flatMap(({ output }) => output ?? [])
      return [...kernel.inputs, ...outputs].map((o) => strided(kernel.shape, o))
    }
    case 'reduce': {
      const kept = kernel.shape.filter((_, axis) => !kernel.axes.includes(axis))
      return [...kernel.inputs.map((o) => strided(kernel.shape, o)), strided(kept, kernel.output)]
    }
    case 'matmul': {
      const { batch, m, n, k, a, b, output } = kernel
      const needs = [strided([...batch, m, k], a), strided([...batch, k, n], b), strided([...batch, m, n], output)]
      return withInputs(kernel, needs)
    }
    case 'conv2d': {
      const [a, b, output] = conv2dSizes(kernel)
      return withInputs(kernel, [flat(a, kernel.a), flat(b, kernel.b), flat(output, kernel.output)])
    }
    case 'pool2d': {
      const all = [...kernel.inputs, kernel.output]
      return withInputs(
        kernel,
        pool2dSizes(kernel).map((length, i) => flat(length, all[i] ?? kernel.output)),
      )
    }
    case 'gather':
    case 'scatter': {
      const { kind, outer, size, inner, count, perOuter, source, index, output } = kernel
      const [whole, listed] = [outer * size * inner, outer * count * inner]
      const [from, to] = kind === 'gather' ? [whole, listed] : [listed, whole]
      return [flat(from, source), flat(perOuter ? outer * count : count, index), flat(to, output)]
    }
    case 'foreach': {
      const needs: number[] = []
      for (const { place, dtype, length } of touches(kernel))
        needs[place.buffer] = Math.max(needs[place.buffer] ?? 0, bytesPerElement[dtype] * (place.offset + length))
      return Array.from(needs, (bytes) => bytes ?? 0)
    }
  }
}
