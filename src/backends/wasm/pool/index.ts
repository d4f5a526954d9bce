/**
 * Poolings: windows of 2 x 2 side by side four at a time, all others one after another. Sums add up in the order of the
 * window's elements, gradients in the order of windows; both give the same bits on any number of threads.
 */
import { type Pool2dKernel, pool2dTerms } from '../../../kernels/kernel.js'
import { DTypeError } from '../../../tensor/errors.js'
import type { ModuleBuilder } from '../assembler.js'
import type { Entry, Prepared } from '../launch.js'
import type { Mode } from '../modes.js'
import { addPairKernels } from './pairs.js'
import { addWindowKernels } from './windows.js'
import { words } from './words.js'

export function addPoolKernels(module: ModuleBuilder, mode: Mode): void {
  addWindowKernels(module)
  addPairKernels(module, mode)
}

export function preparePool2d(kernel: Pool2dKernel, entry: (name: string) => Entry): Prepared {
  const { pass, combine, planes, size, outSize, kernel: window, stride, padding, countPadding, inputs, output } = kernel
  for (const { dtype } of [...inputs, output]) {
    if (dtype === 'f32') continue
    const message = `pool2d on the wasm device takes f32, got ${dtype}. Cast the operands to f32.`
    throw new DTypeError(message, { op: 'pool2d' })
  }
  const block = new Int32Array(words.count)
  const lists = [
    [words.height, size],
    [words.outHeight, outSize],
    [words.windowHeight, window],
    [words.strideHeight, stride],
    [words.paddingHeight, padding],
  ] as const
  for (const [at, pair] of lists) block.set(pair, at)
  block[words.planes] = planes
  block[words.countPadding] = Number(countPadding)
  const pairs = [...window, ...stride].every((x) => x === 2) && padding.every((x) => x === 0) && outSize[1] >= 4
  const name = `pool${combine === 'max' ? 'Max' : 'Average'}${pairs ? 'Pairs' : ''}${pass === 'backward' ? 'Backward' : ''}`
  const pointers = [...inputs, output].map((operand, i) => ({
    word: i === inputs.length ? words.output : i,
    operand: i,
    bytes: operand.offset * 4,
  }))
  const nanoseconds = pool2dTerms(kernel) * (pairs ? 0.15 : 1)
  const launch = { entry: entry(name), block, pointers, scalars: [], nanoseconds, callWords: words }
  return { launches: planes === 0 ? [] : [launch], scratchBytes: () => 0 }
}
