import { sameShape, type Shape, showShape } from '../../shapes/dim.js'
import type { FloatDType, IntDType } from '../../shapes/dtype.js'
import { OptionError, ShapeError } from '../../shapes/errors.js'
import { sizeOf } from '../../shapes/strides.js'
import { input, scalar } from '../../kernels/expr.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Tape, Tensor } from '../../tensor/tensor.js'
import { mapTensors } from '../define.js'
import { forDType } from '../expressions.js'
import { gathered, perRow, requireIndex, scatterInto } from '../index/rows.js'
import { requireFloats } from '../linalg/matmul.js'
import { repeated } from '../movement/views.js'
import { floatOperation } from '../float-operation.js'
import { record, type Value } from '../record.js'
import { logSumExpOver } from '../reduce/log-sum-exp.js'
import { reduceTensors, requireFloat } from '../reduce/reduce.js'
import { type LossOptions, type Reduced, type Reduction, requireReduction } from './pointwise.js'

/** What `crossEntropy` may be told. */
export interface CrossEntropyOptions<R extends Reduction = Reduction> extends LossOptions<R> {
  /** How much of the target is spread evenly over all classes, 0 (default) to 1. */
  readonly labelSmoothing?: number
}

/**
 * Cross-entropy of logits and class numbers, or probabilities: the mean over rows of `ln Σ eˣ − x[target]`, or of
 * `Σ p (ln Σ eˣ − x)`. With label smoothing s, the target is `(1 − s) · target + s / C`.
 *
 * Shapes: `logits: […L, C]`, `target: L` of i32 or u32, or `[…L, C]` of probabilities `→ []`, or L with `{ reduction: 'none' }`.
 * Gradient: `dx = (softmax(x) − target) / rows · dy`, without the softmax's own gradient in between; for probabilities
 * `dp = (1 − s) · (ln Σ eˣ − x) / rows · dy`.
 * Throws: `ShapeError` when shapes do not fit or a class is not below C, `DTypeError`, `OptionError`.
 * Torch: `F.cross_entropy(logits, target, label_smoothing=s)`, whose classes are on axis 1 and whose target may be −100.
 * @example crossEntropy(tensor([[2, 0], [0, 2]]), tensor([0, 1], { dtype: 'i32' })) // 0.1269
 */
export function crossEntropy<
  L extends Shape,
  C extends number,
  D extends FloatDType,
  T extends Tape = never,
  T2 extends Tape = never,
  R extends Reduction = 'mean',
>(
  logits: Tensor<[...L, C], D, T>,
  target: Tensor<NoInfer<L>, IntDType> | Tensor<NoInfer<[...L, C]>, NoInfer<D>, T2>,
  options: CrossEntropyOptions<R> = {},
): Tensor<Reduced<L, R>, D, T | T2> {
  return typed(
    floatOperation('crossEntropy', [recordOf(logits), recordOf(target)], (x, t) => crossEntropyRecord(x, t, options)),
  )
}

function crossEntropyRecord(x: TensorRecord, target: TensorRecord, options: CrossEntropyOptions): TensorRecord {
  const { labelSmoothing: smoothing = 0, reduction = 'mean' } = options
  requireFloat('crossEntropy', x)
  if (!(smoothing >= 0 && smoothing <= 1)) {
    const message = `crossEntropy: labelSmoothing is from 0 to 1, got ${smoothing}; 0.1 is usual.`
    throw new OptionError(message, { op: 'crossEntropy' })
  }
  const leading = x.shape.slice(0, -1)
  const classes = target.dtype === 'i32' || target.dtype === 'u32'
  if (x.rank === 0 || !sameShape(target.shape, classes ? leading : x.shape)) {
    const fitting = `class numbers of shape ${showShape(leading)} or probabilities of shape ${showShape(x.shape)}`
    const message = `crossEntropy: logits ${showShape(x.shape)} need ${fitting}, got ${target.dtype} ${showShape(target.shape)}; reshape one of them.`
    throw new ShapeError(message, { op: 'crossEntropy', shapes: [x.shape, target.shape] })
  }
  if (classes) requireIndex('crossEntropy', x, target)
  else requireFloats('crossEntropy', x, target)
  const count = requireReduction('crossEntropy', reduction, { mean: sizeOf(leading), sum: 1 })
  const rows = (classes ? classRows : probabilityRows)(x, target, smoothing)
  const axes = leading.map((_, axis) => axis)
  const { quotient } = exprs(x.dtype)
  const total = () => reduceTensors('sum', [rows.losses], axes)
  const loss = count === undefined ? rows.losses : mapTensors(quotient, [total()], [count])
  /** dy of each row's loss. */
  const each = (dy: Value) => {
    if (count === undefined) return recordOf(dy)
    return repeated(mapTensors(quotient, [recordOf(dy)], [count]), leading, axes)
  }
  return record(
    'crossEntropy',
    loss,
    [x, target],
    [
      (dy) => typed<Value>(rows.dx(each(dy))),
      rows.dTarget && ((dy) => typed<Value>(rows.dTarget?.(each(dy)) ?? recordOf(dy))),
    ],
  )
}

/** The losses of the rows and their gradients, given dy of each row. */
interface Rows {
  readonly losses: TensorRecord
  readonly dx: (dy: TensorRecord) => TensorRecord
  readonly dTarget?: (dy: TensorRecord) => TensorRecord
}

const exprs = forDType((dtype) => {
  const [a, b, c, d] = [input(0, dtype), input(1, dtype), input(2, dtype), input(3, dtype)]
  const [first, second] = [scalar(0, dtype), scalar(1, dtype)]
  // Of probabilities: x, ln Σ eˣ, p, dy; smoothing leaves `first` of p and adds `second`.
  const smooth = c.mul(first).add(second)
  return {
    quotient: a.div(first),
    difference: a.sub(b),
    negated: a.mul(first).neg(),
    // first · (lse − x[t]) + second · Σ (lse − x)
    blended: a.sub(b).mul(first).add(c.mul(second)),
    dClasses: a.sub(b).exp().sub(first).mul(c),
    // 0 · ∞ of an impossible class is 0.
    term: smooth.eq(0).select(0, smooth.mul(b.sub(a))),
    smooth: a.mul(first).add(second),
    dProbabilities: a.sub(b).exp().mul(input(4, dtype)).sub(smooth).mul(d),
    dTarget: b.sub(a).mul(first).mul(c),
  }
})

function classRows(x: TensorRecord, target: TensorRecord, smoothing: number): Rows {
  const leading = target.shape
  const last = x.rank - 1
  const each = perRow(x.shape, last)
  const size = x.shape[last] ?? 1
  const e = exprs(x.dtype)
  // Before anything else is computed: this checks the class numbers.
  const chosen = gathered('crossEntropy', x, target, each, leading)
  const lse = logSumExpOver(x, [last])
  const all = (row: TensorRecord) => repeated(row, x.shape, [last])
  const losses = () => {
    if (smoothing === 0) return mapTensors(e.difference, [lse, chosen])
    const spread = reduceTensors('sum', [all(lse), x], [last], e.difference)
    return mapTensors(e.blended, [lse, chosen, spread], [1 - smoothing, smoothing / size])
  }
  const dx = (dy: TensorRecord) => {
    const gradient = mapTensors(e.dClasses, [x, all(lse), all(dy)], [smoothing / size])
    scatterInto('crossEntropy', gradient, mapTensors(e.negated, [dy], [1 - smoothing]), target, each)
    return gradient
  }
  return { losses: losses(), dx }
}

function probabilityRows(x: TensorRecord, target: TensorRecord, smoothing: number): Rows {
  const last = x.rank - 1
  const kept = [1 - smoothing, smoothing / (x.shape[last] ?? 1)]
  const e = exprs(x.dtype)
  const lse = logSumExpOver(x, [last])
  const all = (row: TensorRecord) => repeated(row, x.shape, [last])
  const losses = reduceTensors('sum', [x, all(lse), target], [last], e.term, kept)
  return {
    losses,
    dx: (dy) => {
      const mass = reduceTensors('sum', [target], [last], e.smooth, kept)
      return mapTensors(e.dProbabilities, [x, all(lse), target, all(dy), all(mass)], kept)
    },
    dTarget: (dy) => mapTensors(e.dTarget, [x, all(lse), all(dy)], kept),
  }
}
