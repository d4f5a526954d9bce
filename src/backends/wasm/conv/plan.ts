import { type Conv2dKernel, conv2dTerms, type MatmulKernel } from '../../../kernels/kernel.js'
import { DTypeError } from '../../../tensor/errors.js'
import { type Entry, type Launch, type PointerWord, type Prepared, scratch } from '../launch.js'
import type { Mode } from '../modes.js'
import { directEntry, packEntry } from './direct.js'
import { type Geometry, geometryOf, spaced } from './geometry.js'
import { type ConvTile, convTiles, widthOf } from './micro-kernels.js'
import { weightEntry, weightLanes, weightTile } from './weight.js'
import { classWords, words, workspace } from './words.js'

/** Planes of one stretch of images that the gradient of the weight goes through at a time should fit the nearest cache. */
const nearBytes = 64 * 1024
/** And all planes of these images the last: few images at a time cost more in adding up than their planes in reading. */
const farBytes = 2048 * 1024

const roundUp = (x: number, step: number): number => Math.ceil(x / step) * step

/** The words of a block; tables follow the fixed words. */
class Block {
  readonly #words: number[] = Array.from({ length: words.first }, () => 0)

  set(values: Partial<Record<keyof typeof words, number>>): void {
    for (const [name, value] of Object.entries(values)) this.#words[words[name as keyof typeof words]] = value
  }
  /** Appends a table; its position. */
  table(values: readonly number[]): number {
    const at = this.#words.length
    this.#words.push(...values)
    return at
  }
  done(): Int32Array {
    return Int32Array.from(this.#words)
  }
}

/** A product that is the same convolution in the same order of additions, if there is one: windows of one element. */
export function asMatmul(kernel: Conv2dKernel): MatmulKernel | undefined {
  const { pass, batch, inChannels, outChannels, groups, size, kernel: window, stride, padding, a, b, output } = kernel
  const point = [...window, ...stride].every((x) => x === 1) && padding.every((x) => x === 0)
  if (!point || pass === 'weightGradient') return undefined
  const n = size[0] * size[1]
  const [inputs, filters] = [inChannels / groups, outChannels / groups]
  const [m, k] = pass === 'forward' ? [filters, inputs] : [inputs, filters]
  const rows = pass === 'forward' ? [k, 1] : [1, m]
  const planes = (channels: number) => [groups * channels * n, channels * n, n, 1]
  return {
    kind: 'matmul',
    batch: [batch, groups],
    m,
    n,
    k,
    a: { ...b, strides: [0, m * k, ...rows] },
    b: { ...a, strides: planes(k) },
    output: { ...output, strides: planes(m) },
  }
}

/** How a convolution is computed: blocks, pointers, scratch memory. */
export function prepareConv(kernel: Conv2dKernel, mode: Mode, entry: (name: string) => Entry): Prepared {
  for (const { dtype } of [kernel.a, kernel.b, kernel.output]) {
    if (dtype === 'f32') continue
    const message = `conv2d on the wasm device takes f32, got ${dtype}. Cast the operands to f32.`
    throw new DTypeError(message, { op: 'conv2d' })
  }
  return kernel.pass === 'weightGradient' ? prepareWeight(kernel, mode, entry) : prepareDirect(kernel, mode, entry)
}

/** What the passes have in common. */
function common(block: Block, kernel: Conv2dKernel, geometry: Geometry): void {
  const { batch, groups, size, outSize } = kernel
  const backward = kernel.pass === 'inputGradient'
  const [source, output] = backward ? [outSize, size] : [size, outSize]
  const { pitch, channelStep, stretches, sourceRow, sourceColumn } = geometry
  const copiesAt = block.table(stretches.flatMap(({ to, from, rows, columns }) => [to * 4, from * 4, rows, columns]))
  block.set({
    batch,
    groups,
    sourcePlane: source[0] * source[1] * 4,
    outputPlane: output[0] * output[1] * 4,
    channelStep: channelStep * 4,
    pitch: pitch * 4,
    sourceRow: sourceRow * 4,
    sourceColumn: sourceColumn * 4,
    copied: Number(!geometry.dense),
    copies: stretches.length,
    copiesAt,
  })
}

function prepareDirect(kernel: Conv2dKernel, mode: Mode, entry: (name: string) => Entry): Prepared {
  const { groups, inChannels, outChannels, batch, kernel: window } = kernel
  const backward = kernel.pass === 'inputGradient'
  const geometry = geometryOf(kernel)
  const tile = convTiles[mode.name]
  const [inputs, outputs] = [inChannels / groups, outChannels / groups]
  const [channels, filters] = backward ? [outputs, inputs] : [inputs, outputs]
  const taps = window[0] * window[1]
  const block = new Block()
  common(block, kernel, geometry)

  // Blocks of equal sizes: a narrow one takes as long as a full one.
  const blocks = Math.max(1, Math.ceil(filters / tile.filters))
  const starts = Array.from({ length: blocks + 1 }, (_, i) => Math.floor((filters * i) / blocks))
  let packed = 0
  const classes = geometry.classes.flatMap((one) => {
    const tapsAt = block.table(one.taps.flatMap(({ source, weight }) => [source * 4, weight * 4]))
    const at = packed
    packed += one.taps.length * channels * outChannelsOf(kernel) * 4
    return [one.rows, one.columns, one.start * 4, one.taps.length, tapsAt, at]
  })
  const rowByRow = takesRows(geometry, tile, channels)
  const planes = geometry.dense ? 0 : channels * geometry.channelStep + widthOf(tile) + 16
  const packedBytes = roundUp(packed, 64)
  const workBytes = roundUp(workspace.planes + planes * 4, 64) + 64
  block.set({
    workBytes,
    channels,
    filters,
    outputRow: geometry.outputRow * 4,
    outputColumn: geometry.outputColumn * 4,
    planesBytes: planes * 4,
    rowByRow: Number(rowByRow),
    // Rows of several classes take turns in the output.
    spills: Number(rowByRow && geometry.classes.length === 1),
    blocks,
    blocksAt: block.table(starts),
    classes: classes.length / classWords.count,
    classesAt: block.table(classes),
    weightRow: (backward ? taps : inputs * taps) * 4,
    weightChannel: (backward ? inputs * taps : taps) * 4,
    weightGroup: outputs * inputs * taps * 4,
  })
  const pointers: PointerWord[] = [
    { word: words.source, operand: 0, bytes: kernel.a.offset * 4 },
    { word: words.weight, operand: 1, bytes: kernel.b.offset * 4 },
    { word: words.output, operand: 2, bytes: kernel.output.offset * 4 },
    { word: words.packed, operand: scratch, bytes: 0 },
    { word: words.work, operand: scratch, bytes: packedBytes },
  ]
  const words32 = block.done()
  const launch = (name: string, nanoseconds: number): Launch => ({
    entry: entry(name),
    block: words32,
    pointers,
    scalars: [],
    nanoseconds,
  })
  const nothing = batch === 0 || filters === 0
  const direct = { ...launch(directEntry, nanosecondsOf(kernel, mode)), callWords: words }
  const launches = [launch(packEntry, packed / 4), direct]
  return { launches: nothing ? [] : launches, scratchBytes: (threads) => packedBytes + threads * workBytes }
}

const outChannelsOf = ({ pass, inChannels, outChannels }: Conv2dKernel): number =>
  pass === 'inputGradient' ? inChannels : outChannels

/** Whether tiles that begin at each row of the output waste less than tiles that run on and are copied row by row. */
function takesRows({ classes, pitch, outputColumn }: Geometry, tile: ConvTile, channels: number): boolean {
  const width = widthOf(tile)
  // Copying a tile out costs about as much as so many steps of its sum.
  const copying = 10
  let [byRows, onwards] = [0, 0]
  for (const { rows, columns, taps } of classes) {
    const steps = taps.length * channels + 2
    byRows += rows * Math.ceil(columns / width) * (steps + (outputColumn === 1 ? 0 : copying))
    const crossing = outputColumn === 1 ? Math.min(1, width / columns) : 1
    onwards += Math.ceil(((rows - 1) * pitch + columns) / width) * (steps + crossing * copying)
  }
  return byRows <= onwards
}

function prepareWeight(kernel: Conv2dKernel, mode: Mode, entry: (name: string) => Entry): Prepared {
  const { groups, inChannels, outChannels, batch, outSize } = kernel
  const geometry = geometryOf(kernel)
  const [channels, filters] = [inChannels / groups, outChannels / groups]
  const block = new Block()
  // Planes are copied always: what is read behind their ends must be numbers.
  const copied = geometry.dense
    ? { ...geometry, stretches: [{ to: 0, from: 0, rows: kernel.size[0], columns: kernel.size[1] }] }
    : geometry
  const channelStep = geometry.dense ? spaced(geometry.channelStep) : geometry.channelStep
  common(block, kernel, { ...copied, channelStep })
  const [{ taps } = { taps: [] }] = geometry.classes
  const places = (outSize[0] - 1) * geometry.pitch + outSize[1]
  const steps = Math.ceil(places / weightLanes)
  const gradientPlane = spaced(steps * weightLanes)
  const imageBytes = channels * channelStep * 4
  const near = Math.floor(nearBytes / 4 / (channelStep + weightTile.filters * gradientPlane))
  const imagesAtOnce = Math.max(1, Math.min(batch, near, Math.max(1, Math.floor(farBytes / imageBytes))))
  const gradientsAt = roundUp(imagesAtOnce * imageBytes + 64, 64)
  const workBytes =
    roundUp(workspace.planes + gradientsAt + imagesAtOnce * weightTile.filters * gradientPlane * 4, 64) + 64
  const tapGroups = Math.ceil((channels * taps.length) / weightTile.taps)
  block.set({
    workBytes,
    channels,
    filters,
    planesBytes: imageBytes,
    imagesAtOnce,
    taps: taps.length,
    tapsAt: block.table(taps.flatMap(({ source, weight }) => [source * 4, weight * 4])),
    tapGroups,
    gradientPlane: gradientPlane * 4,
    gradientRows: outSize[0],
    gradientColumns: outSize[1],
    steps,
    gradientsAt,
  })
  const pointers: PointerWord[] = [
    { word: words.source, operand: 0, bytes: kernel.a.offset * 4 },
    { word: words.weight, operand: 1, bytes: kernel.b.offset * 4 },
    { word: words.output, operand: 2, bytes: kernel.output.offset * 4 },
    { word: words.work, operand: scratch, bytes: 0 },
  ]
  const size = outChannels * channels * taps.length
  const launch: Launch = {
    entry: entry(batch === 0 ? clearEntry : weightEntry),
    block: batch === 0 ? Int32Array.of(0, size * 4) : block.done(),
    pointers: batch === 0 ? [{ word: 0, operand: 2, bytes: kernel.output.offset * 4 }] : pointers,
    scalars: [],
    nanoseconds: nanosecondsOf(kernel, mode),
  }
  return { launches: size === 0 ? [] : [launch], scratchBytes: (threads) => threads * workBytes }
}

/** Exported name of the kernel that writes zeros. */
export const clearEntry = 'convClear'

/** Floating-point operations per nanosecond, the making of planes included. */
const speed = { plain: 20, fma: 35, '256': 60 } as const
const nanosecondsOf = (kernel: Conv2dKernel, mode: Mode): number => 500 + (2 * conv2dTerms(kernel)) / speed[mode.name]
