import type { DType } from '../shapes/dtype.js'
import { contiguousStrides, sizeOf } from '../shapes/strides.js'
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

/** A kernel that may carry an epilogue. */
export type WithEpilogue = MatmulKernel | Conv2dKernel | Pool2dKernel

/** The epilogue as a kernel of its own, to run after the rest: on the output in place, then the epilogue's inputs. */
export const epilogueMap = ({ shape, inputs, expr }: Epilogue, output: Operand): MapKernel => {
  const packed = { ...output, strides: contiguousStrides(shape) }
  return { kind: 'map', shape, inputs: [packed, ...inputs], outputs: [packed], exprs: [expr] }
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
 * One step of a `rows` kernel. Its expression's input j is the number that stage j gave for the row (of earlier stages
 * with one), input `stages.length + i` is `inputs[i]`.
 *
 * - `sum`, `max`, `min` combine the expression over the row into one number, in the order of a `reduce` over the row;
 * - `once` gives one number from numbers: it reads only inputs that do not move along the row;
 * - `each` computes the row's elements, which no other stage reads.
 */
export interface RowStage {
  readonly pass: 'sum' | 'max' | 'min' | 'once' | 'each'
  readonly expr: Expr
  /** Spans the space, not moving along the row where the stage gives one number. Absent: only other stages read it. */
  readonly output?: Operand
}

/** Longer rows are reduced in blocks, by several threads, and so not row by row. */
export const longestRow = 8192

/**
 * Reductions over the last axis and what is computed from them, row by row: the same bits as one kernel after another,
 * but the row stays in the cache. A row has 1 to `longestRow` elements. No output is an input.
 */
export interface RowsKernel {
  readonly kind: 'rows'
  /** The last axis is the row. */
  readonly shape: readonly number[]
  readonly inputs: readonly Operand[]
  readonly stages: readonly RowStage[]
}

/**
 * What becomes of each element of an output before it is stored, as a map over that output would do it afterwards, bit
 * for bit: `expr`, whose input 0 is the element and whose input `1 + i` is `inputs[i]`. The output is then contiguous
 * from its offset, `shape` is any factorization of its size, and none of the inputs is the output or shares memory with it.
 */
export interface Epilogue {
  readonly shape: readonly number[]
  readonly inputs: readonly Operand[]
  readonly expr: Expr
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
  readonly epilogue?: Epilogue | undefined
}

/**
 * `output[o, c, i] = source[o, index[c], i]`, or `index[o, c]` when `perOuter`. Source `[outer, size, inner]`,
 * output `[outer, count, inner]`; all contiguous from their offset. Every index is checked before
 * anything is written, unless they are known to be `inRange`.
 */
export interface GatherKernel {
  readonly kind: 'gather'
  readonly outer: number
  readonly size: number
  readonly inner: number
  readonly count: number
  readonly perOuter: boolean
  /** Who asked for it: errors about indices name this, if there is one. */
  readonly op?: string
  /** All indices were checked before, in memory that has not changed since. */
  readonly inRange?: true
  readonly source: Operand
  readonly index: Operand
  readonly output: Operand
}

/**
 * `output[o, index[c], i] += source[o, c, i]`, or `=` for `set`, in ascending c; same fields as `gather`, whose adjoint it
 * is, `source` being `[outer, count, inner]` and `output` `[outer, size, inner]`. Other rows of the output stay as they are.
 */
export interface ScatterKernel {
  readonly kind: 'scatter'
  readonly combine: 'add' | 'set'
  readonly outer: number
  readonly size: number
  readonly inner: number
  readonly count: number
  readonly perOuter: boolean
  /** Who asked for it: errors about indices name this, if there is one. */
  readonly op?: string
  /** All indices were checked before, in memory that has not changed since. */
  readonly inRange?: true
  readonly source: Operand
  readonly index: Operand
  readonly output: Operand
}

/** Along height and along width. */
export type Pair = readonly [height: number, width: number]

/**
 * What backends have for a kind of kernel that few programs use, by the backend's name (`src/native`): it comes with the
 * ops that need it, so that other programs carry none of its code. Opaque to everybody but the backend.
 */
export type Native = Readonly<Record<string, unknown>>

/**
 * One of the three passes of a 2d convolution. Images are `[batch, channels, height, width]`, weights
 * `[outChannels, inChannels / groups, kernel…]`; all contiguous from their offset. Zeros surround the image by `padding`.
 *
 * - `forward`: a = input, b = weight, output `y[n, f, oy, ox] = Σ x[n, c, oy·stride + ky·dilation − padding, …] · w[f, c, ky, kx]`,
 *   added up in ascending c, ky, kx.
 * - `inputGradient`: a = gradient of the output, b = weight, output = gradient of the input; the adjoint, added up in
 *   ascending f, then in ascending place of the gradient, which is descending ky, kx.
 * - `weightGradient`: a = input, b = gradient of the output, output = gradient of the weight; a sum over images and
 *   places whose order depends on the sizes alone.
 *
 * In the first two each element has one accumulator, which starts from 0. Elements of the padding are terms like others.
 */
export interface Conv2dKernel {
  readonly kind: 'conv2d'
  readonly native: Native
  readonly pass: 'forward' | 'inputGradient' | 'weightGradient'
  readonly batch: number
  /** Of the whole image; each group sees its own `inChannels / groups` and makes `outChannels / groups`. */
  readonly inChannels: number
  readonly outChannels: number
  readonly groups: number
  readonly size: Pair
  readonly outSize: Pair
  readonly kernel: Pair
  readonly stride: Pair
  readonly padding: Pair
  readonly dilation: Pair
  readonly a: Operand
  readonly b: Operand
  readonly output: Operand
  readonly epilogue?: Epilogue | undefined
}

/**
 * Combines windows of `planes` images of one channel; contiguous from their offset.
 *
 * - `forward`: inputs [x], output one element for each window.
 * - `backward` of `max`: inputs [dy, x], output dx: each window's gradient goes to its first largest element (to the last
 *   NaN, if there is one); of `average`: inputs [dy], shared by the window's elements. Windows add up in ascending order.
 *
 * `max` carries NaN on and sees no padding; `average` divides by the window's size, or by the elements inside the image
 * when `countPadding` is false. `padding` is at most half the window, so none is empty.
 */
export interface Pool2dKernel {
  readonly kind: 'pool2d'
  readonly native: Native
  readonly pass: 'forward' | 'backward'
  readonly combine: 'max' | 'average'
  readonly planes: number
  readonly size: Pair
  readonly outSize: Pair
  readonly kernel: Pair
  readonly stride: Pair
  readonly padding: Pair
  readonly countPadding: boolean
  readonly inputs: readonly Operand[]
  readonly output: Operand
  readonly epilogue?: Epilogue | undefined
}

/** An element of one of the buffers that a kernel is run with. */
export interface Place {
  readonly buffer: number
  readonly offset: number
}

/** One stretch of a whole-model pass: `length` consecutive elements of each operand. */
export interface Part {
  readonly length: number
  /** Where each operand starts: inputs first, then outputs. */
  readonly operands: readonly Place[]
  /** The element of each uniform. */
  readonly uniforms?: readonly Place[]
  /** A bool: where it does not hold, the part is neither read nor written. */
  readonly guard?: Place
}

/** One number made of the elements of each part, or of all parts together, in the dtype of `expr`. */
export interface Reduction {
  readonly combine: 'sum' | 'max' | 'min'
  readonly expr: Expr
  readonly over: 'part' | 'all'
  /** Where the result goes; over parts, that of part i goes i elements further. */
  readonly result: Place
}

/**
 * A map over many contiguous stretches in one launch: optimizer steps and model updates.
 * `exprs` read `inputs` operands of the given dtypes and write one output each, in place allowed.
 *
 * - `uniforms` are operands of one element a part: a rate of its own, a number that another pass has reduced to.
 * - `reductions` see the same values as `exprs`, those before anything is written, in the same pass; a kernel may have
 *   nothing else. Parts that are empty or skipped add nothing: the result of nothing is 0 for a sum, for `max` and `min`
 *   what loses against every other value. `max`, `min` carry NaN on. The order of a sum is fixed by the lengths alone.
 *
 * Nothing that the kernel writes may be one of its uniforms or guards.
 */
export interface ForeachKernel {
  readonly kind: 'foreach'
  readonly inputs: readonly DType[]
  readonly outputs: readonly DType[]
  readonly exprs: readonly Expr[]
  readonly parts: readonly Part[]
  readonly uniforms?: readonly DType[]
  readonly reductions?: readonly Reduction[]
}

export type Kernel =
  | MapKernel
  | ReduceKernel
  | RowsKernel
  | MatmulKernel
  | Conv2dKernel
  | Pool2dKernel
  | GatherKernel
  | ScatterKernel
  | ForeachKernel

/** Every expression of a kernel: what it writes, then what it reduces. */
export function exprsOf(kernel: Kernel): readonly Expr[] {
  switch (kernel.kind) {
    case 'map':
      return kernel.exprs
    case 'reduce':
      return [kernel.expr]
    case 'rows':
      return kernel.stages.map(({ expr }) => expr)
    case 'foreach':
      return [...kernel.exprs, ...(kernel.reductions ?? []).map(({ expr }) => expr)]
    case 'matmul':
    case 'conv2d':
    case 'pool2d':
      return kernel.epilogue ? [kernel.epilogue.expr] : []
    case 'gather':
    case 'scatter':
      return []
  }
}

/** The dtypes that a kernel itself computes with, beside those of its expressions; f16 and bf16 are not among them. */
export function arithmeticDTypes(kernel: Kernel): readonly DType[] {
  switch (kernel.kind) {
    case 'map':
    case 'gather':
      return []
    case 'foreach':
      return (kernel.reductions ?? []).map(({ expr }) => expr.dtype)
    case 'reduce':
      return [kernel.expr.dtype]
    case 'rows':
      return kernel.stages.flatMap(({ pass, expr }) => (pass === 'each' || pass === 'once' ? [] : expr.dtype))
    case 'matmul':
    case 'conv2d':
      return [kernel.a.dtype, kernel.b.dtype, kernel.output.dtype]
    case 'pool2d':
      return [...kernel.inputs, kernel.output].map(({ dtype }) => dtype)
    case 'scatter':
      return kernel.combine === 'add' ? [kernel.source.dtype, kernel.output.dtype] : []
  }
}

/** What the operands of a convolution hold: how many elements a, b and the output have. */
export function conv2dSizes(kernel: Conv2dKernel): readonly [a: number, b: number, output: number] {
  const { pass, batch, inChannels, outChannels, groups, size, outSize, kernel: window } = kernel
  const input = batch * inChannels * size[0] * size[1]
  const output = batch * outChannels * outSize[0] * outSize[1]
  const weight = outChannels * (inChannels / groups) * window[0] * window[1]
  if (pass === 'forward') return [input, weight, output]
  return pass === 'inputGradient' ? [output, weight, input] : [input, output, weight]
}

/** Products that a convolution adds up, those with padding included. */
export function conv2dTerms({ batch, inChannels, outChannels, groups, outSize, kernel }: Conv2dKernel): number {
  return (batch * outChannels * outSize[0] * outSize[1] * inChannels * kernel[0] * kernel[1]) / groups
}

/** Elements that a pooling looks at, counted once for each window. */
export function pool2dTerms({ planes, outSize, kernel }: Pool2dKernel): number {
  return planes * outSize[0] * outSize[1] * kernel[0] * kernel[1]
}

/** How many elements each input and the output of a pooling have. */
export function pool2dSizes({ pass, planes, size, outSize, inputs }: Pool2dKernel): readonly number[] {
  const large = planes * size[0] * size[1]
  const small = planes * outSize[0] * outSize[1]
  return pass === 'forward' ? [large, small] : [small, ...inputs.slice(1).map(() => large), large]
}

/** How many elements the output of a kernel that may carry an epilogue has. */
export function outputSize(kernel: WithEpilogue): number {
  if (kernel.kind === 'matmul') return sizeOf(kernel.batch) * kernel.m * kernel.n
  return (kernel.kind === 'conv2d' ? conv2dSizes(kernel) : pool2dSizes(kernel)).at(-1) ?? 0
}
