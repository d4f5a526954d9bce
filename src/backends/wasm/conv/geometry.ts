import type { Conv2dKernel } from '../../../kernels/kernel.js'

/**
 * Every pass is computed on planes in which a window's taps lie at fixed distances from its element, so that neighbouring
 * elements read neighbouring numbers whatever the stride, and zeros stand where padding is read. With a stride of s an
 * image becomes s planes along each axis, every s-th row and column in one; the gradient of the input is computed in
 * s classes, each of which sees some of the taps at stride 1. All places and sizes here count elements.
 */

/** One axis of a convolution. */
interface Axis {
  readonly size: number
  readonly out: number
  readonly kernel: number
  readonly stride: number
  readonly padding: number
  readonly dilation: number
}

/** Which source elements stand in a row of planes: `count` from `from` on, `stride` apart, at `first`, zeros around them. */
interface Run {
  readonly first: number
  readonly from: number
  readonly count: number
}

/** How an axis is laid out in planes. */
interface AxisPlan {
  /** Elements of a row of the plane, zeros included. */
  readonly length: number
  /** How far rows may overlap: each ends with as many zeros as the next begins with. */
  readonly overlap: number
  readonly runs: readonly Run[]
  /** Elements computed together: first in the output, how many, and their taps in the order in which they are added. */
  readonly classes: readonly AxisClass[]
  /** Between neighbours of one class in the output. */
  readonly step: number
}

interface AxisClass {
  readonly start: number
  readonly count: number
  /** The window's position, the run it reads and how far along. */
  readonly taps: readonly { readonly position: number; readonly run: number; readonly shift: number }[]
}

function forwardAxis({ size, out, kernel, stride, padding, dilation }: Axis): AxisPlan {
  const reaches = Array.from({ length: kernel }, (_, position) => position * dilation)
  const phases = [...new Set(reaches.map((reach) => reach % stride))].sort((a, b) => a - b)
  const furthest = Math.floor(((kernel - 1) * dilation) / stride)
  const length = out + furthest
  const runs = phases.map((phase): Run => {
    const first = Math.max(0, Math.ceil((padding - phase) / stride))
    const last = Math.min(length - 1, Math.floor((size - 1 + padding - phase) / stride))
    return { first, from: first * stride + phase - padding, count: Math.max(0, last - first + 1) }
  })
  const taps = reaches.map((reach, position) => ({
    position,
    run: phases.indexOf(reach % stride),
    shift: Math.floor(reach / stride),
  }))
  return {
    length,
    overlap: overlapOf(runs, length, out),
    runs,
    classes: [{ start: 0, count: out, taps }],
    step: 1,
  }
}

function gradientAxis({ size, out, kernel, stride, padding, dilation }: Axis): AxisPlan {
  const classes = Array.from({ length: Math.min(stride, size) }, (_, start) => {
    // Descending positions read ascending places.
    const positions = Array.from({ length: kernel }, (_unused, i) => kernel - 1 - i)
    const taps = positions.flatMap((position) => {
      const reach = start + padding - position * dilation
      return reach % stride === 0 ? { position, run: 0, shift: reach / stride } : []
    })
    return { start, count: Math.ceil((size - start) / stride), taps }
  })
  const shifts = classes.flatMap(({ taps }) => taps.map(({ shift }) => shift))
  const earliest = Math.min(0, ...shifts)
  const ends = classes.flatMap(({ count, taps }) => taps.map(({ shift }) => count + shift - earliest))
  const length = Math.max(out - earliest, ...ends)
  const runs = [{ first: -earliest, from: 0, count: out }]
  const longest = Math.max(...classes.map(({ count }) => count))
  return {
    length: Math.max(length, longest),
    overlap: overlapOf(runs, Math.max(length, longest), longest),
    runs,
    classes: classes.map(({ taps, ...rest }) => ({
      ...rest,
      taps: taps.map((tap) => ({ ...tap, shift: tap.shift - earliest })),
    })),
    step: stride,
  }
}

/** Zeros that both ends of a row have, as far as the elements of the next row stay apart from this one's. */
function overlapOf(runs: readonly Run[], length: number, computed: number): number {
  const zeros = runs.map(({ first, count }) => (count === 0 ? length : Math.min(first, length - first - count)))
  return Math.max(0, Math.min(length - computed, ...zeros))
}

/** A stretch of source elements in the planes of a channel. */
export interface Stretch {
  readonly to: number
  readonly from: number
  readonly rows: number
  readonly columns: number
}

/** Elements of the output that see the same taps. */
export interface TapClass {
  readonly rows: number
  readonly columns: number
  readonly start: number
  readonly taps: readonly { readonly source: number; readonly weight: number }[]
}

export interface Geometry {
  /** Whether dense planes can be read as they are. */
  readonly dense: boolean
  /** Elements from one row to the next, and from one channel to the next. */
  readonly pitch: number
  readonly channelStep: number
  readonly stretches: readonly Stretch[]
  readonly sourceRow: number
  readonly sourceColumn: number
  readonly classes: readonly TapClass[]
  readonly outputRow: number
  readonly outputColumn: number
}

/** Elements at a distance of 4 KiB share a place in the nearest cache: planes keep off such distances. */
export const spaced = (elements: number): number => {
  const whole = Math.ceil(elements / 16) * 16
  return whole % 1024 === 0 ? whole + 16 : whole
}

/** How the planes of a pass are laid out, and what is read from them. */
export function geometryOf(kernel: Conv2dKernel): Geometry {
  const { size, outSize, kernel: window, stride, padding, dilation } = kernel
  const axis = (i: 0 | 1): Axis => ({
    size: size[i],
    out: outSize[i],
    kernel: window[i],
    stride: stride[i],
    padding: padding[i],
    dilation: dilation[i],
  })
  const backward = kernel.pass === 'inputGradient'
  const [y, x] = backward
    ? [gradientAxis(axis(0)), gradientAxis(axis(1))]
    : [forwardAxis(axis(0)), forwardAxis(axis(1))]
  const [source, target] = backward ? [outSize, size] : [size, outSize]
  const [sourceRow, sourceColumn] = backward ? [source[1], 1] : [source[1] * stride[0], stride[1]]
  const dense =
    y.runs.length * x.runs.length === 1 &&
    [y, x].every(({ length, runs }, i) => runs[0]?.first === 0 && runs[0].count === length && length === source[i]) &&
    sourceRow === source[1] &&
    sourceColumn === 1
  const pitch = x.length - x.overlap
  const plane = spaced(y.length * pitch + x.overlap)
  const stretches = y.runs.flatMap((row, i) =>
    x.runs.map((column, j) => ({
      to: (i * x.runs.length + j) * plane + row.first * pitch + column.first,
      from: row.from * source[1] + column.from,
      rows: row.count,
      columns: column.count,
    })),
  )
  const classes = y.classes.flatMap((row) =>
    x.classes.map(
      (column): TapClass => ({
        rows: row.count,
        columns: column.count,
        start: row.start * target[1] + column.start,
        taps: row.taps.flatMap((ty) =>
          column.taps.map((tx) => ({
            source: (ty.run * x.runs.length + tx.run) * plane + ty.shift * pitch + tx.shift,
            weight: ty.position * window[1] + tx.position,
          })),
        ),
      }),
    ),
  )
  return {
    dense,
    pitch,
    channelStep: dense ? source[0] * source[1] : plane * y.runs.length * x.runs.length,
    stretches: dense ? [] : stretches.filter(({ rows, columns }) => rows * columns > 0),
    sourceRow,
    sourceColumn,
    classes,
    outputRow: backward ? target[1] * y.step : target[1],
    outputColumn: x.step,
  }
}
