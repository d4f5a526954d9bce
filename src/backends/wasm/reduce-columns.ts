/**
 * Reductions along an axis before the last: bias gradients, batch statistics. Vectors lie on the columns, every column
 * has one accumulator and takes its rows in order; sums join their total every `segment` rows.
 *
 * Words as in `map.ts` (tiles for rows), where the row is the columns and the output the last operand. Behind them:
 * rows, rows in a block, blocks; then for each operand the distance in bytes of two rows (output: of two blocks).
 */
import type { Expr } from '../../kernels/expr.js'
import { bytesPerElement } from '../../tensor/backend.js'
import { i32, i32x4, type Local, select, type V128 } from './assembler.js'
import { BlockWriter, elementCost } from './block.js'
import { generated, type KernelBuilder, type Target } from './generated.js'
import type { Launch } from './launch.js'
import { lanes, Lowering } from './lowering.js'
import { emitOdometer, fillOdometer, odometerWords } from './map.js'
import { combined, identity, improve, isArg, newBest, type ReduceOp, resetBest, resultDType } from './reduce-op.js'
import type { Pass } from './reduce-pass.js'
import {
  emitGroups,
  emitShare,
  leafReader,
  type Row,
  type RowOperand,
  rowOperand,
  setStride,
  type Slot,
  slotsKey,
  stepOf,
  write,
} from './rows.js'

/** Columns of a unit: what threads share. */
const tile = 64
/** Rows added up before they join the total. */
const segment = 32

export function columnsLaunch(pass: Pass, target: Target): Launch {
  const { op, expr, outer, reduced, columns } = pass
  const operands = [...pass.inputs, pass.output]
  const axis = outer.length
  const slots = operands.map(
    ({ dtype, strides }): Slot => ({ dtype, step: columns === 1 ? 'unit' : stepOf(strides[axis + 1] ?? 0) }),
  )
  const structure = `reduceColumns${axis} ${op.combine} ${expr.key} ${slotsKey(slots)}`
  const entry = generated(target, structure, (k) => emitColumns(k, target, op, expr, slots, axis))
  const words = odometerWords(axis, operands.length)
  const block = new BlockWriter(entry, words + 3 + operands.length, [expr])
  const blocks = Math.ceil(reduced / pass.block)
  const tiles = Math.ceil(columns / tile)
  const outerSize = outer.reduce((n, d) => n * d, 1)
  block.set(0, outerSize * blocks * tiles)
  block.set(1, tiles)
  block.set(2, tile)
  block.set(3, columns)
  fillOdometer(
    block,
    outer,
    operands.map((o) => ({
      operand: o,
      buffer: o.buffer,
      strides: [...o.strides.slice(0, axis), o.strides[axis + 1] ?? 0],
    })),
  )
  block.set(words, reduced)
  block.set(words + 1, pass.block)
  block.set(words + 2, blocks)
  operands.forEach((o, i) => {
    block.set(words + 3 + i, (o.strides[axis] ?? 0) * bytesPerElement[o.dtype])
  })
  return block.launch(outerSize * reduced * columns * elementCost([expr]) + outerSize * blocks * tiles * 5)
}

function emitColumns(
  { module, fn, constants }: KernelBuilder,
  target: Target,
  op: ReduceOp,
  expr: Expr,
  slots: readonly Slot[],
  outer: number,
): void {
  const [params, thread, threads] = fn.params
  const words = odometerWords(outer, slots.length)
  const scalarWord = words + 3 + slots.length
  const lowering = new Lowering(fn, target.mode, [expr], { module, params, scalarWord, constants, helpers: new Map() })
  lowering.hoist()
  const operands = slots.map((slot) => rowOperand(fn, slot))
  const inputs = operands.slice(0, -1)
  const output = operands.at(-1) ?? rowOperand(fn, { dtype: op.dtype, step: 'unit' })
  const odometer = emitOdometer(fn, params, outer, slots.length)
  const rowStep = (i: number) => i32.load(params, (words + 3 + i) * 4)
  const { lo, hi } = emitShare(fn, i32.load(params), thread, threads)
  const tiles = fn.let(i32.load(params, 4))
  const columns = fn.let(i32.load(params, 12))
  const reduced = fn.let(i32.load(params, words * 4))
  const blockSize = fn.let(i32.load(params, (words + 1) * 4))
  const blocks = fn.let(i32.load(params, (words + 2) * 4))
  const column = fn.let(lo.remU(tiles))
  const unit = fn.let(lo.divU(tiles))
  const part = fn.let(unit.remU(blocks))
  fn.set(unit, unit.divU(blocks))
  const outerStart = fn.let(unit.mul(reduced).mul(columns))
  const [first, rows, count, position] = [fn.local('i32'), fn.local('i32'), fn.local('i32'), fn.local('i32')]
  const firstRow = fn.local('i32')
  const row: Row = { fn, lowering, inputs, outputs: [output], count, position, usesPosition: lowering.readsPosition }
  odometer.seek(unit)
  fn.while(lo.lt(hi), () => {
    fn.set(first, column.mul(tile))
    fn.set(count, columns.sub(first))
    fn.set(count, select(count.lt(tile), count, i32.const(tile)))
    fn.set(firstRow, part.mul(blockSize))
    fn.set(rows, reduced.sub(firstRow))
    fn.set(rows, select(rows.lt(blockSize), rows, blockSize))
    operands.forEach((o, i) => {
      const along =
        o.step === 'same' ? i32.const(0) : first.mul(o.step === 'unit' ? bytesPerElement[o.dtype] : odometer.stride(i))
      fn.set(o.at, (odometer.at[i] ?? first).add((o === output ? part : firstRow).mul(rowStep(i))).add(along))
      setStride(fn, o, odometer.stride(i))
    })
    fn.set(position, outerStart.add(firstRow.mul(columns)).add(first))
    emitColumnGroups(row, op, output, rows, columns, rowStep)
    fn.inc(lo, 1)
    fn.inc(column, 1)
    fn.if(column.eq(tiles), () => {
      fn.set(column, 0)
      fn.inc(part, 1)
      fn.if(part.eq(blocks), () => {
        fn.set(part, 0)
        fn.inc(outerStart, reduced.mul(columns))
        odometer.next()
      })
    })
  })
}

/** Groups of columns side by side, each walking down all rows. */
function emitColumnGroups(
  row: Row,
  op: ReduceOp,
  output: RowOperand,
  rows: Local<'i32'>,
  columns: Local<'i32'>,
  rowStep: (i: number) => ReturnType<typeof i32.load>,
): void {
  const { fn, lowering } = row
  const walking = row.inputs.map((o) => ({ ...o, at: fn.local('i32') }))
  const strides = row.inputs.map((_, i) => fn.let(rowStep(i)))
  const segmented = op.combine === 'sum'
  const left = fn.local('i32')
  const at = fn.local('i32')
  const position = fn.local('i32')
  const leaf = leafReader({ inputs: walking, position })
  const width = lowering.width
  const sums = Array.from({ length: width }, () => fn.local('v128'))
  const totals = segmented ? sums.map(() => fn.local('v128')) : []
  const part = fn.local('i32')
  const best = isArg(op) ? sums.map(() => newBest(fn)) : []
  emitGroups(row, width, (group, count) => {
    walking.forEach((o, i) => {
      fn.set(o.at, row.inputs[i]?.at ?? o.at)
    })
    fn.set(position, row.position)
    fn.set(left, rows)
    fn.set(at, 0)
    const mine = sums.slice(0, group)
    const outcome = segmented ? totals.slice(0, group) : mine
    for (const s of outcome) fn.set(s, identity(op))
    for (const b of best.slice(0, group)) resetBest(fn, b, i32x4.const(0))
    const walk = (steps: Local<'i32'>) =>
      fn.while(steps.gt(0), () => {
        const [values = []] = lowering.evaluate(group, leaf)
        values.forEach((x, w) => {
          const sum = sums[w]
          const extreme = best[w]
          if (extreme) improve(fn, op, extreme, x, i32x4.splat(at))
          else if (sum) fn.set(sum, combined(op, sum, x))
        })
        lowering.done(values)
        walking.forEach((o, i) => {
          fn.inc(o.at, strides[i] ?? 0)
        })
        if (row.usesPosition) fn.inc(position, columns)
        if (isArg(op)) fn.inc(at, 1)
        fn.inc(steps, -1)
      })
    if (!segmented) walk(left)
    else {
      fn.while(left.gt(0), () => {
        for (const s of mine) fn.set(s, identity(op))
        fn.set(part, select(left.lt(segment), left, i32.const(segment)))
        walk(part)
        outcome.forEach((total, w) => {
          fn.set(total, combined(op, total, mine[w] ?? total))
        })
        fn.inc(left, -segment)
      })
    }
    const results: readonly V128[] = isArg(op) ? best.slice(0, group).map((b) => b.at) : outcome
    const target = { ...output, dtype: resultDType(op) }
    if (!count) write(fn, target, results, undefined)
    else
      fn.if(
        count.ge(lanes),
        () => write(fn, target, results, undefined),
        () => write(fn, target, results, count),
      )
  })
}
