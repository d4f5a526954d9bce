import { conv2dRecord } from '../ops/conv/conv2d.js'
import { type ConvOptions, type Convolution, convolutionOf, convOptionNames, requireWhole } from '../shapes/conv.js'
import type { FloatDType } from '../shapes/dtype.js'
import { OptionError } from '../shapes/errors.js'
import { requireOptions } from '../shapes/options.js'
import { recordOf, type TensorRecord } from '../tensor/record.js'
import { uniformParameter } from './initialize.js'
import type { Conv2dFactory } from './module.js'
import { Printed } from './table.js'

class Conv2d extends Printed implements Convolution {
  readonly weight: TensorRecord
  readonly bias?: TensorRecord
  readonly stride: number
  readonly padding: number
  readonly dilation: number
  readonly groups: number

  constructor(
    inChannels: number,
    outChannels: number,
    kernel: number,
    of: Convolution,
    withBias: boolean,
    dtype: FloatDType,
  ) {
    super()
    requireWhole('conv2d', 'the number of input channels', inChannels, 1)
    requireWhole('conv2d', 'the number of output channels', outChannels, 1)
    requireWhole('conv2d', 'the window', kernel, 1)
    const { stride, padding, dilation, groups } = of
    if (inChannels % groups !== 0 || outChannels % groups !== 0) {
      const message = `conv2d: ${inChannels} -> ${outChannels} channels cannot be parted into ${groups} groups; use a divisor of both.`
      throw new OptionError(message, { op: 'conv2d' })
    }
    this.stride = stride
    this.padding = padding
    this.dilation = dilation
    this.groups = groups
    const perGroup = inChannels / groups
    const bound = 1 / Math.sqrt(perGroup * kernel * kernel)
    this.weight = uniformParameter([outChannels, perGroup, kernel, kernel], bound, dtype)
    if (withBias) this.bias = uniformParameter([outChannels], bound, dtype)
  }

  forward(x: unknown): TensorRecord {
    return conv2dRecord(recordOf(x), this.weight, this.bias, this)
  }

  describe(): string {
    const [outChannels = 0, perGroup = 0, height, width] = this.weight.shape
    const settings = { stride: 1, padding: 0, dilation: 1, groups: 1 }
    const changed = Object.entries(settings).flatMap(([name, usual]) => {
      const value = this[name as keyof Convolution]
      return value === usual ? [] : `, ${name} ${value}`
    })
    return `conv2d(${perGroup * this.groups} -> ${outChannels}, ${height}x${width}${changed.join('')})`
  }
}

/**
 * Convolution of images with windows of `kernel` x `kernel`: see the op `conv2d`.
 *
 * Shapes: `x: […N, In, H, W] → […N, Out, H', W']` with `H' = ⌊(H + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1`;
 * `weight: [Out, In / groups, kernel, kernel]`, `bias: [Out]` (left out with `{ bias: false }`).
 * Init: U(±1/√(In / groups · kernel²)), both.
 * Throws: `OptionError` for sizes and options out of range, `ShapeError` when channels or window do not fit.
 * Torch: `nn.Conv2d(in, out, kernel)`, same names and initialisation; square windows, one number for both axes.
 * @example sequential(conv2d(1, 16, 3, { padding: 1 }), relu(), maxPool2d(2), flatten2d(), linear(16 * 14 * 14, 10))
 */
export const conv2d = ((
  inChannels: number,
  outChannels: number,
  kernel: number,
  options: ConvOptions & { bias?: boolean; dtype?: FloatDType } = {},
) => {
  requireOptions('conv2d', options, [...convOptionNames, 'bias', 'dtype'])
  const { bias = true, dtype = 'f32' } = options
  return new Conv2d(inChannels, outChannels, kernel, convolutionOf(options), bias, dtype)
}) as unknown as Conv2dFactory
