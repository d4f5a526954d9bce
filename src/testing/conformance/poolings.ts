import { type Operand, type Pair, type Pool2dKernel, pool2dSizes } from '../../kernels/kernel.js'
import { pool2dNative } from '../../native/pool2d.js'
import type { DType } from '../../tensor/dtype.js'
import { type ConformanceCase, equal } from './case.js'
import { contentsOf, type Random, randomContents, type Style } from './random.js'

interface Pooling {
  readonly planes?: number
  readonly size: Pair
  readonly kernel: Pair
  readonly stride?: Pair
  readonly padding?: Pair
  readonly countPadding?: boolean
  readonly offset?: number
  readonly style?: Style
  readonly dtype?: DType
}

type Kind = Pick<Pool2dKernel, 'pass' | 'combine'>
const kinds: readonly Kind[] = [
  { pass: 'forward', combine: 'max' },
  { pass: 'backward', combine: 'max' },
  { pass: 'forward', combine: 'average' },
  { pass: 'backward', combine: 'average' },
]

/** Whole numbers tie often; sums of them are exact, so only the division of an average is rounded. */
function pool2dCase(kind: Kind, random: Random, pooling: Pooling): ConformanceCase {
  const { planes = 3, size, kernel: window, padding = [0, 0], countPadding = true, offset = 0 } = pooling
  const { stride = window, style = 'whole', dtype = 'f32' } = pooling
  const out = (axis: 0 | 1) => Math.floor((size[axis] + 2 * padding[axis] - window[axis]) / stride[axis]) + 1
  const at = (from: number): Operand => ({ dtype, strides: [], offset: from })
  const kernel: Pool2dKernel = {
    kind: 'pool2d',
    native: pool2dNative,
    ...kind,
    planes,
    size,
    outSize: [out(0), out(1)],
    kernel: window,
    stride,
    padding,
    countPadding,
    inputs: kind.pass === 'backward' && kind.combine === 'max' ? [at(offset), at(2 * offset)] : [at(offset)],
    output: at(offset),
  }
  const buffers = pool2dSizes(kernel).map((length, i) => {
    if (i === kernel.inputs.length) return contentsOf(dtype, new Array<number>(length + offset + 5).fill(77))
    const from = kernel.inputs[i]?.offset ?? 0
    const data = randomContents(random, dtype, from + length + 5, style)
    data.fill(Number.NaN, 0, from).fill(Number.NaN, from + length)
    return data
  })
  const name = `pool2d/${kind.combine} ${kind.pass} ${style} ${dtype} ${planes}x[${size}] by ${window}, stride ${stride}, padding ${padding}${countPadding ? '' : ' not counted'}, offset ${offset}`
  const plain: ConformanceCase = { name, kernel, buffers, scalars: [], tolerance: equal }
  if (kind.combine === 'max' && (kind.pass === 'forward' || style === 'whole')) return plain
  const magnitudes = buffers.map((data) => contentsOf(dtype, Array.from(data, Math.abs)))
  // A tie that is none among absolute values would move a gradient: the places are those of the case itself.
  if (kind.combine === 'max') magnitudes[1] = buffers[1] ?? contentsOf(dtype, [])
  const terms = window[0] * window[1] + 2
  return { ...plain, tolerance: { kind: 'sum', terms, magnitudes: { kernel, buffers: magnitudes } } }
}

const two: Pair = [2, 2]
const three: Pair = [3, 3]

const poolings: readonly Pooling[] = [
  ...[2, 3, 4, 5, 7, 8, 9, 10, 14, 15, 16, 17, 28, 33].map((width): Pooling => ({ size: [4, width], kernel: two })),
  { size: [2, 2], kernel: two },
  { size: [5, 7], kernel: two },
  { size: [5, 7], kernel: two, stride: [1, 1] },
  { size: [5, 8], kernel: two, padding: [1, 1] },
  { size: [9, 11], kernel: three, stride: two, padding: [1, 1] },
  { size: [9, 11], kernel: three, stride: two },
  { size: [9, 11], kernel: three },
  { size: [6, 7], kernel: three, stride: [1, 1], padding: [1, 1] },
  { size: [7, 9], kernel: [2, 3], stride: [3, 1], padding: [0, 1] },
  { size: [8, 8], kernel: [8, 8] },
  { size: [3, 4], kernel: [1, 1] },
  { size: [5, 5], kernel: [1, 1], stride: two },
  { size: [1, 9], kernel: [1, 3], stride: [1, 2], padding: [0, 1] },
  { size: [12, 13], kernel: [5, 5], stride: [2, 3], padding: two },
  { planes: 0, size: [4, 4], kernel: two },
  { planes: 4, size: [6, 8], kernel: two, offset: 3 },
  { planes: 4, size: [7, 7], kernel: three, stride: two, padding: [1, 1], offset: 3 },
  { planes: 300, size: [28, 28], kernel: two },
  { planes: 60, size: [27, 29], kernel: three, stride: two, padding: [1, 1] },
]

/** Any geometry that fits. */
function randomPooling(random: Random): Pooling {
  const pair = (low: number, high: number): Pair => [random.whole(low, high), random.whole(low, high)]
  const kernel = pair(1, random.pick([2, 3, 6]))
  const padding: Pair = [random.whole(0, Math.floor(kernel[0] / 2)), random.whole(0, Math.floor(kernel[1] / 2))]
  return {
    planes: random.whole(1, 5),
    size: [kernel[0] + random.whole(0, 9), kernel[1] + random.whole(0, 19)],
    kernel,
    stride: random.chance(0.5) ? kernel : pair(1, 4),
    padding,
    countPadding: random.chance(0.5),
    offset: random.pick([0, 0, 1]),
  }
}

/** Poolings of both kinds in both directions: sizes, overlapping windows, padding, ties, NaN, offsets. */
export function pool2dCases(random: Random): ConformanceCase[] {
  return kinds.flatMap((kind) => {
    const make = (pooling: Pooling) => pool2dCase(kind, random, pooling)
    return [
      ...poolings.map(make),
      ...poolings.slice(-6).map((pooling) => make({ ...pooling, style: 'plain' })),
      ...Array.from({ length: 30 }, (_, i) => {
        const any = make(randomPooling(random))
        return { ...any, name: `${any.name}, any ${i}` }
      }),
      make({ size: [6, 7], kernel: three, stride: two, padding: [1, 1], dtype: 'f64' }),
      ...(kind.combine === 'average' ? poolings.slice(14, 24).map((p) => make({ ...p, countPadding: false })) : []),
      ...(kind.combine === 'max'
        ? [two, three].map((kernel) => spoiled(make({ planes: 2, size: [8, 12], kernel, stride: two, offset: 1 })))
        : []),
    ]
  })
}

/** NaN wins wherever it stands in a window; −∞ everywhere is found too. */
function spoiled(pooling: ConformanceCase): ConformanceCase {
  const { kernel, buffers } = pooling
  if (kernel.kind !== 'pool2d') return pooling
  const at = kernel.pass === 'backward' && kernel.combine === 'max' ? 1 : 0
  const from = kernel.inputs[at]?.offset ?? 0
  const changed = buffers.map((data, i) => {
    const copy = data.slice()
    if (i !== at) return copy
    for (const place of [0, 3, 12 + 4, 12 + 7, 40, 41, 53, 60]) copy[from + place] = Number.NaN
    for (let place = 96; place < 96 + 40; place++) copy[from + place] = Number.NEGATIVE_INFINITY
    return copy
  })
  return { ...pooling, name: `${pooling.name}, NaN and −∞`, buffers: changed }
}
