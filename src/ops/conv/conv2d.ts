import type { Conv2dKernel, Pair } from '../../kernels/kernel.js'
import { conv2dNative } from '../../native/conv2d.js'
import {
  type ConvOptions,
  type Convolution,
  type Convolve,
  conv2dShape,
  convolutionOf,
  convOptionNames,
  type Only,
  type Parted,
} from '../../shapes/conv.js'
import type { Shape } from '../../shapes/dim.js'
import type { FloatDType } from '../../shapes/dtype.js'
import { ShapeError } from '../../shapes/errors.js'
import { requireOptions } from '../../shapes/options.js'
import { sizeOf } from '../../shapes/strides.js'
import { emptyTensor, recordOf, type TensorRecord, typed } from '../../tensor/record.js'
import type { Arg, Res, Tape, Tensor } from '../../tensor/tensor.js'
import { mapTensors } from '../define.js'
import { forDType, operands } from '../expressions.js'
import { requireFloats } from '../linalg/matmul.js'
import { packed, repeated } from '../movement/views.js'
import { floatOperation } from '../float-operation.js'
import { record, type Value } from '../record.js'
import { reduceTensors } from '../reduce/reduce.js'

/**
 * Convolution of images with windows (cross-correlation, as everywhere in deep learning):
 * `y[n, f, i, j] = b[f] + Σ_{c, u, v} x[n, c, i·stride + u·dilation − padding, j·stride + v·dilation − padding] · w[f, c, u, v]`,
 * zeros outside the image. With groups, the filters of a group see the channels of that group alone.
 *
 * Shapes: `x: […N, C, H, W], weight: [F, C / groups, K, L], bias: [F]` (optional) `→ […N, F, H', W']` with
 * `H' = ⌊(H + 2·padding − dilation·(K − 1) − 1) / stride⌋ + 1`.
 * Gradient: for x, weight and bias: the adjoint convolutions, `db = Σ dy` over images and places.
 * Throws: `ShapeError` when channels, groups or window do not fit, `OptionError` for options out of range, `DTypeError`.
 * Torch: `F.conv2d(x, weight, bias, stride, padding, dilation, groups)`; one number for both axes, no padding by name,
 * and any number of leading axes.
 * @example conv2d(zeros([32, 1, 28, 28]), zeros([16, 1, 3, 3]), zeros([16]), { padding: 1 }) // [32, 16, 28, 28]
 */
export function conv2d<
  S extends Shape,
  W extends [number, number, number, number],
  D extends FloatDType,
  T extends Tape = never,
  T2 extends Tape = never,
  const O extends ConvOptions = Record<never, never>,
>(
  x: Tensor<S, D, T>,
  weight: Arg<Convolve<S, W, O>, Tensor<W, D, T2>>,
  bias?: Tensor<[W[0]], NoInfer<D>, T2>,
  options?: O & Only<O, ConvOptions> & Parted<'output', W[0], O>,
): Res<Convolve<S, W, O>, D, T | T2> {
  requireOptions('conv2d', options ?? {}, convOptionNames)
  return typed(conv2dRecord(recordOf(x), recordOf(weight), bias && recordOf(bias), options))
}

/** The run time of `conv2d`, for layers, whose types say more. */
export function conv2dRecord(
  x: TensorRecord,
  weight: TensorRecord,
  bias: TensorRecord | undefined,
  options: ConvOptions = {},
): TensorRecord {
  return floatOperation('conv2d', [x, weight, bias], (x, weight, bias) =>
    convolved(x, weight, bias, convolutionOf(options)),
  )
}

type Geometry = Omit<Conv2dKernel, 'kind' | 'native' | 'pass' | 'a' | 'b' | 'output'>

function convolved(
  x: TensorRecord,
  weight: TensorRecord,
  bias: TensorRecord | undefined,
  of: Convolution,
): TensorRecord {
  requireFloats('conv2d', x, weight)
  const shape = conv2dShape(x.shape, weight.shape, of)
  if (bias) requireBias(x, bias, weight.shape[0] ?? 0)
  const [outChannels = 0, , height = 0, width = 0] = weight.shape
  const pair = (value: number): Pair => [value, value]
  const imageSize = (of: readonly number[]): Pair => [of.at(-2) ?? 0, of.at(-1) ?? 0]
  const geometry: Geometry = {
    batch: sizeOf(x.shape.slice(0, -3)),
    inChannels: x.shape.at(-3) ?? 0,
    outChannels,
    groups: of.groups,
    size: imageSize(x.shape),
    outSize: imageSize(shape),
    kernel: [height, width],
    stride: pair(of.stride),
    padding: pair(of.padding),
    dilation: pair(of.dilation),
  }
  const [images, filters] = [packed(x), packed(weight)]
  const product = run('forward', geometry, images, filters, shape)
  const places = shape.map((_, axis) => axis).filter((axis) => axis !== shape.length - 3)
  const output = bias ? mapTensors(sum(x.dtype), [product, repeated(bias, shape, places)]) : product
  return record('conv2d', output, bias ? [x, weight, bias] : [x, weight], [
    (dy) => typed<Value>(run('inputGradient', geometry, packed(recordOf(dy)), filters, x.shape)),
    (dy) => typed<Value>(run('weightGradient', geometry, images, packed(recordOf(dy)), weight.shape)),
    (dy) => typed<Value>(reduceTensors('sum', [recordOf(dy)], places)),
  ])
}

const sum = forDType((dtype) => {
  const [a, b] = operands(dtype)
  return a.add(b)
})

function run(
  pass: Conv2dKernel['pass'],
  geometry: Geometry,
  a: TensorRecord,
  b: TensorRecord,
  shape: readonly number[],
): TensorRecord {
  const output = emptyTensor(a.device, a.dtype, shape)
  const operands = { a: a.operand(), b: b.operand(), output: output.operand() }
  a.device.run({ kind: 'conv2d', native: conv2dNative, pass, ...geometry, ...operands }, [
    a.storage,
    b.storage,
    output.storage,
  ])
  return output
}

function requireBias(x: TensorRecord, bias: TensorRecord, filters: number): void {
  requireFloats('conv2d', x, bias)
  if (bias.rank === 1 && bias.shape[0] === filters) return
  const message = `conv2d: the bias must have shape [${filters}], one element for each output channel, got [${bias.shape.join(', ')}].`
  throw new ShapeError(message, { op: 'conv2d', shapes: [bias.shape] })
}
