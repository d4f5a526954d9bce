/**
 * Reductions. Every one becomes a chain of passes over spaces `[...outer, reduced, columns]`, whose order of combining
 * depends on the shape and axes alone: groups of neighbouring reduced axes are reduced from the last to the first, and
 * more than a block of elements is reduced block by block, and the blocks' results again. Layouts that do not
 * fit such a space are first copied, so they give the same bits; threads share outputs, columns and blocks.
 */
import { constant, type Expr, input } from '../../kernels/expr.js'
import { longestRow, type ReduceKernel } from '../../kernels/kernel.js'
import { contiguousStrides, sizeOf } from '../../shapes/strides.js'
import type { DType } from '../../tensor/dtype.js'
import { DTypeError, ShapeError } from '../../tensor/errors.js'
import { collapse } from './collapse.js'
import type { Target } from './generated.js'
import { type Launch, maxThreads, type Prepared, scratch } from './launch.js'
import { checkDTypes } from './lowering.js'
import { mapLaunch } from './map.js'
import { columnsLaunch } from './reduce-columns.js'
import { isArg, type ReduceOp, resultDType } from './reduce-op.js'
import type { Pass, Placed } from './reduce-pass.js'
import { rowScratch, rowsLaunch } from './reduce-rows.js'

/** Most elements of a row combined before their result joins the others'. */
const rowBlock = longestRow
/** Most rows combined into a column before their result joins the others'. */
const columnBlock = 512

export function prepareReduce(kernel: ReduceKernel, target: Target): Prepared {
  check(kernel)
  const { shape, axes, combine, expr } = kernel
  const kept = shape.filter((_, axis) => !axes.includes(axis))
  if (kept.includes(0)) return { launches: [], scratchBytes: () => 0 }
  const output: Placed = { ...kernel.output, buffer: kernel.inputs.length }
  const plan = new Plan(target)
  if (shape.includes(0)) plan.fill(kept, output, empty(kernel))
  else
    plan.reduce(
      { combine, dtype: expr.dtype },
      expr,
      kernel.inputs.map((o, buffer) => ({ ...o, buffer })),
      shape,
      axes,
      output,
    )
  return { launches: plan.launches, scratchBytes: () => plan.scratchElements * 4 }
}

function check({ shape, axes, combine, inputs, output, expr }: ReduceKernel): void {
  checkDTypes([...inputs.map((o) => o.dtype), output.dtype, expr.dtype])
  if (combine === 'sum' && expr.dtype === 'bool') {
    throw new DTypeError('sum is not defined on bool: cast to i32 or f32 first.', { op: 'sum' })
  }
  if (!isArg({ combine, dtype: expr.dtype })) return
  const size = shape[axes[0] ?? -1]
  if (axes.length !== 1 || size === undefined) {
    throw new ShapeError(
      `${combine} takes exactly one axis of [${shape}], got [${axes}]. Flatten the tensor to search all of it.`,
      { op: combine },
    )
  }
  if (size === 0)
    throw new ShapeError(`${combine} over axis ${axes[0]} of [${shape}] has nothing to choose from.`, { op: combine })
}

/** The result of combining nothing: the value that loses against every other. */
function empty({ combine, expr: { dtype } }: ReduceKernel): number {
  const max = combine === 'max'
  if (combine === 'sum') return 0
  if (dtype === 'f32') return max ? -Infinity : Infinity
  if (dtype === 'i32') return max ? -(2 ** 31) : 2 ** 31 - 1
  return max ? 0 : dtype === 'bool' ? 1 : 2 ** 32 - 1
}

class Plan {
  readonly launches: Launch[] = []
  /** The first part belongs to the threads, the rest to intermediate results. */
  scratchElements = (maxThreads * rowScratch) / 4

  constructor(private readonly target: Target) {}

  fill(shape: readonly number[], output: Placed, value: number): void {
    this.#map(shape, constant(value, output.dtype), [], output)
  }

  reduce(
    op: ReduceOp,
    expr: Expr,
    inputs: readonly Placed[],
    shape: readonly number[],
    axes: readonly number[],
    output: Placed,
  ): void {
    const wide = [...shape.keys()].filter((axis) => shape[axis] !== 1)
    const group = lastGroup(wide, axes)
    const [first, last] = [group[0], group.at(-1)]
    const kept = shape.filter((_, axis) => !axes.includes(axis))
    if (first === undefined || last === undefined) {
      if (isArg(op)) this.fill(kept, output, 0)
      else this.#map(kept, expr, withoutAxes(inputs, axes), output)
      return
    }
    const rest = axes.filter((axis) => axis < first && shape[axis] !== 1)
    if (rest.length > 0) {
      // Axes of size 1 inside the group go with it.
      const inner = axes.filter((axis) => axis >= first || shape[axis] === 1)
      const left = shape.filter((_, axis) => !inner.includes(axis))
      const partial = this.#temporary(resultDType(op), left)
      this.reduce(op, expr, inputs, shape, inner, partial)
      const renumbered = rest.map((axis) => axis - inner.filter((gone) => gone < axis).length)
      this.reduce(op, input(0, op.dtype), [partial], left, renumbered, output)
      return
    }
    this.#single(op, expr, inputs, shape, axes, first, last, output)
  }

  /** One group of neighbouring reduced axes, from `first` to `last`. */
  #single(
    op: ReduceOp,
    expr: Expr,
    inputs: readonly Placed[],
    shape: readonly number[],
    axes: readonly number[],
    first: number,
    last: number,
    output: Placed,
  ): void {
    const middle = shape.slice(first, last + 1)
    const after = shape.slice(last + 1)
    const before = shape.slice(0, first)
    // The output as if the reduced axes were there with size 1.
    let next = 0
    const spread = shape.map((_, axis) => (axes.includes(axis) ? 0 : (output.strides[next++] ?? 0)))
    const onStride = (strides: readonly number[], sizes: readonly number[], from: number) =>
      collapse({ shape: sizes, strides: [strides.slice(from, from + sizes.length)] }).shape.length <= 1
    const regular = inputs.every((o) => onStride(o.strides, middle, first) && onStride(o.strides, after, last + 1))
    if (!regular) {
      const copy = this.#temporary(expr.dtype, shape)
      this.#map(shape, expr, inputs, copy)
      this.#single(op, input(0, expr.dtype), [copy], shape, axes, first, last, output)
      return
    }
    if (!onStride(spread, after, last + 1)) {
      const kept = shape.filter((_, axis) => !axes.includes(axis))
      const result = this.#temporary(output.dtype, kept)
      this.#single(op, expr, inputs, shape, axes, first, last, result)
      this.#map(kept, input(0, output.dtype), [result], output)
      return
    }
    const reduced = sizeOf(middle)
    const columns = sizeOf(after)
    const along = (strides: readonly number[], sizes: readonly number[], from: number) =>
      collapse({ shape: sizes, strides: [strides.slice(from, from + sizes.length)] }).strides[0]?.[0] ?? 0
    const block = isArg(op) ? reduced : columns === 1 ? rowBlock : columnBlock
    const blocks = Math.ceil(reduced / block)
    const partial = blocks > 1 ? this.#temporary(op.dtype, [...before, blocks, columns]) : undefined
    const outerStrides = [
      ...inputs.map((o) => o.strides.slice(0, first)),
      partial?.strides.slice(0, first) ?? spread.slice(0, first),
    ]
    const outer = collapse({ shape: before, strides: outerStrides })
    const placed = inputs.map(
      (o, i): Placed => ({
        ...o,
        strides: [...(outer.strides[i] ?? []), along(o.strides, middle, first), along(o.strides, after, last + 1)],
      }),
    )
    const target = partial ?? output
    const pass: Pass = {
      op,
      expr,
      inputs: placed,
      outer: outer.shape,
      reduced,
      columns,
      block: Math.min(block, reduced),
      output: {
        ...target,
        strides: [
          ...(outer.strides[inputs.length] ?? []),
          partial ? columns : 0,
          partial ? 1 : along(spread, after, last + 1),
        ],
      },
    }
    this.launches.push(columns === 1 ? rowsLaunch(pass, this.target, 0) : columnsLaunch(pass, this.target))
    if (!partial) return
    const again = { ...partial, strides: contiguousStrides([...before, blocks, ...after]) }
    const outAxes = spread.filter((_, axis) => !(axis >= first && axis <= last))
    const kept = { ...output, strides: outAxes }
    this.#single(op, input(0, op.dtype), [again], [...before, blocks, ...after], [first], first, first, kept)
  }

  #map(shape: readonly number[], expr: Expr, inputs: readonly Placed[], output: Placed): void {
    const buffers = [...inputs, output].map((o) => o.buffer)
    this.launches.push(
      mapLaunch({ kind: 'map', shape, inputs, outputs: [output], exprs: [expr] }, this.target, buffers),
    )
  }

  #temporary(dtype: DType, shape: readonly number[]): Placed {
    const offset = this.scratchElements
    this.scratchElements += Math.ceil(sizeOf(shape) / 16) * 16
    return { dtype, strides: contiguousStrides(shape), offset, buffer: scratch }
  }
}

/** The last run of reduced axes among those that are longer than 1. */
function lastGroup(wide: readonly number[], axes: readonly number[]): readonly number[] {
  const group: number[] = []
  for (const axis of [...wide].reverse()) {
    if (axes.includes(axis)) group.unshift(axis)
    else if (group.length > 0) break
  }
  return group
}

const withoutAxes = (operands: readonly Placed[], axes: readonly number[]): readonly Placed[] =>
  operands.map((o) => ({ ...o, strides: o.strides.filter((_, axis) => !axes.includes(axis)) }))
