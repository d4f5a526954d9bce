/**
 * Elementwise kernels over any strides. Contiguous operands are one stretch (`foreach.ts`). Otherwise the last axis is
 * the row, walked as vectors by operands that are contiguous along it, and the others are counted by an odometer.
 *
 * Words: units, rows, chunk length, row length; the outer sizes; then for each operand its address, its stride
 * along the row, its strides along the outer axes, and by how much it moves when that axis steps and all behind
 * it return to 0. A unit is one chunk of one row, all rows of a chunk before the next chunk; threads share units.
 *
 * Copying a transposed 512 × 512 f32, one core, Node 26, ns an element: whole rows, which touch a cache line for every
 * element, 2.3; chunks of 32, all rows before the next chunk, 0.86.
 */
import type { Expr } from '../../kernels/expr.js'
import type { MapKernel, Operand } from '../../kernels/kernel.js'
import { bytesPerElement } from '../../tensor/backend.js'
import { sizeOf } from '../../shapes/strides.js'
import { type FunctionBuilder, i32, type I32, type Local, select } from './assembler.js'
import { BlockWriter, elementCost } from './block.js'
import { stretchLaunch } from './foreach.js'
import { generated, type KernelBuilder, type Target } from './generated.js'
import type { Launch, Prepared } from './launch.js'
import { collapse } from './collapse.js'
import { checkDTypes, Lowering } from './lowering.js'
import { emitRow, emitShare, rowOperand, setStride, type Slot, slotsKey, stepOf, writeTo } from './rows.js'

/** Long rows are shared in chunks of this many elements. */
const chunkLength = 4096
/** The same where an operand jumps along the row: its lines stay in the cache until the next rows use the rest. */
const stridedChunk = 32

export function prepareMap(kernel: MapKernel, target: Target): Prepared {
  const none = { launches: [], scratchBytes: () => 0 }
  checkDTypes([...kernel.inputs, ...kernel.outputs].map((o) => o.dtype))
  return kernel.shape.includes(0) ? none : { ...none, launches: [mapLaunch(kernel, target)] }
}

/** `buffers` says where in the buffer list each operand is: by default in order, inputs first. */
export function mapLaunch(kernel: MapKernel, target: Target, buffers?: readonly number[]): Launch {
  const operands = [...kernel.inputs, ...kernel.outputs]
  const buffer = (i: number) => buffers?.[i] ?? i
  const { shape, strides } = collapse({ shape: kernel.shape, strides: operands.map((o) => o.strides) })
  const rowStrides = strides.map((s) => s.at(-1) ?? 1)
  const slots = operands.map((o, i): Slot => ({ dtype: o.dtype, step: stepOf(rowStrides[i] ?? 0) }))
  const [inputs, outputs] = [slots.slice(0, kernel.inputs.length), slots.slice(kernel.inputs.length)]
  if (shape.length <= 1 && slots.every((s) => s.step !== 'strided')) {
    const part = { length: sizeOf(shape), operands: operands.map((o, i) => ({ buffer: buffer(i), offset: o.offset })) }
    return stretchLaunch(target, kernel.exprs, inputs, outputs, [part])
  }
  const outer = shape.length - 1
  const structure = `rows${outer} ${kernel.exprs.map((e) => e.key).join('|')} ${slotsKey(inputs)} ${slotsKey(outputs)}`
  const entry = generated(target, structure, (k) => emitMap(k, target, kernel.exprs, inputs, outputs, outer))
  const block = new BlockWriter(entry, odometerWords(outer, operands.length), kernel.exprs)
  const row = shape.at(-1) ?? 1
  const rows = sizeOf(shape.slice(0, -1))
  const longest = rows >= 8 && slots.some((s) => s.step === 'strided') ? stridedChunk : chunkLength
  const chunk = row <= 2 * longest ? row : longest
  block.set(0, rows * Math.ceil(row / chunk))
  block.set(1, rows)
  block.set(2, chunk)
  block.set(3, row)
  fillOdometer(
    block,
    shape.slice(0, -1),
    operands.map((o, i) => ({ operand: o, buffer: buffer(i), strides: strides[i] ?? [] })),
  )
  return block.launch(sizeOf(shape) * elementCost(kernel.exprs) + rows * 5)
}

const fixedWords = 4
const perOperand = (outer: number) => 2 + 2 * outer
/** Words of a block whose operands are walked by an odometer over `outer` axes. */
export const odometerWords = (outer: number, operands: number): number =>
  fixedWords + outer + operands * perOperand(outer)

interface Placed {
  readonly operand: Operand
  readonly buffer: number
  /** Over the outer axes, then along the row. */
  readonly strides: readonly number[]
}

export function fillOdometer(block: BlockWriter, sizes: readonly number[], operands: readonly Placed[]): void {
  const outer = sizes.length
  sizes.forEach((size, d) => {
    block.set(fixedWords + d, size)
  })
  operands.forEach(({ operand, buffer, strides }, i) => {
    const word = fixedWords + outer + i * perOperand(outer)
    const size = bytesPerElement[operand.dtype]
    block.pointer(word, buffer, operand.offset * size)
    block.set(word + 1, (strides[outer] ?? 0) * size)
    for (let d = 0; d < outer; d++) {
      const stride = strides[d] ?? 0
      const inside = d + 1 < outer ? (sizes[d + 1] ?? 1) * (strides[d + 1] ?? 0) : 0
      block.set(word + 2 + d, stride * size)
      block.set(word + 2 + outer + d, (stride - inside) * size)
    }
  })
}

export interface Odometer {
  /** Address of each operand at the current row. */
  readonly at: readonly Local<'i32'>[]
  /** Stride of operand `i` along the row, in bytes. */
  stride(i: number): I32
  /** Distance of two rows of operand `i`, where there is one outer axis, in bytes. */
  rowStride(i: number): I32
  /** Goes to row `row`, which is used up. */
  seek(row: Local<'i32'>): void
  /** Goes to the next row. */
  next(): void
}

/** Code that walks operands over outer axes whose number is known and whose sizes and strides are in the block. */
export function emitOdometer(fn: FunctionBuilder, params: Local<'i32'>, outer: number, operands: number): Odometer {
  const at = Array.from({ length: operands }, () => fn.local('i32'))
  const counters = Array.from({ length: outer }, () => fn.local('i32'))
  const size = (d: number) => i32.load(params, (fixedWords + d) * 4)
  const word = (i: number, k: number) => i32.load(params, (fixedWords + outer + i * perOperand(outer) + k) * 4)
  const step = (d: number): void => {
    const counter = counters[d]
    if (!counter) return
    fn.inc(counter, 1)
    at.forEach((p, i) => {
      fn.inc(p, word(i, 2 + outer + d))
    })
    if (d === 0) return
    fn.if(counter.eq(size(d)), () => {
      fn.set(counter, 0)
      step(d - 1)
    })
  }
  return {
    at,
    stride: (i) => word(i, 1),
    rowStride: (i) => word(i, 2),
    seek: (row) => {
      at.forEach((p, i) => {
        fn.set(p, word(i, 0))
      })
      for (let d = outer - 1; d >= 0; d--) {
        const counter = counters[d]
        if (!counter) continue
        fn.set(counter, d === 0 ? row : row.remU(size(d)))
        at.forEach((p, i) => {
          fn.inc(p, counter.mul(word(i, 2 + d)))
        })
        if (d > 0) fn.set(row, row.divU(size(d)))
      }
    },
    next: () => step(outer - 1),
  }
}

function emitMap(
  { module, fn, constants }: KernelBuilder,
  target: Target,
  exprs: readonly Expr[],
  inputs: readonly Slot[],
  outputs: readonly Slot[],
  outer: number,
): void {
  const [params, thread, threads] = fn.params
  const slots = [...inputs, ...outputs]
  const scalarWord = odometerWords(outer, slots.length)
  const lowering = new Lowering(fn, target.mode, exprs, { module, params, scalarWord, constants, helpers: new Map() })
  lowering.hoist()
  const operands = slots.map((slot) => rowOperand(fn, slot))
  const [ins, outs] = [operands.slice(0, inputs.length), operands.slice(inputs.length)]
  const odometer = emitOdometer(fn, params, outer, operands.length)
  const { lo, hi } = emitShare(fn, i32.load(params), thread, threads)
  const rows = fn.let(i32.load(params, 4))
  const chunkSize = fn.let(i32.load(params, 8))
  const length = fn.let(i32.load(params, 12))
  const row = fn.let(lo.remU(rows))
  const first = fn.let(lo.divU(rows).mul(chunkSize))
  const [start, count, position] = [fn.let(row), fn.local('i32'), fn.local('i32')]
  odometer.seek(start)
  fn.while(lo.lt(hi), () => {
    fn.set(count, length.sub(first))
    fn.set(count, select(count.lt(chunkSize), count, chunkSize))
    operands.forEach((o, i) => {
      const base = odometer.at[i] ?? first
      fn.set(
        o.at,
        o.step === 'same'
          ? base
          : base.add(first.mul(o.step === 'unit' ? bytesPerElement[o.dtype] : odometer.stride(i))),
      )
      setStride(fn, o, odometer.stride(i))
    })
    fn.set(position, row.mul(length).add(first))
    emitRow(
      { fn, lowering, inputs: ins, outputs: outs, count, position, usesPosition: lowering.readsPosition },
      writeTo(fn, outs),
    )
    fn.inc(lo, 1)
    fn.inc(row, 1)
    odometer.next()
    fn.if(row.eq(rows), () => {
      fn.set(row, 0)
      fn.set(start, 0)
      odometer.seek(start)
      fn.inc(first, chunkSize)
    })
  })
}
