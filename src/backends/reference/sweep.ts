import { contiguousStrides, sizeOf } from '../../shapes/strides.js'
import type { DType } from '../../tensor/dtype.js'
import { blockSize, type Program } from './evaluate.js'
import { decode, type Elements } from './memory.js'
import { type Placement, walk } from './walk.js'

/** An operand with its memory. */
export interface Source extends Placement {
  readonly dtype: DType
  readonly elements: Elements
}

/** Permutes sizes or strides into the order in which the axes are walked. */
export const reorder = (values: readonly number[], axes: readonly number[]) => axes.map((axis) => values[axis] ?? 0)

/**
 * Evaluates a program on every element of `shape`, walking its axes in the given order, the last one fastest;
 * `visit` reads the program's results after each block. `first` is the position of the first element.
 */
export function sweep(
  program: Program,
  shape: readonly number[],
  axes: readonly number[],
  inputs: readonly Source[],
  scalars: readonly number[],
  visit: (count: number) => void,
  first = 0,
): void {
  const walked = reorder(shape, axes)
  const start = ({ strides, offset }: Placement) => walk(walked, { strides: reorder(strides, axes), offset })
  const loads = program.inputs.flatMap(({ slot, values }) => {
    const source = inputs[slot]
    return source ? { values, elements: source.elements, dtype: source.dtype, next: start(source) } : []
  })
  const nextIndex = program.index && start({ strides: contiguousStrides(shape), offset: first })
  const positions = new Int32Array(blockSize)

  const total = sizeOf(shape)
  for (let done = 0; done < total; done += blockSize) {
    const count = Math.min(blockSize, total - done)
    for (const { values, elements, dtype, next } of loads) {
      next(count, positions)
      for (let i = 0; i < count; i++) values[i] = elements[positions[i] ?? 0] ?? 0
      decode(values, dtype, count)
    }
    if (program.index) {
      nextIndex?.(count, positions)
      program.index.set(positions)
    }
    program.evaluate(count, scalars)
    visit(count)
  }
}
