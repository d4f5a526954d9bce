import type { MatmulKernel } from '../../../src/kernels/kernel.js'
import { fmaF32 } from '../../../src/backends/reference/fma.js'
import { ModuleBuilder } from '../../../src/backends/wasm/assembler.js'
import type { KernelFunction } from '../../../src/backends/wasm/launch.js'
import {
  addMatmulKernels,
  type MatmulChoices,
  matmulEntry,
  type MatmulPlan,
  planMatmul,
} from '../../../src/backends/wasm/matmul/index.js'
import { type Tile, tileName, tiles } from '../../../src/backends/wasm/matmul/tile.js'
import type { Mode } from '../../../src/backends/wasm/modes.js'

/** Bytes a product may read past the last element of an operand. */
const slack = 64
/** What memory holds wherever a product may not write: a NaN, so that using it shows. */
const guard = 0x7fc0dead

const kernels = new Map<string, { memory: WebAssembly.Memory; run: KernelFunction }>()

function kernelOf(mode: Mode, tile: Tile) {
  const key = `${mode.name} ${tileName(tile)}`
  const known = kernels.get(key)
  if (known) return known
  const module = new ModuleBuilder()
  addMatmulKernels(module, mode, tile)
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536 })
  const table = new WebAssembly.Table({ element: 'anyfunc', initial: 0 })
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.build()), { env: { memory, table } })
  const made = { memory, run: exports[matmulEntry] as KernelFunction }
  kernels.set(key, made)
  return made
}

export interface Operands {
  readonly a: Float32Array
  readonly b: Float32Array
  /** Elements of the output's buffer. */
  readonly outputLength: number
}

export interface RunOptions {
  readonly threads?: number
  /** The only thread to run, of `threads`. */
  readonly only?: number
  readonly choices?: Partial<MatmulChoices>
  /** Default: the mode's first. */
  readonly tile?: Tile
}

/**
 * Runs a product, its threads one after the other, and returns the output's whole buffer. The second operand is placed
 * at the very end of memory, so that reading further than the slack traps.
 *
 * @throws when anything but the output's elements and the workspace has changed
 */
export function runMatmul(
  kernel: MatmulKernel,
  mode: Mode,
  { a, b, outputLength }: Operands,
  { threads = 1, only, choices = {}, tile = tiles[mode.name] }: RunOptions = {},
): Float32Array {
  const plan = planMatmul(kernel, mode, choices, tile)
  const { memory, run } = kernelOf(mode, tile)
  const at = placed([plan.block.byteLength, plan.workBytes * threads, outputLength * 4, a.byteLength, b.byteLength])
  const [blockAt = 0, workAt = 0, outputAt = 0, aAt = 0, bAt = 0] = at.starts
  const missing = at.end - memory.buffer.byteLength
  if (missing > 0) memory.grow(Math.ceil(missing / 65536))
  // Everything is moved so that b's slack ends where memory does.
  const shift = memory.buffer.byteLength - at.end
  const all = new Uint32Array(memory.buffer)
  all.fill(guard)
  const floats = (start: number, length: number) => new Float32Array(memory.buffer, start + shift, length)
  floats(aAt, a.length).set(a)
  floats(bAt, b.length).set(b)
  new Int32Array(memory.buffer, blockAt + shift, plan.block.length).set(
    fill(
      plan,
      [aAt, bAt, outputAt].map((x) => x + shift),
      workAt + shift,
    ),
  )
  const before = all.slice()
  for (let thread = 0; thread < threads; thread++)
    if (only === undefined || only === thread) run(blockAt + shift, thread, threads)

  const output = floats(outputAt, outputLength).slice()
  const writable = new Set(elements(kernel).map((i) => (outputAt + shift) / 4 + i))
  const [workFrom, workTo] = [(workAt + shift) / 4, (workAt + shift + plan.workBytes * threads) / 4]
  for (let i = 0; i < all.length; i++) {
    if (all[i] !== before[i] && !writable.has(i) && !(i >= workFrom && i < workTo))
      throw new Error(`wrote outside the output, at word ${i}`)
  }
  return output
}

function placed(sizes: readonly number[]): { starts: number[]; end: number } {
  let end = 256
  const starts = sizes.map((size) => {
    const start = end
    end = Math.ceil((start + size + slack) / 64) * 64
    return start
  })
  const last = sizes.length - 1
  return { starts, end: (starts[last] ?? 0) + Math.ceil((sizes[last] ?? 0) / 64) * 64 + slack }
}

function fill(plan: MatmulPlan, operands: readonly number[], work: number): Int32Array {
  const block = plan.block.slice()
  for (const { word, operand, bytes } of plan.pointers)
    block[word] = (operand < 0 ? work : (operands[operand] ?? 0)) + bytes
  return block
}

function forEachBatch({ batch }: MatmulKernel, visit: (index: readonly number[]) => void): void {
  const count = batch.reduce((all, size) => all * size, 1)
  for (let flat = 0; flat < count; flat++) {
    let rest = flat
    const index = batch.map(() => 0)
    for (let axis = batch.length - 1; axis >= 0; axis--) {
      index[axis] = rest % (batch[axis] ?? 1)
      rest = Math.floor(rest / (batch[axis] ?? 1))
    }
    visit(index)
  }
}

const dot = (strides: readonly number[], index: readonly number[]) =>
  index.reduce((sum, x, i) => sum + x * (strides[i] ?? 0), 0)

/** Positions of the output's elements in its buffer. */
function elements(kernel: MatmulKernel): number[] {
  const { m, n, output } = kernel
  const found: number[] = []
  forEachBatch(kernel, (index) => {
    for (let i = 0; i < m; i++)
      for (let j = 0; j < n; j++) found.push(output.offset + dot(output.strides, [...index, i, j]))
  })
  return found
}

/** One f32 sum per element, k ascending, with or without fused multiply-add. */
export function reference(kernel: MatmulKernel, { a, b, outputLength }: Operands, fma: boolean): Float32Array {
  const result = new Float32Array(new Uint32Array(outputLength).fill(guard).buffer)
  const { m, n, k } = kernel
  forEachBatch(kernel, (index) => {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0
        for (let p = 0; p < k; p++) {
          const x = a[kernel.a.offset + dot(kernel.a.strides, [...index, i, p])] ?? NaN
          const y = b[kernel.b.offset + dot(kernel.b.strides, [...index, p, j])] ?? NaN
          sum = fma ? fmaF32(x, y, sum) : Math.fround(sum + Math.fround(x * y))
        }
        result[kernel.output.offset + dot(kernel.output.strides, [...index, i, j])] = sum
      }
    }
  })
  return result
}

/** Positions that were written: nothing a product of ordinary numbers stores is the guard's NaN. */
export const written = (output: Float32Array): number[] =>
  [...new Uint32Array(output.buffer).entries()].filter(([, bits]) => bits !== guard).map(([i]) => i)

/** Where two results differ in their bits, or undefined. */
export function firstDifference(x: Float32Array, y: Float32Array): string | undefined {
  const [p, q] = [new Uint32Array(x.buffer, x.byteOffset, x.length), new Uint32Array(y.buffer, y.byteOffset, y.length)]
  if (p.length !== q.length) return `lengths ${p.length} and ${q.length}`
  for (let i = 0; i < p.length; i++) if (p[i] !== q[i]) return `element ${i}: ${x[i]} and ${y[i]}`
  return undefined
}

export interface Layout {
  readonly batch?: readonly number[]
  readonly m: number
  readonly n: number
  readonly k: number
  /** Which operands are stored with their last two axes exchanged. */
  readonly transposed?: { readonly a?: boolean; readonly b?: boolean; readonly output?: boolean }
  /** Batch axes along which an operand is shared. */
  readonly sharedA?: readonly number[]
  readonly sharedB?: readonly number[]
  /** Elements between the end of one row and the start of the next. */
  readonly padding?: number
  /** Elements from one column to the next. */
  readonly spread?: number
  readonly offset?: number
}

/** A kernel over operands laid out as described, filled with numbers of mixed size and sign. */
export function product({
  batch = [],
  m,
  n,
  k,
  transposed = {},
  sharedA = [],
  sharedB = [],
  padding = 0,
  spread = 1,
  offset = 0,
}: Layout) {
  const operand = (rows: number, columns: number, turned: boolean, shared: readonly number[]) => {
    const [outer, inner] = turned ? [columns, rows] : [rows, columns]
    const pitch = inner * spread + padding
    let size = Math.max(1, outer) * pitch
    const steps = batch.map(() => 0)
    for (let axis = batch.length - 1; axis >= 0; axis--) {
      if (shared.includes(axis)) continue
      steps[axis] = size
      size *= batch[axis] ?? 1
    }
    const last = turned ? [spread, pitch] : [pitch, spread]
    return { description: { dtype: 'f32' as const, strides: [...steps, ...last], offset }, length: size + offset }
  }
  const a = operand(m, k, transposed.a ?? false, sharedA)
  const b = operand(k, n, transposed.b ?? false, sharedB)
  const output = operand(m, n, transposed.output ?? false, [])
  const kernel: MatmulKernel = {
    kind: 'matmul',
    batch,
    m,
    n,
    k,
    a: a.description,
    b: b.description,
    output: output.description,
  }
  const random = numbers(m * 31 + n * 7 + k)
  const filled = (length: number) => Float32Array.from({ length }, random)
  const operands: Operands = { a: filled(a.length), b: filled(b.length), outputLength: output.length }
  return { kernel, operands }
}

function numbers(seed: number): () => number {
  let state = (seed * 2654435761) >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state / 2 ** 32 - 0.5) * 2 ** ((state >>> 7) % 9)
  }
}
