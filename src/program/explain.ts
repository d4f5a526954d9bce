import { type Expr, nodes as exprNodes } from '../kernels/expr.js'
import { conv2dSizes, exprsOf, type Kernel, pool2dSizes, type WithEpilogue } from '../kernels/kernel.js'
import { touches } from '../kernels/places.js'
import { sizeOf } from '../shapes/strides.js'
import { bytesPerElement } from '../tensor/backend.js'
import { isAlternative, type Node, operandsOf } from './node.js'
import { flops, nanoseconds, type Phase } from './schedule.js'

/** Bytes a kernel reads and writes, every operand's elements once. */
export function bytesMoved({ kernel }: Node): number {
  if (kernel.kind === 'foreach')
    return touches(kernel).reduce((sum, { dtype, length }) => sum + length * bytesPerElement[dtype], 0)
  const { reads, writes } = operandsOf(kernel)
  const sizes = (): readonly number[] => {
    switch (kernel.kind) {
      case 'map':
        return [...reads, ...writes].map(({ strides }) => distinct(kernel.shape, strides))
      case 'reduce':
        return [
          ...reads.map(({ strides }) => distinct(kernel.shape, strides)),
          sizeOf(kernel.shape.filter((_, i) => !kernel.axes.includes(i))),
        ]
      case 'rows':
        return [...reads, ...writes].map(({ strides }) => distinct(kernel.shape, strides))
      case 'matmul': {
        const batch = sizeOf(kernel.batch)
        return withEpilogue(kernel, [
          batch * kernel.m * kernel.k,
          batch * kernel.k * kernel.n,
          batch * kernel.m * kernel.n,
        ])
      }
      case 'conv2d':
        return withEpilogue(kernel, conv2dSizes(kernel))
      case 'pool2d':
        return withEpilogue(kernel, pool2dSizes(kernel))
      case 'gather':
      case 'scatter': {
        const rows = kernel.outer * kernel.count * kernel.inner
        // What is added to is read and written.
        const times = kernel.kind === 'scatter' && kernel.combine === 'add' ? 2 : 1
        return [rows, kernel.count * (kernel.perOuter ? kernel.outer : 1), times * rows]
      }
    }
  }
  return sizes().reduce((sum, size, i) => sum + size * bytesPerElement[[...reads, ...writes][i]?.dtype ?? 'f32'], 0)
}

/** The sizes of a kernel's operands with those of its epilogue before the output's, which is last. */
const withEpilogue = ({ epilogue }: WithEpilogue, sizes: readonly number[]): readonly number[] =>
  epilogue
    ? [...sizes.slice(0, -1), ...epilogue.inputs.map((o) => distinct(epilogue.shape, o.strides)), ...sizes.slice(-1)]
    : sizes

/** Elements that a strided operand touches: axes of stride 0 repeat. */
const distinct = (shape: readonly number[], strides: readonly number[]): number =>
  shape.reduce((product, size, axis) => product * (strides[axis] === 0 ? 1 : size), 1)

/** A time as people read it. */
function readableTime(nanoseconds: number): string {
  if (nanoseconds < 1e6) return `${(nanoseconds / 1e3).toFixed(1)} us`
  return nanoseconds < 1e9 ? `${(nanoseconds / 1e6).toFixed(2)} ms` : `${(nanoseconds / 1e9).toFixed(2)} s`
}

const kilo = (value: number, unit: string): string => {
  const steps = ['', 'k', 'M', 'G', 'T']
  // From 999.95 on the rounded number would have four digits.
  const step = steps.findIndex((_, i) => i === steps.length - 1 || value < 999.95 * 1000 ** i)
  return `${(value / 1000 ** step).toFixed(step === 0 ? 0 : 1)} ${steps[step]}${unit}`
}

const passNames = { forward: 'forward', inputGradient: 'for the input', weightGradient: 'for the weight' } as const

/** What a kernel does; after `then`, what its epilogue computes. */
function text({ kernel }: Node): string {
  const { expr } = ('epilogue' in kernel ? kernel.epilogue : undefined) ?? {}
  return expr ? `${shapeText(kernel)} then ${operations([expr])}` : shapeText(kernel)
}

/** The operations that were fused into expressions: a few by name, more by number. */
function operations(exprs: readonly Expr[]): string {
  const ops = exprNodes(exprs).flatMap(({ op, args }) => (args.length > 0 ? [op] : []))
  return ops.length > mostNamed ? `${ops.length} operations` : ops.join(', ')
}
const mostNamed = 4
/** `text` with operations behind `word`, if there are any. */
const withOperations = (text: string, word: string, exprs: readonly Expr[]): string => {
  const ops = operations(exprs)
  return ops === '' ? text : `${text}${word} ${ops}`
}

/** A number of things: `1 kernel`, `2 kernels`. */
const plural = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? '' : 's'}`

function shapeText(kernel: Kernel): string {
  switch (kernel.kind) {
    case 'map':
      return withOperations(`[${kernel.shape.join(', ')}]`, ':', kernel.exprs)
    case 'reduce':
      return withOperations(`${kernel.combine} [${kernel.shape.join(', ')}] over ${kernel.axes.join(', ')}`, ' of', [
        kernel.expr,
      ])
    case 'matmul':
      return `${kernel.batch.length > 0 ? `${kernel.batch.join(' x ')} x ` : ''}[${kernel.m}, ${kernel.k}] x [${kernel.k}, ${kernel.n}]`
    case 'conv2d': {
      const { pass, batch, inChannels, outChannels, groups, size, kernel: window } = kernel
      const grouped = groups > 1 ? `, ${groups} groups` : ''
      return `${passNames[pass]} ${batch} x [${inChannels} -> ${outChannels}, ${size.join(' x ')}] by ${window.join(' x ')}${grouped}`
    }
    case 'pool2d':
      return `${kernel.combine} ${kernel.pass} ${kernel.planes} x [${kernel.size.join(' x ')}] by ${kernel.kernel.join(' x ')}`
    case 'gather':
    case 'scatter':
      return `${kernel.outer} x ${kernel.count} of ${kernel.size}, rows of ${kernel.inner}`
    case 'rows':
      return withOperations(
        `${kernel.stages.map(({ pass }) => pass).join(', ')} of rows [${kernel.shape.join(', ')}]`,
        ':',
        kernel.stages.map(({ expr }) => expr),
      )
    case 'foreach': {
      const reduced = kernel.reductions?.length ? `, ${kernel.reductions.length} reduced` : ''
      const due = kernel.parts.some(({ guard }) => guard) ? ', each only if due' : ''
      const touched = `${kernel.inputs.length} read and ${kernel.outputs.length} written an element${reduced}${due}`
      return withOperations(`${plural(kernel.parts.length, 'tensor')}, ${touched}`, ':', exprsOf(kernel))
    }
  }
}

function whenText(node: Node): string {
  if (isAlternative(node)) return ', when not due together'
  return node.guards.length > 0 ? ', under a condition' : ''
}

/** What a table of a program is made from. */
export interface Explained {
  readonly phases: readonly Phase[]
  /** The kernels before fusing. */
  readonly captured: readonly Node[]
  readonly arenaBytes: number
  /** Host callbacks a run. */
  readonly effects: number
}

/** The program as a table, and what fusing and planning did; with times (of each kernel, in ns) a column more. */
export function explain({ phases, captured, arenaBytes, effects }: Explained, times?: readonly number[]): string {
  const steps = phases.flatMap(({ shared, single }, phase) => [
    ...shared.map((node) => ({ phase, on: 'all', node })),
    ...single.map((node) => ({ phase, on: 'one', node })),
  ])
  const rows = steps.map(({ phase, on, node }, i) => [
    String(phase),
    on,
    node.kernel.kind,
    `${text(node)}${whenText(node)}`,
    kilo(bytesMoved(node), 'B'),
    kilo(flops(node), 'FLOP'),
    ...(times ? [readableTime(times[i] ?? 0)] : []),
  ])
  const before = captured.reduce((sum, node) => sum + bytesMoved(node), 0)
  // A run in which all conditions hold.
  const total = (measure: (node: Node) => number) =>
    steps.reduce((sum, { node }) => sum + (isAlternative(node) ? 0 : measure(node)), 0)
  const moved = total(bytesMoved)
  const work = `${kilo(moved, 'B')} moved (fusing saves ${kilo(before - moved, 'B')}), ${kilo(total(flops), 'FLOP')}`
  const time = times
    ? `${readableTime(times.reduce((sum, each) => sum + each, 0))} kernel by kernel`
    : `about ${readableTime(total(nanoseconds))} on one thread`
  return [
    `${plural(captured.length, 'kernel')} captured, ${steps.length} left after fusing, in ${plural(phases.length, 'phase')}`,
    `${work}, ${time}`,
    `arena ${kilo(arenaBytes, 'B')}, ${plural(effects, 'host effect')} a run`,
    ...table([['phase', 'on', 'kernel', 'what', 'moved', 'arithmetic', ...(times ? ['time'] : [])], ...rows]),
  ].join('\n')
}

/** Columns of one width: words to the left, numbers (the first, and those after the fourth) to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const number = (column: number) => column === 0 || column > 3
  const cell = (text: string, column: number) =>
    number(column) ? text.padStart(widths[column] ?? 0) : text.padEnd(widths[column] ?? 0)
  return rows.map((row) => row.map(cell).join('  '))
}
