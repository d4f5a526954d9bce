import { type GlobalPool, globalPoolShape } from '../../shapes/conv.js'
import type { Shape } from '../../shapes/dim.js'
import type { FloatDType } from '../../shapes/dtype.js'
import { recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Arg, Res, Tape, Tensor } from '../../tensor/tensor.js'
import type { Value } from '../record.js'
import { max } from '../reduce/max.js'
import { mean } from '../reduce/mean.js'
import { requireFloat } from '../reduce/reduce.js'

/**
 * The mean of each channel over its whole image.
 *
 * Shapes: `x: […N, C, H, W] → […N, C]`.  Gradient: `dy / (H · W)` for each element.
 * Throws: `ShapeError` when there are fewer than two axes, `DTypeError`.
 * Torch: `F.adaptive_avg_pool2d(x, 1).flatten(-3)`, that is `x.mean((-2, -1))`.
 * @example avgPoolGlobal(zeros([32, 512, 7, 7])) // [32, 512]
 */
export function avgPoolGlobal<S extends Shape, D extends FloatDType, T extends Tape = never>(
  x: Arg<GlobalPool<'avgPoolGlobal', S>, Tensor<S, D, T>>,
): Res<GlobalPool<'avgPoolGlobal', S>, D, T> {
  return typed(avgPoolGlobalRecord(recordOf(x)))
}

/** The run time of `avgPoolGlobal`, for layers, whose types say more. */
export function avgPoolGlobalRecord(x: TensorRecord): TensorRecord {
  return recordOf(mean(images('avgPoolGlobal', x), lastTwo))
}

/**
 * The largest element of each channel over its whole image. NaN wins.
 *
 * Shapes: `x: […N, C, H, W] → […N, C]`.  Gradient: `dy`, shared equally among tied elements.
 * Throws: `ShapeError` when there are fewer than two axes, `DTypeError`.
 * Torch: `x.amax((-2, -1))`; `F.adaptive_max_pool2d` gives the whole gradient to one of tied elements.
 * @example maxPoolGlobal(zeros([32, 512, 7, 7])) // [32, 512]
 */
export function maxPoolGlobal<S extends Shape, D extends FloatDType, T extends Tape = never>(
  x: Arg<GlobalPool<'maxPoolGlobal', S>, Tensor<S, D, T>>,
): Res<GlobalPool<'maxPoolGlobal', S>, D, T> {
  return typed(maxPoolGlobalRecord(recordOf(x)))
}

/** The run time of `maxPoolGlobal`, for layers, whose types say more. */
export function maxPoolGlobalRecord(x: TensorRecord): TensorRecord {
  return recordOf(max(images('maxPoolGlobal', x), lastTwo))
}

const lastTwo: number[] = [-2, -1]

function images(op: string, x: TensorRecord): Value {
  requireFloat(op, x)
  globalPoolShape(op, x.shape)
  return typed<Value>(x)
}
