import type { Combine, ReduceKernel } from '../../kernels/kernel.js'
import { type DType, isFloat } from '../../tensor/dtype.js'
import { sizeOf } from '../../shapes/strides.js'
import { DTypeError, ShapeError } from '../../tensor/errors.js'
import { checkBuffers, checkDType, checkOperand, checkProgram, checkScalars, nameOf } from './check.js'
import { programOf } from './evaluate.js'
import type { ReferenceBuffer } from './memory.js'
import { reorder, sweep } from './sweep.js'
import { walk } from './walk.js'

/** Takes the values that one output element is made of, in their order. */
interface Accumulator {
  reset(): void
  add(value: number): void
  result(): number
}

/**
 * Walks the kept axes first and the reduced ones last, so the values of one output element come in one run.
 * Sums of f32 are accumulated in f64 and rounded once, so that they are the oracle of any other order.
 */
export function runReduce(kernel: ReduceKernel, buffers: readonly ReferenceBuffer[], scalars: readonly number[]): void {
  const { shape, axes, combine, inputs, expr, output } = kernel
  checkAxes(kernel)
  checkBuffers('reduce', inputs.length + 1, buffers.length)
  const program = programOf([expr])
  checkScalars('reduce', program.scalarCount, scalars.length)
  checkProgram(
    'reduce',
    program,
    [expr],
    inputs.map(({ dtype }) => dtype),
    [expr.dtype],
  )
  checkDType('reduce', 'the output', isArg(combine) ? 'i32' : expr.dtype, output.dtype)
  const accumulator = accumulatorOf(combine, expr.dtype)

  const sources = inputs.flatMap((operand, i) => {
    const elements = buffers[i]?.elements(operand.dtype)
    if (!elements) return []
    checkOperand('reduce', nameOf('input', i, operand), shape, operand, elements)
    return { ...operand, elements }
  })
  const kept = [...shape.keys()].filter((axis) => !axes.includes(axis))
  const outShape = reorder(shape, kept)
  const target = buffers[inputs.length]?.elements(output.dtype)
  if (!target) return
  checkOperand('reduce', nameOf('output', 0, output), outShape, output, target)

  const next = walk(outShape, output)
  const position = new Int32Array(1)
  const store = () => {
    next(1, position)
    target[position[0] ?? 0] = accumulator.result()
    accumulator.reset()
  }

  const length = sizeOf(reorder(shape, axes))
  if (length === 0) for (let left = sizeOf(outShape); left > 0; left--) store()
  let taken = 0
  const values = program.results[0] ?? new Float64Array()
  sweep(program, shape, [...kept, ...axes], sources, scalars, (count) => {
    for (let i = 0; i < count; i++) {
      accumulator.add(values[i] ?? 0)
      if (++taken < length) continue
      store()
      taken = 0
    }
  })
}

const isArg = (combine: Combine) => combine === 'argmax' || combine === 'argmin'

function checkAxes({ combine, shape, axes }: ReduceKernel): void {
  const fits = axes.every((axis, i) => axis >= 0 && axis < shape.length && axis > (axes[i - 1] ?? -1))
  const shapes = [shape]
  if (!fits) {
    throw new ShapeError(`reduce: axes must ascend within [${shape}], got [${axes}].`, { op: 'reduce', shapes })
  }
  if (!isArg(combine)) return
  const size = shape[axes[0] ?? -1]
  if (axes.length !== 1 || size === undefined) {
    throw new ShapeError(`${combine}: takes exactly one axis of [${shape}], got [${axes}].`, { op: combine, shapes })
  }
  if (size > 0) return
  throw new ShapeError(`${combine}: axis ${axes[0]} of [${shape}] is empty, so it has no extreme.`, {
    op: combine,
    shapes,
  })
}

/** Throws `DTypeError` for a sum of bool. */
export function accumulatorOf(combine: Combine, dtype: DType): Accumulator {
  if (combine === 'sum') return sumOf(dtype)
  const wins = combine === 'max' || combine === 'argmax' ? greater : less
  return isArg(combine) ? firstExtreme(wins) : extreme(wins, identityOf(combine, dtype))
}

/** Integers wrap; the running f64 total stays exact because every addition is brought back to 32 bits. */
function sumOf(dtype: DType): Accumulator {
  if (dtype === 'bool') throw new DTypeError('sum: not defined on bool; cast to a number first.', { op: 'sum' })
  const wrap = dtype === 'i32' ? (x: number) => x | 0 : dtype === 'u32' ? (x: number) => x >>> 0 : (x: number) => x
  let total = 0
  return {
    reset() {
      total = 0
    },
    add(value) {
      total = wrap(total + value)
    },
    result: () => total,
  }
}

type Wins = (value: number, best: number) => boolean
const greater: Wins = (value, best) => value > best
const less: Wins = (value, best) => value < best

/** NaN beats everything and is never beaten. */
const replaces = (wins: Wins, value: number, best: number) =>
  !Number.isNaN(best) && (Number.isNaN(value) || wins(value, best))

function extreme(wins: Wins, identity: number): Accumulator {
  let best = identity
  return {
    reset() {
      best = identity
    },
    add(value) {
      if (replaces(wins, value, best)) best = value
    },
    result: () => best,
  }
}

/** The position of the first extreme, or of the first NaN. */
function firstExtreme(wins: Wins): Accumulator {
  let best = 0
  let bestAt = 0
  let at = 0
  return {
    reset() {
      at = 0
    },
    add(value) {
      if (at === 0 || replaces(wins, value, best)) {
        best = value
        bestAt = at
      }
      at++
    },
    result: () => bestAt,
  }
}

/** What an empty axis gives: the value that loses against every other. */
function identityOf(combine: Combine, dtype: DType): number {
  const max = combine === 'max'
  if (isFloat(dtype)) return max ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
  if (dtype === 'i32') return max ? -(2 ** 31) : 2 ** 31 - 1
  return max ? 0 : dtype === 'bool' ? 1 : 2 ** 32 - 1
}
