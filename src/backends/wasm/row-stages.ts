/**
 * Several passes over a row before the next row: softmax, cross-entropy, normalisation. Numbers of the row stay in
 * registers; the elements are read again from the nearest cache. Every pass has the loops, and so the bits, of the
 * kernel that it stands for (`reduce-rows.ts`, `map.ts`).
 *
 * Words as in `map.ts`, the row being the last axis and a unit a row. Behind them: the address of 64 bytes for each thread.
 */
import { input, nodes, substitute } from '../../kernels/expr.js'
import type { RowsKernel, RowStage } from '../../kernels/kernel.js'
import { sizeOf } from '../../shapes/strides.js'
import { i32, i32x4, type Local, type V128 } from './assembler.js'
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
  leafReader,
  readRepeated,
  type Row,
  rowOperand,
  setStride,
  type Slot,
  slotsKey,
  stepOf,
  write,
  writeTo,
} from './rows.js'

/** A stage with the position of its output among the operands. */
interface PlacedStage extends RowStage {
  readonly at: number | undefined
}

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
  const passes = placed.map(({ pass, expr, at }) => `${pass}${at ?? ''} ${expr.key}`)
  const structure = `stages${outer.shape.length} ${passes.join('|')} ${slotsKey(slots)}`
  const entry = generated(target, structure, (k) => emitStages(k, target, placed, slots, outer.shape.length))
  const words = odometerWords(outer.shape.length, operands.length)
  const block = new BlockWriter(entry, words + 1, exprs)
  const [rows, columns] = [sizeOf(outer.shape), shape.at(-1) ?? 1]
  block.set(0, rows)
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
    scratchBytes: () => maxThreads * rowScratch,
  }
}

function emitStages(
  { module, fn, constants }: KernelBuilder,
  target: Target,
  stages: readonly PlacedStage[],
  slots: readonly Slot[],
  outer: number,
): void {
  const [params, thread, threads] = fn.params
  const words = odometerWords(outer, slots.length)
  const scalars = scalarsOf(stages.map(({ expr }) => expr))
  const helpers = new Map()
  const operands = slots.map((slot) => rowOperand(fn, slot))
  const odometer = emitOdometer(fn, params, outer, slots.length)
  const { lo, hi } = emitShare(fn, i32.load(params), thread, threads)
  const length = fn.let(i32.load(params, 12))
  const scratchAt = fn.let(i32.load(params, words * 4).add(thread.mul(rowScratch)))
  const count = fn.local('i32')
  // What each stage found for the row, in all lanes.
  const numbers = stages.map(() => fn.local('v128'))
  const base = (i: number): Local<'i32'> => odometer.at[i] ?? length

  const passes = stages.map(({ pass, expr, at }, j) => {
    const read = [...new Set(nodes([expr]).flatMap((e) => (e.op === 'input' ? [e.value - stages.length] : [])))]
    const inputs = read.filter((i) => i >= 0)
    // The operands that the stage reads, then the numbers of all stages.
    const own = substitute(expr, (leaf) => {
      if (leaf.op !== 'input') return leaf
      const from = leaf.value - stages.length
      return input(from >= 0 ? inputs.indexOf(from) : inputs.length + leaf.value, leaf.dtype)
    })
    const block = { module, params, scalarWord: words + 1, constants, helpers, scalars }
    const lowering = new Lowering(fn, target.mode, [own], block)
    lowering.hoist()
    const moving = [...inputs, ...(pass === 'each' && at !== undefined ? [at] : [])]
    const outputs = moving.slice(inputs.length).flatMap((i) => operands[i] ?? [])
    const row: Row = {
      ...{ fn, lowering, inputs: inputs.flatMap((i) => operands[i] ?? []), numbers, outputs },
      ...{ count, position: count, usesPosition: false },
    }
    const begin = (): void => {
      fn.set(count, length)
      for (const i of moving) {
        const operand = operands[i]
        if (!operand) continue
        fn.set(operand.at, base(i))
        setStride(fn, operand, odometer.stride(i))
      }
    }
    const number = numbers[j]
    const keep = (x: V128): void => {
      if (!number) return
      fn.set(number, x)
      const output = at === undefined ? undefined : operands[at]
      if (output && at !== undefined) write(fn, { ...output, at: base(at), step: 'same' }, [number], undefined)
    }
    if (pass === 'each') {
      return () => {
        begin()
        emitRow(row, writeTo(fn, outputs))
      }
    }
    if (pass === 'once') {
      return () => {
        begin()
        const read = leafReader(row, readRepeated(row))
        const [[x] = []] = lowering.evaluate(1, read)
        if (x) keep(x)
        lowering.done(x ? [x] : [])
      }
    }
    const fold = foldRow(row, { combine: pass, dtype: expr.dtype }, target, scratchAt)
    return () => {
      begin()
      const first = fold()
      keep(i32x4.shuffle(first, first, [0, 0, 0, 0]))
    }
  })
  const at = fn.let(lo)
  odometer.seek(at)
  fn.while(lo.lt(hi), () => {
    for (const pass of passes) pass()
    fn.inc(lo, 1)
    odometer.next()
  })
}
