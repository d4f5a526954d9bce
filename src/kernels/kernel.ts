import type { DType } from '../shapes/dtype.js'
import type { Expr } from './expr.js'

/**
 * Kernel descriptors: what a backend can be asked to do, as pure data. A descriptor names sizes, strides
 * and expressions; which buffers it works on is said when it runs, so one descriptor can run many times.
 * Offsets and strides count elements, never bytes.
 */

/** How one operand is laid out over the kernel's iteration space: stride 0 repeats along that axis. */
export interface Operand {
  readonly dtype: DType
  /** One stride per axis of the space this operand spans. */
  readonly strides: readonly number[]
  /** First element, counted from the start of the buffer. */
  readonly offset: number
}

/** `outputs[j][i] = exprs[j](inputs[…][i])` for every `i` of `shape`. An output may be one of the inputs, in place. */
export interface MapKernel {
  readonly kind: 'map'
  readonly shape: readonly number[]
  readonly inputs: readonly Operand[]
  readonly outputs: readonly Operand[]
  readonly exprs: readonly Expr[]
}

export type Combine = 'sum' | 'max' | 'min' | 'argmax' | 'argmin'

/**
 * Combines `expr(inputs…)` over `axes` of `shape`; the output spans the axes that are kept.
 * `max`, `min` carry NaN on. `argmax`, `argmin` (one axis, output i32) give the first extreme; NaN counts as extreme.
 * The order of the sum is fixed by the shape alone, never by threads.
 */
export interface ReduceKernel {
  readonly kind: 'reduce'
  readonly combine: Combine
  readonly shape: readonly number[]
  /** Ascending. */
  readonly axes: readonly number[]
  readonly inputs: readonly Operand[]
  readonly expr: Expr
  /** Spans the kept axes. */
  readonly output: Operand
}

/**
 * `out[…, m, n] = Σ_k a[…, m, k] · b[…, k, n]`, k ascending, one accumulator per output element.
 * Operands span `[...batch, rows, columns]`; stride 0 on a batch axis shares that operand.
 */
export interface MatmulKernel {
  readonly kind: 'matmul'
  readonly batch: readonly number[]
  readonly m: number
  readonly n: number
  readonly k: number
  readonly a: Operand
  readonly b: Operand
  readonly output: Operand
}

/**
 * `output[o, c, i] = source[o, index[c], i]`, or `index[o, c]` when `perOuter`. Source `[outer, size, inner]`,
 * output `[outer, count, inner]`; all contiguous from their offset. Every index is checked before anything is written.
 */
export interface GatherKernel {
  readonly kind: 'gather'
  readonly outer: number
  readonly size: number
  readonly inner: number
  readonly count: number
  readonly perOuter: boolean
  readonly source: Operand
  readonly index: Operand
  readonly output: Operand
}

/**
 * `output[o, index[c], i] += source[o, c, i]`, in ascending c: the adjoint of `gather`, same fields,
 * `source` being `[outer, count, inner]` and `output` `[outer, size, inner]`, which is added to in place.
 */
export interface ScatterAddKernel {
  readonly kind: 'scatterAdd'
  readonly outer: number
  readonly size: number
  readonly inner: number
  readonly count: number
  readonly perOuter: boolean
  readonly source: Operand
  readonly index: Operand
  readonly output: Operand
}

/** One stretch of a whole-model pass: `length` consecutive elements of each operand. */
export interface Part {
  readonly length: number
  /** Per operand (inputs first, then outputs): which of the bound buffers, and its first element. */
  readonly operands: readonly { readonly buffer: number; readonly offset: number }[]
}

/**
 * A map over many contiguous stretches in one launch: optimizer steps and model updates.
 * `exprs` read `inputs` operands of the given dtypes and write one output each, in place allowed.
 */
export interface ForeachKernel {
  readonly kind: 'foreach'
  readonly inputs: readonly DType[]
  readonly outputs: readonly DType[]
  readonly exprs: readonly Expr[]
  readonly parts: readonly Part[]
}

export type Kernel = MapKernel | ReduceKernel | MatmulKernel | GatherKernel | ScatterAddKernel | ForeachKernel
