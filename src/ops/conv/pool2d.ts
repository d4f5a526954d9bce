import type { Pair, Pool2dKernel } from '../../kernels/kernel.js'
import { pool2dNative } from '../../native/pool2d.js'
import {
  type AvgPoolOptions,
  avgPoolOptionNames,
  type Only,
  type Padded,
  type Pool,
  poolShape,
  type WindowOptions,
  windowOptionNames,
} from '../../shapes/conv.js'
import type { Shape } from '../../shapes/dim.js'
import type { FloatDType } from '../../shapes/dtype.js'
import { requireOptions } from '../../shapes/options.js'
import { sizeOf } from '../../shapes/strides.js'
import { emptyTensor, recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Arg, Res, Tape, Tensor } from '../../tensor/tensor.js'
import { floatOperation } from '../float-operation.js'
import { packed } from '../movement/views.js'
import { record, type Value } from '../record.js'
import { requireFloat } from '../reduce/reduce.js'

/**
 * The largest element of each window of images. NaN wins; the padding is never the largest.
 *
 * Shapes: `x: […N, C, H, W] → […N, C, H', W']` with `H' = ⌊(H + 2·padding − kernel) / stride⌋ + 1`; the stride is the
 * window's size unless stated.
 * Gradient: `dy` goes to the first largest element of its window, summed where windows overlap.
 * Throws: `ShapeError` when the window does not fit, `OptionError` for a padding over half the window, `DTypeError`.
 * Torch: `F.max_pool2d(x, kernel, stride, padding)`; square windows, no dilation, no `ceil_mode`.
 * @example maxPool2d(zeros([32, 16, 28, 28]), 2) // [32, 16, 14, 14]
 */
export function maxPool2d<
  S extends Shape,
  D extends FloatDType,
  const K extends number,
  T extends Tape = never,
  const O extends WindowOptions = Record<never, never>,
>(
  x: Tensor<S, D, T>,
  kernel: Arg<Pool<'maxPool2d', S, K, O>, K>,
  options?: O & Only<O, WindowOptions> & Padded<K, O>,
): Res<Pool<'maxPool2d', S, K, O>, D, T> {
  requireOptions('maxPool2d', options ?? {}, windowOptionNames)
  return typed(poolRecord('max', recordOf(x), kernel as number, options))
}

/**
 * The mean of each window of images; zeros of the padding count unless told otherwise.
 *
 * Shapes: `x: […N, C, H, W] → […N, C, H', W']` with `H' = ⌊(H + 2·padding − kernel) / stride⌋ + 1`; the stride is the
 * window's size unless stated.
 * Gradient: `dy / count` for each element of the window, summed where windows overlap.
 * Throws: `ShapeError` when the window does not fit, `OptionError` for a padding over half the window, `DTypeError`.
 * Torch: `F.avg_pool2d(x, kernel, stride, padding, count_include_pad=True)`; square windows, no `ceil_mode`.
 * @example avgPool2d(tensor([[[1, 2], [3, 4]]]), 2) // [[[2.5]]]
 */
export function avgPool2d<
  S extends Shape,
  D extends FloatDType,
  const K extends number,
  T extends Tape = never,
  const O extends AvgPoolOptions = Record<never, never>,
>(
  x: Tensor<S, D, T>,
  kernel: Arg<Pool<'avgPool2d', S, K, O>, K>,
  options?: O & Only<O, AvgPoolOptions> & Padded<K, O>,
): Res<Pool<'avgPool2d', S, K, O>, D, T> {
  requireOptions('avgPool2d', options ?? {}, avgPoolOptionNames)
  return typed(poolRecord('average', recordOf(x), kernel as number, options))
}

type Geometry = Omit<Pool2dKernel, 'kind' | 'native' | 'pass' | 'inputs' | 'output'>

/** The run time of both poolings, for layers, whose types say more. */
export function poolRecord(
  combine: Pool2dKernel['combine'],
  x: TensorRecord,
  kernel: number,
  { stride = kernel, padding = 0, countIncludePad = true }: AvgPoolOptions = {},
): TensorRecord {
  const op = combine === 'max' ? 'maxPool2d' : 'avgPool2d'
  requireFloat(op, x)
  const shape = poolShape(op, x.shape, kernel, stride, padding)
  const pair = (value: number): Pair => [value, value]
  const imageSize = (of: readonly number[]): Pair => [of.at(-2) ?? 0, of.at(-1) ?? 0]
  const geometry: Geometry = {
    combine,
    planes: sizeOf(x.shape.slice(0, -2)),
    size: imageSize(x.shape),
    outSize: imageSize(shape),
    kernel: pair(kernel),
    stride: pair(stride),
    padding: pair(padding),
    countPadding: countIncludePad,
  }
  return floatOperation(op, [x], (x) => {
    const images = packed(x)
    const output = run('forward', geometry, [images], shape)
    return record(
      op,
      output,
      [x],
      [
        (dy) => {
          const gradient = packed(recordOf(dy))
          return typed<Value>(run('backward', geometry, combine === 'max' ? [gradient, images] : [gradient], x.shape))
        },
      ],
    )
  })
}

function run(
  pass: Pool2dKernel['pass'],
  geometry: Geometry,
  inputs: readonly [TensorRecord, ...TensorRecord[]],
  shape: readonly number[],
): TensorRecord {
  const [{ device, dtype }] = inputs
  const output = emptyTensor(device, dtype, shape)
  const operands = { inputs: inputs.map((x) => x.operand()), output: output.operand() }
  device.run({ kind: 'pool2d', native: pool2dNative, pass, ...geometry, ...operands }, [
    ...inputs.map((x) => x.storage),
    output.storage,
  ])
  return output
}
