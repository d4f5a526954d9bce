/**
 * Maps over contiguous stretches in one launch. The argument block ends with a table: for each part its length and
 * the address of each operand. Threads share the total length at multiples of 16 elements, across part borders.
 *
 * Words: table offset in bytes, parts, total length.
 */
import type { Expr } from '../../kernels/expr.js'
import type { ForeachKernel, Part } from '../../kernels/kernel.js'
import { DeviceError } from '../../tensor/errors.js'
import { i32, select } from './assembler.js'
import { BlockWriter, elementCost } from './block.js'
import { type Generated, generated, type KernelBuilder, type Target } from './generated.js'
import type { Launch, Prepared } from './launch.js'
import { checkDTypes, Lowering } from './lowering.js'
import { emitRow, emitShare, rowOperand, type Slot, slotsKey, writeTo } from './rows.js'

const header = 3
/** Elements at whose multiples threads share: whole cache lines, whole groups of vectors. */
const grain = 16

/** The kernel for these expressions over contiguous (or repeated) operands. */
function stretchKernel(
  target: Target,
  exprs: readonly Expr[],
  inputs: readonly Slot[],
  outputs: readonly Slot[],
): Generated {
  const structure = `stretch ${exprs.map((e) => e.key).join('|')} ${slotsKey(inputs)} ${slotsKey(outputs)}`
  return generated(target, structure, (kernel) => emitStretches(kernel, target, exprs, inputs, outputs))
}

function emitStretches(
  { module, fn, constants }: KernelBuilder,
  target: Target,
  exprs: readonly Expr[],
  inputs: readonly Slot[],
  outputs: readonly Slot[],
): void {
  const [params, thread, threads] = fn.params
  const lowering = new Lowering(fn, target.mode, exprs, {
    module,
    params,
    scalarWord: header,
    constants,
    helpers: new Map(),
  })
  const total = fn.let(i32.load(params, 8))
  const share = emitShare(fn, total.add(grain - 1).shrU(4), thread, threads)
  const lo = fn.let(share.lo.shl(4))
  const least = fn.let(share.hi.shl(4))
  const hi = fn.let(select(least.lt(total), least, total))
  const row = fn.let(params.add(i32.load(params)))
  const parts = fn.let(i32.load(params, 4))
  const start = fn.local('i32')
  const from = fn.local('i32')
  const length = fn.local('i32')
  const count = fn.local('i32')
  const operands = [...inputs, ...outputs].map((slot) => rowOperand(fn, slot))
  const [ins, outs] = [operands.slice(0, inputs.length), operands.slice(inputs.length)]
  lowering.hoist()
  fn.while(parts.gt(0).and(start.lt(hi)), () => {
    fn.set(length, i32.load(row))
    fn.set(from, select(lo.gt(start), lo.sub(start), i32.const(0)))
    fn.set(count, hi.sub(start))
    fn.set(count, select(count.lt(length), count, length).sub(from))
    fn.if(count.gt(0), () => {
      operands.forEach((o, i) => {
        const base = i32.load(row, 4 + 4 * i)
        fn.set(o.at, o.step === 'same' ? base : base.add(from.shl(2)))
      })
      emitRow(
        { fn, lowering, inputs: ins, outputs: outs, count, position: from, usesPosition: lowering.readsPosition },
        writeTo(fn, outs),
      )
    })
    fn.inc(start, length)
    fn.inc(row, 4 + 4 * operands.length)
    fn.inc(parts, -1)
  })
}

/** A launch over stretches whose operands are given by position in the buffer list. */
export function stretchLaunch(
  target: Target,
  exprs: readonly Expr[],
  inputs: readonly Slot[],
  outputs: readonly Slot[],
  parts: readonly Part[],
): Launch {
  const entry = stretchKernel(target, exprs, inputs, outputs)
  const block = new BlockWriter(entry, header, exprs)
  const table = block.length
  const total = parts.reduce((n, p) => n + p.length, 0)
  block.set(0, table * 4)
  block.set(1, parts.length)
  block.set(2, total)
  const width = 1 + inputs.length + outputs.length
  parts.forEach((part, at) => {
    block.set(table + at * width, part.length)
    part.operands.forEach(({ buffer, offset }, i) => {
      block.pointer(table + at * width + 1 + i, buffer, offset)
    })
  })
  return block.launch(total * elementCost(exprs))
}

export function prepareForeach(kernel: ForeachKernel, target: Target): Prepared {
  const { exprs, inputs, outputs } = kernel
  if (kernel.uniforms?.length || kernel.reductions?.length || kernel.parts.some(({ guard }) => guard))
    throw new DeviceError('foreach: uniforms, guards and reductions run on the reference device only.')
  checkDTypes([...inputs, ...outputs])
  const slots = (dtypes: ForeachKernel['inputs']) => dtypes.map((dtype): Slot => ({ dtype, step: 'unit' }))
  const present = kernel.parts.filter((p) => p.length > 0)
  const parts = exprs.some((e) => e.key.includes('index:')) ? present : mergeParts(present)
  const launches = parts.length === 0 ? [] : [stretchLaunch(target, exprs, slots(inputs), slots(outputs), parts)]
  return { launches, scratchBytes: () => 0 }
}

/** Joins parts that continue the one before in every operand: a model built in one go is one stretch. */
function mergeParts(parts: readonly Part[]): readonly Part[] {
  const merged: Part[] = []
  for (const part of parts) {
    const last = merged.at(-1)
    const continues = last?.operands.every(({ buffer, offset }, i) => {
      const next = part.operands[i]
      return next?.buffer === buffer && next.offset === offset + last.length
    })
    if (last && continues) merged[merged.length - 1] = { length: last.length + part.length, operands: last.operands }
    else merged.push(part)
  }
  return merged
}
