import type { GatherKernel, ScatterKernel } from '../../kernels/kernel.js'
import { contiguousStrides } from '../../shapes/strides.js'
import { DTypeError, ShapeError } from '../../tensor/errors.js'
import { checkBuffers, checkDType, checkOperand } from './check.js'
import type { Elements, ReferenceBuffer } from './memory.js'

/** `output[o, c, i] = source[o, index[c], i]`, or `index[o, c]` when `perOuter`. */
export function runGather(kernel: GatherKernel, buffers: readonly ReferenceBuffer[]): void {
  const { outer, size, inner, count } = kernel
  const bound = bind(kernel, buffers, [outer, size, inner], [outer, count, inner])
  eachRow(kernel, bound, (selected, listed) => {
    const from = kernel.source.offset + selected
    const to = kernel.output.offset + listed
    for (let i = 0; i < inner; i++) bound.output[to + i] = bound.source[from + i] ?? 0
  })
}

/** `output[o, index[c], i] += source[o, c, i]`, or `=`, in ascending c, every addition rounded to the dtype. */
export function runScatter(kernel: ScatterKernel, buffers: readonly ReferenceBuffer[]): void {
  const { outer, size, inner, count } = kernel
  const adds = kernel.combine === 'add'
  if (adds && kernel.output.dtype === 'bool') {
    throw new DTypeError('scatter: adding is not defined on bool; cast to a number first.', { op: 'scatter' })
  }
  const bound = bind(kernel, buffers, [outer, count, inner], [outer, size, inner])
  eachRow(kernel, bound, (selected, listed) => {
    const from = kernel.source.offset + listed
    const to = kernel.output.offset + selected
    for (let i = 0; i < inner; i++) {
      const value = bound.source[from + i] ?? 0
      bound.output[to + i] = adds ? (bound.output[to + i] ?? 0) + value : value
    }
  })
}

type Indexed = GatherKernel | ScatterKernel
interface Bound {
  readonly source: Elements
  readonly index: Elements
  readonly output: Elements
}

/** The three operands' memory, after everything has been checked: layouts, dtypes and every index. */
function bind(
  kernel: Indexed,
  buffers: readonly ReferenceBuffer[],
  sourceShape: readonly number[],
  outputShape: readonly number[],
): Bound {
  const { kind, outer, count, perOuter } = kernel
  checkBuffers(kind, 3, buffers.length)
  checkDType(kind, 'source', kernel.output.dtype, kernel.source.dtype)
  if (kernel.index.dtype !== 'i32' && kernel.index.dtype !== 'u32') {
    throw new DTypeError(`${kind}: index must be i32 or u32, got ${kernel.index.dtype}; cast it.`, { op: kind })
  }
  const [source, index, output] = [kernel.source, kernel.index, kernel.output].map(({ dtype }, i) =>
    buffers[i]?.elements(dtype),
  )
  if (!source || !index || !output)
    throw new ShapeError(`${kind}: source, index and output must be bound.`, { op: kind })
  const contiguous = (shape: readonly number[], { offset }: { offset: number }) => ({
    strides: contiguousStrides(shape),
    offset,
  })
  const indexShape = perOuter ? [outer, count] : [count]
  checkOperand(kind, 'source', sourceShape, contiguous(sourceShape, kernel.source), source)
  checkOperand(kind, 'index', indexShape, contiguous(indexShape, kernel.index), index)
  checkOperand(kind, 'output', outputShape, contiguous(outputShape, kernel.output), output)
  checkIndices(kernel, index)
  return { source, index, output }
}

/** Throws `ShapeError` naming value, position and size for the first index outside `0 … size − 1`. */
function checkIndices(kernel: Indexed, index: Elements): void {
  const { outer, count, perOuter, size, op = kernel.kind } = kernel
  const { offset } = kernel.index
  const length = perOuter ? outer * count : count
  for (let at = 0; at < length; at++) {
    const value = index[offset + at] ?? -1
    if (value >= 0 && value < size) continue
    const range =
      size === 0
        ? 'but the axis has size 0, so no index is valid'
        : `but the axis has size ${size}: use 0 to ${size - 1}`
    throw new ShapeError(`${op}: index ${value} at position ${at} is out of range, ${range}.`, { op })
  }
}

/** Visits the first elements of each pair of rows: the selected one (`[outer, size, inner]`) and the listed one. */
function eachRow(kernel: Indexed, { index }: Bound, visit: (selected: number, listed: number) => void): void {
  const { outer, size, inner, count, perOuter } = kernel
  for (let o = 0; o < outer; o++) {
    for (let c = 0; c < count; c++) {
      const row = index[kernel.index.offset + (perOuter ? o * count + c : c)] ?? 0
      visit((o * size + row) * inner, (o * count + c) * inner)
    }
  }
}
