import type { FloatDType } from '../../shapes/dtype.js'
import type { Shape } from '../../shapes/dim.js'
import { sameShape, showShape } from '../../shapes/dim.js'
import { OptionError, ShapeError } from '../../shapes/errors.js'
import { type Expr, input, scalar } from '../../kernels/expr.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Tape, Tensor } from '../../tensor/tensor.js'
import { mapTensors } from '../define.js'
import { forDType } from '../expressions.js'
import { floatOperation } from '../float-operation.js'
import { requireFloats } from '../linalg/matmul.js'
import { repeated } from '../movement/views.js'
import { record, type Value } from '../record.js'
import { reduceTensors } from '../reduce/reduce.js'

/** What becomes of the losses of the elements (or rows): their mean, their sum, or all of them. */
export type Reduction = 'mean' | 'sum' | 'none'

/** The shape of a loss over S. */
export type Reduced<S extends Shape, R extends string> = [R] extends ['none'] ? S : []

/** What losses may be told. */
export interface LossOptions<R extends Reduction = Reduction> {
  /** `mean` by default. */
  readonly reduction?: R
}

/** The type of losses that compare a prediction with a target element by element. */
export type PointwiseLoss = <
  S extends Shape,
  D extends FloatDType,
  T extends Tape = never,
  T2 extends Tape = never,
  R extends Reduction = 'mean',
>(
  prediction: Tensor<S, D, T>,
  target: Tensor<NoInfer<S>, NoInfer<D>, T2>,
  options?: LossOptions<R>,
) => Tensor<Reduced<S, R>, D, T | T2>

/** A loss of single elements: of the prediction x, the target t and numbers, with both derivatives beside it. */
export interface PointwiseDefinition {
  readonly name: string
  readonly loss: (x: Expr, t: Expr, number: Expr) => Expr
  readonly dx: (x: Expr, t: Expr, number: Expr) => Expr
  readonly dt: (x: Expr, t: Expr, number: Expr) => Expr
  /** Reductions besides `none`: what the sum over all elements is divided by. */
  readonly reductions?: Readonly<Record<string, Divisor>>
}

type Divisor = (shape: readonly number[], size: number) => number

/** The usual reductions. */
export const divisors: Readonly<Record<string, Divisor>> = { mean: (_, size) => size, sum: () => 1 }

/** Makes a loss that is one pass over its operands forward and one per gradient, whatever the reduction. */
export function pointwiseLoss({ name, loss, dx, dt, reductions = divisors }: PointwiseDefinition) {
  const exprs = forDType((dtype) => {
    // Scalars: the definition's number, and one over what the sum is divided by.
    const [number, divisor, share] = [scalar(0, dtype), scalar(1, dtype), scalar(1, dtype)]
    const [first, second, third] = [input(0, dtype), input(1, dtype), input(2, dtype)]
    return {
      loss: loss(first, second, number),
      quotient: first.div(divisor),
      gradients: [dx, dt].map((slope) => slope(second, third, number).mul(first.mul(share))),
    }
  })
  return (x: TensorRecord, t: TensorRecord, reduction: string, number = 0): TensorRecord => {
    requireFloats(name, x, t)
    if (!sameShape(x.shape, t.shape)) {
      const message = `${name}: prediction ${showShape(x.shape)} and target ${showShape(t.shape)} differ; stretch one with .broadcastTo().`
      throw new ShapeError(message, { op: name, shapes: [x.shape, t.shape] })
    }
    const all = x.shape.map((_, axis) => axis)
    const divisor = requireReduction(name, reduction, reductions)?.(x.shape, x.size)
    const share = [number, 1 / (divisor ?? 1)]
    return floatOperation(name, [x, t], (x, t) => {
      const { loss, quotient, gradients } = exprs(x.dtype)
      const each = (dy: Value) => (divisor === undefined ? recordOf(dy) : repeated(recordOf(dy), x.shape, all))
      const vjps = gradients.map((slope) => (dy: Value) => typed<Value>(mapTensors(slope, [each(dy), x, t], share)))
      if (divisor === undefined) return record(name, mapTensors(loss, [x, t], [number]), [x, t], vjps)
      const sum = reduceTensors('sum', [x, t], all, loss, [number])
      return record(name, divisor === 1 ? sum : mapTensors(quotient, [sum], [number, divisor]), [x, t], vjps)
    })
  }
}

/** The entry of `reductions`, undefined for `none`; throws for anything else. */
export function requireReduction<X>(
  op: string,
  reduction: string,
  reductions: Readonly<Record<string, X>>,
): X | undefined {
  if (reduction === 'none') return undefined
  const found = Object.hasOwn(reductions, reduction) ? reductions[reduction] : undefined
  if (found !== undefined) return found
  const names = [...Object.keys(reductions), 'none'].join(', ')
  throw new OptionError(`${op}: there is no reduction "${reduction}"; choose one of ${names}.`, { op })
}
