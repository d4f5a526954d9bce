/**
 * Several passes over a few rows before the next rows: softmax, cross-entropy, normalisation. Every pass has the loops, and
 * so the bits, of the kernel that it stands for (`reduce-rows.ts`, `map.ts`). As many rows as fit the nearest cache go
 * through a pass together, so that what is computed once a row is computed for vectors of rows.
 *
 * One core, '256', best of a shared machine, ns an element, as kernels of their own, row by row, and as it is:
 *
 * |                                    | kernels | one row | some rows |
 * |------------------------------------|---------|---------|-----------|
 * | softmax [8192, 4096]               |     3.3 |         |       2.0 |
 * | cross-entropy, gradient [8192, 4096] |   2.6 |         |       1.9 |
 * | softmax [1024, 1024], in the cache |    1.35 |    1.28 |      1.37 |
 * | cross-entropy, gradient [4096, 128] |   1.38 |    1.61 |      1.37 |
 * | softmax [4096, 10]                 |    5.86 |         |      5.66 |
 *
 * Words: rows, rows at a time, unused, columns; then as in `map.ts`, the row being the last axis. Behind them: the address
 * of the threads' scratch memory, `perThread` bytes each: for the reductions, then the numbers of each stage.
 */
import { input, nodes, substitute } from '../../kernels/expr.js'
import type { RowsKernel, RowStage } from '../../kernels/kernel.js'
import { sizeOf } from '../../shapes/strides.js'
import { bytesPerElement } from '../../tensor/backend.js'
import { i32, type Local, select } from './assembler.js'
import { BlockWriter, elementCost, scalarsOf } from './block.js'
import { collapse } from './collapse.js'
import { generated, type KernelBuilder, type Target } from './generated.js'
import { maxThreads, type Prepared, scratch } from './launch.js'
import { checkDTypes, Lowering } from './lowering.js'
import { emitOdometer, fillOdometer, odometerWords } from './map.js'
import { foldRow, rowScratch } from './reduce-rows.js'
import {
  emitRow,
  emitShare,
  type RowOperand,
  rowOperand,
  setStride,
  type Slot,
  slotsKey,
  type Step,
  stepOf,
  write,
  writeTo,
} from './rows.js'

/** A stage with the position of its output among the operands. */
interface PlacedStage extends RowStage {
  readonly at: number | undefined
}

/** Most rows at a time, and what their elements should fit. */
const [mostRows, nearBytes] = [64, 32 * 1024]
const numberBytes = mostRows * 4
const perThread = (stages: number): number => rowScratch + stages * numberBytes

export function prepareRows(kernel: RowsKernel, target: Target): Prepared {
  const { shape, inputs, stages } = kernel
  const exprs = stages.map(({ expr }) => expr)
  const operands = [...inputs, ...stages.flatMap(({ output }) => output ?? [])]
  checkDTypes([...operands, ...exprs].map(({ dtype }) => dtype))
  if (shape.includes(0)) return { launches: [], scratchBytes: () => 0 }
  let next = inputs.length
  const placed = stages.map((stage): PlacedStage => ({ ...stage, at: stage.output ? next++ : undefined }))
  const outer = collapse({ shape: shape.slice(0, -1), strides: operands.map((o) => o.strides.slice(0, -1)) })
  const along = operands.map((o) => o.strides.at(-1) ?? 0)
  const slots = operands.map(({ dtype }, i): Slot => ({ dtype, step: stepOf(along[i] ?? 0) }))
  // Where there is one outer axis, numbers of rows lie along it.
  const down = operands.map((_, i): Step => stepOf(outer.strides[i]?.[0] ?? 0))
  const passes = placed.map(({ pass, expr, at }) => `${pass}${at ?? ''} ${expr.key}`)
  const structure = `stages${outer.shape.length} ${passes.join('|')} ${slotsKey(slots)} ${down.map((step) => step[1])}`
  const entry = generated(target, structure, (k) => emitStages(k, target, placed, slots, down, outer.shape.length))
  const words = odometerWords(outer.shape.length, operands.length)
  const block = new BlockWriter(entry, words + 1, exprs)
  const [rows, columns] = [sizeOf(outer.shape), shape.at(-1) ?? 1]
  const wide = along.filter((stride) => stride !== 0).length
  block.set(0, rows)
  block.set(1, Math.max(1, Math.min(mostRows, Math.floor(nearBytes / 4 / columns / Math.max(1, wide)))))
  block.set(3, columns)
  fillOdometer(
    block,
    outer.shape,
    operands.map((operand, i) => ({
      operand,
      buffer: i,
      strides: [...(outer.strides[i] ?? []), along[i] ?? 0],
    })),
  )
  block.pointer(words, scratch, 0)
  const elements = stages.reduce(
    (sum, { pass, expr }) => sum + (pass === 'once' ? 1 : columns) * elementCost([expr]),
    0,
  )
  return {
    launches: [block.launch(rows * (elements + 5 * stages.length))],
    scratchBytes: () => maxThreads * perThread(stages.length),
  }
}

function emitStages(
  { module, fn, constants }: KernelBuilder,
  target: Target,
  stages: readonly PlacedStage[],
  slots: readonly Slot[],
  down: readonly Step[],
  outer: number,
): void {
  const [params, thread, threads] = fn.params
  const words = odometerWords(outer, slots.length)
  const scalars = scalarsOf(stages.map(({ expr }) => expr))
  const helpers = new Map()
  const odometer = emitOdometer(fn, params, outer, slots.length)
  const { lo, hi } = emitShare(fn, i32.load(params), thread, threads)
  const most = fn.let(i32.load(params, 4))
  const columns = fn.let(i32.load(params, 12))
  const own = fn.let(i32.load(params, words * 4).add(thread.mul(perThread(stages.length))))
  const [rows, left, count, done, at] = [
    fn.local('i32'),
    fn.local('i32'),
    fn.local('i32'),
    fn.local('i32'),
    fn.local('i32'),
  ]
  const base = (i: number): Local<'i32'> => odometer.at[i] ?? at
  const numberAt = (j: number, { dtype }: Slot) =>
    own.add(rowScratch + j * numberBytes).add(done.mul(bytesPerElement[dtype]))

  const passes = stages.map(({ pass, expr, at: outputAt }, j) => {
    const read = [...new Set(nodes([expr]).flatMap((e) => (e.op === 'input' ? [e.value] : [])))]
    const ownExpr = substitute(expr, (leaf) =>
      leaf.op === 'input' ? input(read.indexOf(leaf.value), leaf.dtype) : leaf,
    )
    const once = pass === 'once'
    /** Numbers of stages are the same along a row; where a pass goes down the rows, they lie side by side. */
    const numberSlot = (stage: number): Slot => ({
      dtype: stages[stage]?.expr.dtype ?? 'f32',
      step: once ? 'unit' : 'same',
    })
    const operandSlot = (i: number): Slot => {
      const { dtype, step } = slots[i] ?? { dtype: 'f32', step: 'same' }
      return { dtype, step: !once ? step : outer === 1 ? (down[i] ?? 'same') : 'same' }
    }
    const place = (slot: Slot, begin: (operand: RowOperand) => void) => {
      const operand = rowOperand(fn, slot)
      return { operand, begin: () => begin(operand) }
    }
    const ofNumber = (stage: number) =>
      place(numberSlot(stage), (operand) => fn.set(operand.at, numberAt(stage, operand)))
    const ofOperand = (i: number) =>
      place(operandSlot(i), (operand) => {
        fn.set(operand.at, base(i))
        setStride(fn, operand, once ? odometer.rowStride(i) : odometer.stride(i))
      })
    const inputs = read.map((slot) => (slot < stages.length ? ofNumber(slot) : ofOperand(slot - stages.length)))
    const stored = outputAt === undefined ? [] : [ofOperand(outputAt)]
    const outputs = pass === 'each' ? stored : [ofNumber(j), ...stored]
    const exprs = outputs.map(() => ownExpr)
    const block = { module, params, scalarWord: words + 1, constants, helpers, scalars }
    const folds = !once && pass !== 'each'
    const lowering = new Lowering(fn, target.mode, folds ? [ownExpr] : exprs, block)
    lowering.hoist()
    const targets = outputs.map(({ operand }) => operand)
    const row = {
      ...{ fn, lowering, inputs: inputs.map(({ operand }) => operand), outputs: folds ? [] : targets },
      ...{ count, position: count, usesPosition: false },
    }
    const fold = folds ? foldRow(row, { combine: pass, dtype: expr.dtype }, target, own) : undefined
    const body = fold
      ? () => {
          const result = fold()
          for (const operand of targets) write(fn, { ...operand, step: 'same' }, [result], undefined)
        }
      : () => emitRow(row, writeTo(fn, targets))
    return () => {
      fn.set(at, lo)
      odometer.seek(at)
      fn.set(done, 0)
      fn.set(left, rows)
      fn.doWhile(() => {
        // Down the rows all at once, where an address and a stride say where they are.
        const length = once ? (outer <= 1 ? rows : i32.const(1)) : columns
        for (const operand of [...inputs, ...outputs]) operand.begin()
        fn.set(count, length)
        body()
        const passed = once && outer <= 1 ? rows : i32.const(1)
        fn.inc(done, passed)
        odometer.next()
        fn.set(left, left.sub(passed))
      }, left)
    }
  })
  fn.while(lo.lt(hi), () => {
    fn.set(rows, hi.sub(lo))
    fn.set(rows, select(rows.lt(most), rows, most))
    for (const pass of passes) pass()
    fn.inc(lo, rows)
  })
}
