import type { Operand } from '../../kernels/kernel.js'
import { halfBits } from '../../shapes/half.js'
import { type DType, isHalf } from '../../tensor/dtype.js'
import type { Contents } from './case.js'
import { contentsOf, emptyContents, type Random, randomElement, type Style } from './random.js'

/** An operand and what its buffer holds. */
export interface Bound {
  readonly operand: Operand
  readonly contents: Contents
}

/** How an operand lies in its buffer. Nothing said: row-major from the first element. */
export interface Layout {
  /** Axes from the slowest to the fastest in memory. */
  readonly order?: readonly number[]
  /** Axes along which one element is repeated (stride 0). */
  readonly repeat?: readonly number[]
  /** Elements between the end of one row of an axis and the next: a view of a larger array. */
  readonly gap?: number
  /** Elements between neighbours of the fastest axis. */
  readonly step?: number
  readonly offset?: number
}

/** The operand's strides and how many elements its buffer has, with a few behind the last to notice overruns. */
function place(shape: readonly number[], layout: Layout): { strides: number[]; offset: number; length: number } {
  const { order = [...shape.keys()], repeat = [], gap = 0, step = 1, offset = 0 } = layout
  const strides = shape.map(() => 0)
  let next = step
  for (const axis of [...order].reverse()) {
    if (repeat.includes(axis)) continue
    strides[axis] = next
    next = next * (shape[axis] ?? 1) + gap
  }
  return { strides, offset, length: offset + next + 5 }
}

/** Visits the position of every element of an operand. */
function eachPosition(
  shape: readonly number[],
  strides: readonly number[],
  offset: number,
  visit: (at: number) => void,
) {
  const along = (axis: number, from: number): void => {
    const size = shape[axis]
    if (size === undefined) visit(from)
    else for (let i = 0; i < size; i++) along(axis + 1, from + i * (strides[axis] ?? 0))
  }
  along(0, offset)
}

/** What must not be read: NaN in floats, a far value in integers. */
const strangerOf = (dtype: DType) =>
  isHalf(dtype) ? 0x7fff : dtype === 'f32' || dtype === 'f64' ? Number.NaN : dtype === 'bool' ? 1 : 123456789

/** An operand with random elements, surrounded by values that spoil every result that uses them. */
export function readable(random: Random, dtype: DType, shape: readonly number[], layout: Layout, style: Style): Bound {
  const { strides, offset, length } = place(shape, layout)
  const contents = emptyContents(dtype, length).fill(strangerOf(dtype))
  eachPosition(shape, strides, offset, (at) => {
    const value = randomElement(random, dtype, style)
    contents[at] = isHalf(dtype) ? halfBits(value, dtype) : value
  })
  return { operand: { dtype, strides, offset }, contents }
}

/** An operand to be written to; its neighbours must keep the value they have. */
export function writable(dtype: DType, shape: readonly number[], layout: Layout = {}): Bound {
  const { strides, offset, length } = place(shape, { ...layout, repeat: [] })
  return { operand: { dtype, strides, offset }, contents: emptyContents(dtype, length).fill(dtype === 'bool' ? 7 : 77) }
}

/** A contiguous operand of rank 1 with exactly these elements. */
export function vector(dtype: DType, values: readonly number[]): Bound {
  return { operand: { dtype, strides: [1], offset: 0 }, contents: contentsOf(dtype, values) }
}

/** Any layout: permuted, repeated along some axes if reading, with gaps, steps and an offset. */
export function randomLayout(random: Random, rank: number, mayRepeat: boolean): Layout {
  const axes = Array.from({ length: rank }, (_, axis) => axis)
  return {
    order: random.chance(0.5) ? random.shuffled(axes) : axes,
    repeat: mayRepeat && random.chance(0.4) ? axes.filter(() => random.chance(0.5)) : [],
    gap: random.chance(0.4) ? random.whole(1, 3) : 0,
    step: random.chance(0.2) ? random.whole(2, 3) : 1,
    offset: random.chance(0.5) ? random.whole(1, 9) : 0,
  }
}
