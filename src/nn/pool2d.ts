import { avgPoolGlobalRecord, maxPoolGlobalRecord } from '../ops/conv/pool-global.js'
import { poolRecord } from '../ops/conv/pool2d.js'
import {
  type AvgPoolOptions,
  avgPoolOptionNames,
  requireWhole,
  type WindowOptions,
  windowOptionNames,
} from '../shapes/conv.js'
import { OptionError } from '../shapes/errors.js'
import { requireOptions } from '../shapes/options.js'
import { recordOf, type TensorRecord } from '../tensor/record.js'
import type { AvgPool2dFactory, AvgPoolGlobal, MaxPool2dFactory, MaxPoolGlobal } from './module.js'
import { Printed } from './table.js'

/** What both poolings by windows share. */
class Pool2d extends Printed {
  readonly stride: number
  readonly padding: number

  constructor(
    readonly name: 'maxPool2d' | 'avgPool2d',
    readonly kernel: number,
    { stride = kernel, padding = 0, countIncludePad = true }: AvgPoolOptions,
  ) {
    super()
    requireWhole(name, 'the window', kernel, 1)
    requireWhole(name, 'stride', stride, 1)
    requireWhole(name, 'padding', padding, 0)
    if (2 * padding > kernel) {
      const message = `${name}: padding must be at most half the window of ${kernel}, got ${padding}: a window would see nothing else.`
      throw new OptionError(message, { op: name })
    }
    this.stride = stride
    this.padding = padding
    this.countIncludePad = countIncludePad
  }
  readonly countIncludePad: boolean

  forward(x: unknown): TensorRecord {
    return poolRecord(this.name === 'maxPool2d' ? 'max' : 'average', recordOf(x), this.kernel, this)
  }

  describe(): string {
    const { name, kernel, stride, padding, countIncludePad } = this
    const changed = [
      ...(stride === kernel ? [] : [`, stride ${stride}`]),
      ...(padding === 0 ? [] : [`, padding ${padding}`]),
      ...(countIncludePad ? [] : [', padding not counted']),
    ]
    return `${name}(${kernel}${changed.join('')})`
  }
}

/**
 * The largest element of each window of images as a layer: see the op `maxPool2d`.
 * Shapes: `x: […N, C, H, W] → […N, C, H', W']` with `H' = ⌊(H + 2·padding − kernel) / stride⌋ + 1`; stride is kernel unless stated.
 * Torch: `nn.MaxPool2d(kernel, stride, padding)`.
 * @example maxPool2d(3, { stride: 2, padding: 1 })
 */
export const maxPool2d = ((kernel: number, options: WindowOptions = {}) => {
  requireOptions('maxPool2d', options, windowOptionNames)
  return new Pool2d('maxPool2d', kernel, options)
}) as unknown as MaxPool2dFactory

/**
 * The mean of each window of images as a layer: see the op `avgPool2d`.
 * Shapes: `x: […N, C, H, W] → […N, C, H', W']` with `H' = ⌊(H + 2·padding − kernel) / stride⌋ + 1`; stride is kernel unless stated.
 * Torch: `nn.AvgPool2d(kernel, stride, padding)`, and `countIncludePad` is its `count_include_pad`.
 * @example avgPool2d(2)
 */
export const avgPool2d = ((kernel: number, options: AvgPoolOptions = {}) => {
  requireOptions('avgPool2d', options, avgPoolOptionNames)
  return new Pool2d('avgPool2d', kernel, options)
}) as unknown as AvgPool2dFactory

class PoolGlobal extends Printed {
  constructor(readonly name: 'avgPoolGlobal' | 'maxPoolGlobal') {
    super()
  }
  forward(x: unknown): TensorRecord {
    return (this.name === 'avgPoolGlobal' ? avgPoolGlobalRecord : maxPoolGlobalRecord)(recordOf(x))
  }
  describe(): string {
    return `${this.name}()`
  }
}

/**
 * The mean of each channel over its whole image as a layer.
 * Shapes: `x: […N, C, H, W] → […N, C]`.  Torch: `nn.AdaptiveAvgPool2d(1)` and `nn.Flatten()`.
 * @example sequential(conv2d(3, 64, 3), relu(), avgPoolGlobal(), linear(64, 10))
 */
export const avgPoolGlobal = () => new PoolGlobal('avgPoolGlobal') as unknown as AvgPoolGlobal

/**
 * The largest element of each channel over its whole image as a layer.
 * Shapes: `x: […N, C, H, W] → […N, C]`.  Torch: `nn.AdaptiveMaxPool2d(1)` and `nn.Flatten()`, but for ties.
 * @example sequential(conv2d(3, 64, 3), relu(), maxPoolGlobal(), linear(64, 10))
 */
export const maxPoolGlobal = () => new PoolGlobal('maxPoolGlobal') as unknown as MaxPoolGlobal
