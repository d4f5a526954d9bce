/**
 * Reductions along the axis that the vectors lie on: softmax sums, losses, means.
 *
 * Words as in `map.ts` (chunks of a row for rows), where the row is the reduced axis and a chunk a block of it; the
 * output is the last operand, its stride along the row the distance of partial results. Behind them: the address of
 * 64 bytes for each thread.
 *
 * Four accumulators of four lanes hide the latency of additions. Sums join their totals every `segment` elements, so
 * that rounding errors grow with the number of segments, not of elements: 20 million times 0.1 ends 5.3e-6 off
 * without, below 1e-6 with it, at the same speed.
 */
import type { Expr } from '../../kernels/expr.js'
import { bytesPerElement } from '../../tensor/backend.js'
import { i32, i32x4, type Local, select, v128 } from './assembler.js'
import { BlockWriter, elementCost } from './block.js'
import { generated, type KernelBuilder, type Target } from './generated.js'
import { type Launch, scratch } from './launch.js'
import { type LeafReader, Lowering, toMemory } from './lowering.js'
import { emitOdometer, fillOdometer, odometerWords } from './map.js'
import {
  acrossLanes,
  combined,
  firstOf,
  identity,
  improve,
  isArg,
  lanesBelow,
  newBest,
  type ReduceOp,
  resetBest,
  resultDType,
} from './reduce-op.js'
import type { Pass } from './reduce-pass.js'
import {
  emitGroups,
  emitShare,
  leafReader,
  readRepeated,
  type Row,
  rowOperand,
  setStride,
  type Slot,
  slotsKey,
  stepOf,
} from './rows.js'

/** Scratch bytes of each thread. */
export const rowScratch = 64
const accumulators = 4
/** Elements added up before they join the total; whole groups of vectors. */
const segment = 512

export function rowsLaunch(pass: Pass, target: Target, scratchOffset: number): Launch {
  const { op, expr, outer, reduced, block: chunk } = pass
  const inputs = pass.inputs.map(({ dtype, strides }): Slot => ({ dtype, step: stepOf(strides[outer.length] ?? 0) }))
  const structure = `reduceRows${outer.length} ${op.combine} ${expr.key} ${slotsKey(inputs)}`
  const entry = generated(target, structure, (k) => emitRows(k, target, op, expr, inputs, outer.length))
  const operands = [...pass.inputs, pass.output]
  const words = odometerWords(outer.length, operands.length)
  const block = new BlockWriter(entry, words + 1, [expr])
  const rows = outer.reduce((n, d) => n * d, 1)
  const chunks = Math.ceil(reduced / chunk)
  block.set(0, rows * chunks)
  block.set(1, chunks)
  block.set(2, chunk)
  block.set(3, reduced)
  fillOdometer(
    block,
    outer,
    operands.map((o) => ({ operand: o, buffer: o.buffer, strides: o.strides })),
  )
  block.pointer(words, scratch, scratchOffset)
  return block.launch(rows * reduced * elementCost([expr]) + rows * chunks * 5)
}

function emitRows(
  { module, fn, constants }: KernelBuilder,
  target: Target,
  op: ReduceOp,
  expr: Expr,
  slots: readonly Slot[],
  outer: number,
): void {
  const [params, thread, threads] = fn.params
  const words = odometerWords(outer, slots.length + 1)
  const lowering = new Lowering(fn, target.mode, [expr], {
    module,
    params,
    scalarWord: words + 1,
    constants,
    helpers: new Map(),
  })
  lowering.hoist()
  const inputs = slots.map((slot) => rowOperand(fn, slot))
  const odometer = emitOdometer(fn, params, outer, slots.length + 1)
  const { lo, hi } = emitShare(fn, i32.load(params), thread, threads)
  const chunks = fn.let(i32.load(params, 4))
  const chunkSize = fn.let(i32.load(params, 8))
  const length = fn.let(i32.load(params, 12))
  const own = fn.let(i32.load(params, words * 4).add(thread.mul(rowScratch)))
  const unit = fn.let(lo.divU(chunks))
  const chunk = fn.let(lo.remU(chunks))
  const rowStart = fn.let(unit.mul(length))
  const first = fn.local('i32')
  const count = fn.local('i32')
  const position = fn.local('i32')
  const output = odometer.at[slots.length] ?? first
  const row: Row = {
    fn,
    lowering,
    inputs,
    outputs: [],
    count,
    position,
    usesPosition: lowering.readsPosition || isArg(op),
  }
  const reduce = isArg(op) ? argRow(row, op, rowStart) : foldRow(row, op, target, own)
  odometer.seek(unit)
  fn.while(lo.lt(hi), () => {
    fn.set(first, chunk.mul(chunkSize))
    fn.set(count, length.sub(first))
    fn.set(count, select(count.lt(chunkSize), count, chunkSize))
    inputs.forEach((o, i) => {
      const base = odometer.at[i] ?? first
      fn.set(
        o.at,
        o.step === 'same'
          ? base
          : base.add(first.mul(o.step === 'unit' ? bytesPerElement[o.dtype] : odometer.stride(i))),
      )
      setStride(fn, o, odometer.stride(i))
    })
    fn.set(position, rowStart.add(first))
    const result = reduce()
    fn.storeLane(output.add(chunk.mul(odometer.stride(slots.length))), toMemory(result, resultDType(op)), 0)
    fn.inc(lo, 1)
    fn.inc(chunk, 1)
    fn.if(chunk.eq(chunks), () => {
      fn.set(chunk, 0)
      fn.inc(rowStart, length)
      odometer.next()
    })
  })
}

/** sum, max, min: the result in lane 0. `own` is the address of the thread's scratch. */
export function foldRow(row: Row, op: ReduceOp, { mode }: Target, own: Local<'i32'>): () => Local<'v128'> {
  const { fn, count } = row
  const newAccumulators = () => Array.from({ length: accumulators }, () => fn.local('v128'))
  const sums = newAccumulators()
  const totals = op.combine === 'sum' ? newAccumulators() : sums
  const left = fn.local('i32')
  const reset = (all: readonly Local<'v128'>[]) => {
    for (const s of all) fn.set(s, identity(op))
  }
  return () => {
    const leaf = leafReader(row, readRepeated(row))
    reset(totals)
    if (totals === sums) foldSegment(row, op, sums, leaf)
    else {
      fn.set(left, count)
      fn.while(left.gt(0), () => {
        reset(sums)
        fn.set(count, select(left.lt(segment), left, i32.const(segment)))
        foldSegment(row, op, sums, leaf)
        totals.forEach((total, i) => {
          fn.set(total, combined(op, total, sums[i] ?? total))
        })
        fn.inc(left, -segment)
      })
    }
    // V8 fuses accumulators to 256 bits only when they end in paired stores.
    if (mode.wide) {
      totals.forEach((s, i) => {
        fn.store(own, s, i * 16)
      })
      totals.forEach((s, i) => {
        fn.set(s, v128.load(own, i * 16))
      })
    }
    const pair = (i: number) => fn.let(combined(op, totals[i] ?? identity(op), totals[i + 1] ?? identity(op)))
    return acrossLanes(fn, op, combined(op, pair(0), pair(2)))
  }
}

/** Combines `row.count` elements: vector i of each group of four into accumulator i, single ones into the first. */
function foldSegment(row: Row, op: ReduceOp, sums: readonly Local<'v128'>[], leaf: LeafReader): void {
  const { fn, lowering } = row
  emitGroups(row, accumulators, (width, count) => {
    const step = Math.min(width, lowering.width)
    for (let from = 0; from < width; from += step) {
      const [values = []] = lowering.evaluate(step, (e, w) => leaf(e, from + w))
      values.forEach((x, w) => {
        const sum = sums[from + w]
        if (sum) fn.set(sum, combined(op, sum, count ? v128.bitselect(x, identity(op), lanesBelow(count)) : x))
      })
      lowering.done(values)
    }
  })
}

/** argmax, argmin: the position in every lane. */
function argRow(row: Row, op: ReduceOp, rowStart: Local<'i32'>): () => Local<'v128'> {
  const { fn, lowering, position } = row
  const best = newBest(fn)
  return () => {
    resetBest(fn, best, i32x4.constants(0, 1, 2, 3))
    const leaf = leafReader(row, readRepeated(row))
    emitGroups(row, lowering.width, (width, count) => {
      const [values = []] = lowering.evaluate(width, leaf)
      values.forEach((x, w) => {
        const at = i32x4.add(
          i32x4.splat(position.sub(rowStart)),
          i32x4.constants(w * 4, w * 4 + 1, w * 4 + 2, w * 4 + 3),
        )
        improve(fn, op, best, x, at, count && lanesBelow(count))
      })
      lowering.done(values)
    })
    return fn.let(i32x4.splat(firstOf(fn, best)))
  }
}
