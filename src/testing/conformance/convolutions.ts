import { type Conv2dKernel, conv2dSizes, type Operand, type Pair } from '../../kernels/kernel.js'
import { conv2dNative } from '../../native/conv2d.js'
import type { DType } from '../../tensor/dtype.js'
import { type ConformanceCase, equal } from './case.js'
import { contentsOf, type Random, randomContents, type Style } from './random.js'

interface Convolution {
  readonly batch?: number
  readonly channels: readonly [input: number, output: number]
  readonly groups?: number
  readonly size: Pair
  readonly kernel: Pair
  readonly stride?: Pair
  readonly padding?: Pair
  readonly dilation?: Pair
  readonly offset?: number
  readonly style?: Style
  readonly dtype?: DType
}

type Pass = Conv2dKernel['pass']
const passes: readonly Pass[] = ['forward', 'inputGradient', 'weightGradient']

/** Small whole numbers give the same sum in any order, so equality is asked for; reals may lose what rounding loses. */
function conv2dCase(pass: Pass, random: Random, convolution: Convolution): ConformanceCase {
  const {
    batch = 2,
    channels,
    groups = 1,
    size,
    kernel: window,
    offset = 0,
    style = 'whole',
    dtype = 'f32',
  } = convolution
  const { stride = [1, 1], padding = [0, 0], dilation = [1, 1] } = convolution
  const out = (axis: 0 | 1) =>
    Math.floor((size[axis] + 2 * padding[axis] - dilation[axis] * (window[axis] - 1) - 1) / stride[axis]) + 1
  const at = (from: number): Operand => ({ dtype, strides: [], offset: from })
  const kernel: Conv2dKernel = {
    kind: 'conv2d',
    native: conv2dNative,
    pass,
    batch,
    inChannels: channels[0],
    outChannels: channels[1],
    groups,
    size,
    outSize: [out(0), out(1)],
    kernel: window,
    stride,
    padding,
    dilation,
    a: at(offset),
    b: at(2 * offset),
    output: at(offset),
  }
  const [a, b, output] = conv2dSizes(kernel)
  const surrounded = (length: number, from: number) => {
    const data = randomContents(random, dtype, from + length + 5, style)
    data.fill(Number.NaN, 0, from).fill(Number.NaN, from + length)
    return data
  }
  const buffers = [
    surrounded(a, offset),
    surrounded(b, 2 * offset),
    contentsOf(dtype, new Array<number>(output + offset + 5).fill(77)),
  ]
  const settings = `stride ${stride}, padding ${padding}, dilation ${dilation}`
  const name = `conv2d/${pass} ${style} ${dtype} [${batch},${channels[0]},${size}] -> ${channels[1]} by ${window}, ${groups} groups, ${settings}, offset ${offset}`
  const plain: ConformanceCase = { name, kernel, buffers, scalars: [], tolerance: equal }
  if (style === 'whole') return plain
  const terms = (channels[0] / groups) * window[0] * window[1]
  const sizes = buffers.map((data) => contentsOf(dtype, Array.from(data, Math.abs)))
  const most =
    pass === 'weightGradient' ? batch * out(0) * out(1) : Math.max(terms, (terms * channels[1]) / channels[0])
  return { ...plain, tolerance: { kind: 'sum', terms: most + 2, magnitudes: { kernel, buffers: sizes } } }
}

const three: Pair = [3, 3]
const one: Pair = [1, 1]

const convolutions: readonly Convolution[] = [
  // Windows of 3 with padding, all widths around a vector and a tile.
  ...[1, 2, 3, 4, 5, 7, 8, 9, 14, 15, 16, 17, 28, 33].map(
    (width): Convolution => ({ channels: [2, 3], size: [4, width], kernel: three, padding: one }),
  ),
  // Numbers of channels around a tile.
  ...[1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13].map(
    (count): Convolution => ({ channels: [2, count], size: [5, 6], kernel: three, padding: one }),
  ),
  ...[1, 3, 4, 7].map((count): Convolution => ({ channels: [count, 4], size: [6, 5], kernel: three, padding: one })),
  // Other windows, without padding and with more than the window.
  { channels: [2, 3], size: [5, 7], kernel: three },
  { channels: [2, 3], size: [3, 3], kernel: three },
  { channels: [2, 3], size: [4, 5], kernel: three, padding: [2, 2] },
  { channels: [2, 3], size: [4, 5], kernel: three, padding: [4, 5] },
  { channels: [2, 3], size: [6, 6], kernel: [5, 5], padding: [2, 2] },
  { channels: [1, 2], size: [8, 9], kernel: [7, 7], padding: [3, 3] },
  { channels: [2, 3], size: [6, 7], kernel: [2, 2] },
  { channels: [2, 3], size: [6, 7], kernel: [2, 3], padding: [1, 0] },
  { channels: [2, 3], size: [1, 40], kernel: [1, 5], padding: [0, 2] },
  { channels: [2, 3], size: [9, 1], kernel: [3, 1], padding: [1, 0] },
  // Points.
  { channels: [5, 7], size: [4, 6], kernel: one },
  { channels: [5, 7], size: [4, 6], kernel: one, padding: one },
  { channels: [5, 7], size: [5, 7], kernel: one, stride: [2, 2] },
  { channels: [5, 7], size: [1, 1], kernel: one },
  { channels: [4, 6], groups: 2, size: [3, 5], kernel: one },
  // Strides, also larger than the window, and dilation.
  { channels: [2, 3], size: [8, 9], kernel: three, stride: [2, 2], padding: one },
  { channels: [2, 3], size: [9, 8], kernel: three, stride: [2, 2] },
  { channels: [2, 3], size: [9, 12], kernel: three, stride: [3, 3], padding: one },
  { channels: [2, 3], size: [11, 13], kernel: [2, 2], stride: [3, 4] },
  { channels: [2, 3], size: [12, 9], kernel: three, stride: [1, 2], padding: [0, 1] },
  { channels: [3, 4], size: [14, 15], kernel: [7, 7], stride: [2, 2], padding: [3, 3] },
  { channels: [2, 3], size: [8, 9], kernel: three, padding: [2, 2], dilation: [2, 2] },
  { channels: [2, 3], size: [9, 10], kernel: three, padding: [1, 2], dilation: [2, 3] },
  { channels: [2, 3], size: [10, 11], kernel: three, stride: [2, 2], padding: [2, 2], dilation: [2, 2] },
  { channels: [2, 3], size: [11, 10], kernel: three, stride: [2, 3], padding: [2, 1], dilation: [3, 2] },
  { channels: [2, 3], size: [1, 1], kernel: one, stride: [2, 2], padding: one },
  // Groups, down to one channel each.
  { channels: [4, 6], groups: 2, size: [5, 6], kernel: three, padding: one },
  { channels: [5, 5], groups: 5, size: [6, 7], kernel: three, padding: one },
  { channels: [4, 8], groups: 4, size: [6, 7], kernel: three, stride: [2, 2], padding: one },
  // Batches and offsets.
  { batch: 1, channels: [3, 4], size: [6, 6], kernel: three, padding: one },
  { batch: 7, channels: [3, 4], size: [6, 6], kernel: three, padding: one },
  { batch: 3, channels: [3, 4], size: [6, 6], kernel: three, padding: one, offset: 3 },
  { batch: 3, channels: [3, 4], size: [6, 6], kernel: one, offset: 3 },
  { batch: 0, channels: [3, 4], size: [6, 6], kernel: three, padding: one },
  { batch: 0, channels: [3, 4], size: [6, 6], kernel: one },
]

const large: readonly Convolution[] = [
  { batch: 3, channels: [1, 16], size: [28, 28], kernel: three, padding: one },
  { batch: 4, channels: [16, 32], size: [14, 14], kernel: three, padding: one },
  { batch: 1, channels: [24, 20], size: [30, 31], kernel: three, padding: one },
  { batch: 2, channels: [17, 19], size: [13, 12], kernel: three, stride: [2, 2], padding: one },
  { batch: 2, channels: [32, 48], size: [7, 7], kernel: one },
  { batch: 40, channels: [3, 4], size: [4, 4], kernel: three, padding: one },
]

/** Any geometry that fits. */
function randomConvolution(random: Random): Convolution {
  const pair = (low: number, high: number): Pair => [random.whole(low, high), random.whole(low, high)]
  const groups = random.pick([1, 1, 1, 2, 3])
  const kernel = pair(1, random.pick([1, 3, 5]))
  const dilation = pair(1, random.pick([1, 1, 3]))
  const padding = pair(0, random.pick([0, 2, 4]))
  const least = (axis: 0 | 1) => Math.max(1, dilation[axis] * (kernel[axis] - 1) + 1 - 2 * padding[axis])
  return {
    batch: random.whole(1, 4),
    channels: [groups * random.whole(1, 5), groups * random.whole(1, 9)],
    groups,
    size: [least(0) + random.whole(0, 9), least(1) + random.whole(0, 19)],
    kernel,
    stride: pair(1, random.pick([1, 2, 4])),
    padding,
    dilation,
    offset: random.pick([0, 0, 1]),
  }
}

/** Convolutions in all passes: sizes, strides, padding, dilation, groups, offsets, and reals worth several threads. */
export function conv2dCases(random: Random): ConformanceCase[] {
  return passes.flatMap((pass) => [
    ...[...convolutions, ...large].map((convolution) => conv2dCase(pass, random, convolution)),
    ...large.map((convolution) => conv2dCase(pass, random, { ...convolution, style: 'plain' })),
    conv2dCase(pass, random, { channels: [2, 3], size: [4, 5], kernel: three, padding: one, dtype: 'f64' }),
    ...Array.from({ length: 30 }, (_, i) => {
      const any = conv2dCase(pass, random, randomConvolution(random))
      return { ...any, name: `${any.name}, any ${i}` }
    }),
    ...(pass === 'weightGradient' ? [] : [spoiled(pass, random)]),
  ])
}

/** NaN and infinity reach the windows they are in and no other. */
function spoiled(pass: Pass, random: Random): ConformanceCase {
  const one = conv2dCase(pass, random, { batch: 3, channels: [4, 4], size: [9, 11], kernel: three, padding: [1, 1] })
  const [a, ...rest] = one.buffers
  if (!a) return one
  const changed = a.slice()
  changed[3 * 99 + 4 * 11] = Number.NaN
  changed[5 * 99 + 98] = Number.POSITIVE_INFINITY
  return { ...one, name: `${one.name}, NaN and ∞`, buffers: [changed, ...rest] }
}
