import type { TypedArray } from './elements.js'
import type { TensorRecord } from './record.js'

/** Tensors with more elements are shortened to the first and last `edge` of each axis, as NumPy does. */
const threshold = 1000
const edge = 3
const digits = 4

/** `Tensor [2, 3] f32 taped` and the values below, columns aligned, long axes shortened. */
export function formatTensor(record: TensorRecord): string {
  const tape = record.tape === 'taped' ? ' taped' : ''
  const head = `Tensor [${record.shape.join(', ')}] ${record.dtype}${tape}`
  if (record.storage.halfWritten) return `${head} (half-written: a run broke off)`
  if (!record.storage.readable) return `${head} (captured: no value yet)`
  if (!record.storage.readSync(0, 0)) return `${head} (values: await x.array())`
  if (record.size === 0) return `${head}\n[]`
  return `${head}\n${formatValues(record.shape, record.dtype, record.dataSync())}`
}

function formatValues(shape: readonly number[], dtype: string, data: TypedArray): string {
  const shown = shownIndices(shape, data.length > threshold)
  const cells = new Map<number, string>()
  const visit = (axis: number, start: number): void => {
    const size = shape[axis]
    if (size === undefined) {
      cells.set(start, '')
      return
    }
    for (const i of shown[axis] ?? []) if (i >= 0) visit(axis + 1, start * size + i)
  }
  visit(0, 0)
  const show = elementFormat(
    dtype,
    Array.from(cells.keys(), (i) => data[i] ?? 0),
  )
  for (const i of cells.keys()) cells.set(i, show(data[i] ?? 0))
  const width = Math.max(...Array.from(cells.values(), (cell) => cell.length))

  const print = (axis: number, start: number): string => {
    const size = shape[axis]
    if (size === undefined) return (cells.get(start) ?? '').padStart(width)
    const parts = (shown[axis] ?? []).map((i) => (i < 0 ? '...' : print(axis + 1, start * size + i)))
    const last = axis === shape.length - 1
    const gap = '\n'.repeat(shape.length - axis - 1) + ' '.repeat(axis + 1)
    return `[${parts.join(last ? ' ' : gap)}]`
  }
  return print(0, 0)
}

/** Per axis the indices that are printed; −1 stands for the dots. */
function shownIndices(shape: readonly number[], shorten: boolean): number[][] {
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
  return shape.map((size) =>
    shorten && size > 2 * edge ? [...range(0, edge), -1, ...range(size - edge, size)] : range(0, size),
  )
}

function elementFormat(dtype: string, values: readonly number[]): (value: number) => string {
  if (dtype === 'bool') return (value) => (value ? 'true' : 'false')
  if (dtype === 'i32' || dtype === 'u32' || values.every((v) => Number.isInteger(v) && Math.abs(v) < 1e8)) return String
  const sizes = values.filter((v) => Number.isFinite(v) && v !== 0).map(Math.abs)
  const scientific =
    Math.max(...sizes) >= 1e8 || Math.min(...sizes) < 1e-4 || Math.max(...sizes) / Math.min(...sizes) > 1e3
  if (scientific && sizes.some((v) => v >= 1e5 || v < 1e-3))
    return (v) => (Number.isFinite(v) ? v.toExponential(digits) : String(v))
  return (v) => (Number.isFinite(v) ? v.toFixed(digits) : String(v))
}
