/**
 * Maps over contiguous stretches in one launch. The argument block ends with a table: for each part its length, the
 * address of each operand and uniform, and that of its guard. Threads share the total length at multiples of 16
 * elements, across part borders; where something is reduced, at the borders of chunks (`partials.ts`).
 *
 * Words: table offset in bytes, parts, total length; the address of partial results where something is reduced.
 */
import type { Expr } from '../../kernels/expr.js'
import { exprsOf, type ForeachKernel, type Part, type Place } from '../../kernels/kernel.js'
import { bytesPerElement } from '../../tensor/backend.js'
import { DTypeError } from '../../tensor/errors.js'
import type { DType } from '../../tensor/dtype.js'
import { type I32, i32, select } from './assembler.js'
import { BlockWriter, elementCost } from './block.js'
import { type Generated, generated, type KernelBuilder, type Target } from './generated.js'
import { type Launch, type Prepared, scratch } from './launch.js'
import { checkDTypes, Lowering } from './lowering.js'
import { ChunkLanes, chunkLength, chunksOf, opsKey, partialBytes, type Result, resultsLaunch } from './partials.js'
import type { ReduceOp } from './reduce-op.js'
import { emitRow, emitShare, loadRepeated, rowOperand, type Slot, slotsKey, writeTo } from './rows.js'

/** Elements at whose multiples threads share: whole cache lines, whole groups of vectors. */
const grain = 16

/** What the code of a pass depends on. */
interface Stretches {
  /** Of the outputs, then of the reductions. */
  readonly exprs: readonly Expr[]
  /** Contiguous, or repeated. */
  readonly inputs: readonly Slot[]
  readonly outputs: readonly Slot[]
  readonly uniforms: readonly DType[]
  readonly guarded: boolean
  readonly reductions: readonly ReduceOp[]
}

const headerOf = ({ reductions }: Stretches): number => (reductions.length > 0 ? 4 : 3)
const rowWords = ({ inputs, outputs, uniforms, guarded }: Stretches): number =>
  1 + inputs.length + outputs.length + uniforms.length + (guarded ? 1 : 0)

function stretchKernel(target: Target, code: Stretches): Generated {
  const { exprs, inputs, outputs, uniforms, guarded, reductions } = code
  const operands = [slotsKey(inputs), slotsKey(outputs), uniforms.join(), guarded, opsKey(reductions)].join(' ')
  const structure = `stretch ${exprs.map((e) => e.key).join('|')} ${operands}`
  return generated(target, structure, (kernel) => emitStretches(kernel, target, code))
}

function emitStretches({ module, fn, constants }: KernelBuilder, target: Target, code: Stretches): void {
  const { exprs, inputs, outputs, uniforms, guarded, reductions } = code
  const [params, thread, threads] = fn.params
  const scalarWord = headerOf(code)
  const lowering = new Lowering(fn, target.mode, exprs, { module, params, scalarWord, constants, helpers: new Map() })
  const reducing = reductions.length > 0
  const unit = reducing ? chunkLength : grain
  const total = fn.let(i32.load(params, 8))
  const share = emitShare(fn, total.add(unit - 1).divU(unit), thread, threads)
  const lo = fn.let(share.lo.mul(unit))
  const least = fn.let(share.hi.mul(unit))
  const hi = fn.let(select(least.lt(total), least, total))
  const row = fn.let(params.add(i32.load(params)))
  const parts = fn.let(i32.load(params, 4))
  const start = fn.local('i32')
  const from = fn.local('i32')
  const end = fn.local('i32')
  const length = fn.local('i32')
  const count = fn.local('i32')
  const position = fn.local('i32')
  const partials = fn.let(reducing ? i32.load(params, 12) : i32.const(0))
  const partial = fn.local('i32')
  const operands = [...inputs, ...outputs].map((slot) => rowOperand(fn, slot))
  const [ins, outs] = [operands.slice(0, inputs.length), operands.slice(inputs.length)]
  const lanes = new ChunkLanes(fn, reductions, partial)
  const pointer = (i: number) => i32.load(row, 4 + 4 * i)
  const write = writeTo(fn, outs)
  const walk = () =>
    emitRow(
      { fn, lowering, inputs: ins, outputs: outs, count, position, usesPosition: lowering.readsPosition },
      (results, left) => {
        write(results, left)
        if (reducing) lanes.add(results.slice(outputs.length), left)
      },
      () => reducing && lanes.store(),
    )
  const guard = fn.local('i32')
  const whenLive = (body: () => void, otherwise?: () => void) => {
    if (!guarded) return body()
    fn.set(guard, pointer(operands.length + uniforms.length))
    // Parts without one have address 0.
    fn.if(guard.eq(0).or(i32.load(guard)), body, otherwise)
  }
  const begin = () => {
    operands.forEach((o, i) => {
      fn.set(o.at, o.step === 'same' ? pointer(i) : pointer(i).add(from.mul(bytesPerElement[o.dtype])))
    })
    fn.set(position, start.add(from))
    lowering.hoistPart(({ value, dtype }) => loadRepeated(pointer(operands.length + value), dtype))
  }
  const chunks = (elements: I32) => elements.add(chunkLength - 1).divU(chunkLength)
  const bytes = partialBytes * reductions.length

  lowering.hoist()
  fn.while(parts.gt(0).and(start.lt(hi)), () => {
    fn.set(length, i32.load(row))
    fn.set(from, select(lo.gt(start), lo.sub(start), i32.const(0)))
    fn.set(end, hi.sub(start))
    if (reducing) {
      // A chunk is of the thread in whose share it starts.
      fn.set(from, chunks(from).mul(chunkLength))
      fn.set(end, chunks(end).mul(chunkLength))
    }
    fn.set(end, select(end.lt(length), end, length))
    fn.if(end.gt(from), () => {
      if (!reducing) {
        whenLive(() => {
          begin()
          fn.set(count, end.sub(from))
          walk()
        })
        return
      }
      begin()
      fn.set(partial, partials.add(from.divU(chunkLength).mul(bytes)))
      fn.doWhile(() => {
        lanes.reset()
        whenLive(
          () => {
            fn.set(count, end.sub(from))
            fn.set(count, select(count.lt(chunkLength), count, i32.const(chunkLength)))
            walk()
          },
          () => lanes.store(),
        )
        fn.inc(partial, bytes)
        fn.inc(from, chunkLength)
      }, from.lt(end))
    })
    if (reducing) fn.inc(partials, chunks(length).mul(bytes))
    fn.inc(start, length)
    fn.inc(row, 4 * rowWords(code))
    fn.inc(parts, -1)
  })
}

/** A launch over stretches whose operands are given by position in the buffer list. */
function launchOf(target: Target, code: Stretches, parts: readonly Part[]): Launch {
  const { exprs, inputs, outputs } = code
  const header = headerOf(code)
  const block = new BlockWriter(stretchKernel(target, code), header, exprs)
  const table = block.length
  const total = parts.reduce((n, p) => n + p.length, 0)
  block.set(0, table * 4)
  block.set(1, parts.length)
  block.set(2, total)
  if (code.reductions.length > 0) block.pointer(3, scratch, 0)
  const dtypes = [...inputs.map(({ dtype }) => dtype), ...outputs.map(({ dtype }) => dtype), ...code.uniforms]
  parts.forEach(({ length, operands, uniforms = [], guard }, at) => {
    const word = table + at * rowWords(code)
    block.set(word, length)
    for (const [i, { buffer, offset }] of [...operands, ...uniforms, ...(guard ? [guard] : [])].entries())
      block.pointer(word + 1 + i, buffer, offset * bytesPerElement[dtypes[i] ?? 'bool'])
  })
  return block.launch(total * elementCost(exprs))
}

/** A launch that does nothing but map. */
export function stretchLaunch(
  target: Target,
  exprs: readonly Expr[],
  inputs: readonly Slot[],
  outputs: readonly Slot[],
  parts: readonly Part[],
): Launch {
  return launchOf(target, { exprs, inputs, outputs, uniforms: [], guarded: false, reductions: [] }, parts)
}

export function prepareForeach(kernel: ForeachKernel, target: Target): Prepared {
  const { uniforms = [], reductions = [] } = kernel
  checkDTypes([...kernel.inputs, ...kernel.outputs, ...uniforms])
  const ops = reductions.map(({ combine, expr: { dtype } }): ReduceOp => ({ combine, dtype }))
  if (ops.some(({ combine, dtype }) => combine === 'sum' && dtype === 'bool'))
    throw new DTypeError('sum is not defined on bool: cast to i32 or f32 first.', { op: 'sum' })
  const present = kernel.parts.filter(({ length }) => length > 0)
  const slots = (dtypes: readonly DType[]) => dtypes.map((dtype): Slot => ({ dtype, step: 'unit' }))
  const guarded = present.some(({ guard }) => guard)
  const code: Stretches = {
    exprs: exprsOf(kernel),
    inputs: slots(kernel.inputs),
    outputs: slots(kernel.outputs),
    uniforms,
    guarded,
    reductions: ops,
  }
  // Chunks are of parts as they are given: what is reduced does not depend on where they lie.
  const parts = ops.length > 0 ? present : mergeParts(present)
  const launches = parts.length > 0 ? [launchOf(target, code, parts)] : []
  const stride = partialBytes * ops.length
  const chunks = kernel.parts.reduce((sum, { length }) => sum + chunksOf(length), 0)
  if (ops.length > 0) launches.push(resultsLaunch(target, resultsOf(kernel, ops), stride))
  return { launches, scratchBytes: () => chunks * stride }
}

function resultsOf({ parts, reductions = [] }: ForeachKernel, ops: readonly ReduceOp[]): Result[] {
  const stride = partialBytes * ops.length
  return reductions.flatMap(({ over, result: { buffer, offset } }, r): Result[] => {
    const op = ops[r]
    if (!op) return []
    const from = partialBytes * r
    let before = 0
    const each = parts.map(({ length }, i): Result => {
      const chunks = chunksOf(length)
      before += chunks
      return { op, chunks, from: from + (before - chunks) * stride, to: { buffer, offset: offset + i } }
    })
    return over === 'part' ? each : [{ op, chunks: before, from, to: { buffer, offset } }]
  })
}

/** Joins parts that continue the one before in every operand: a model built in one go is one stretch. */
function mergeParts(parts: readonly Part[]): readonly Part[] {
  const merged: Part[] = []
  for (const part of parts) {
    const last = merged.at(-1)
    const continues = (place: Place, i: number) => {
      const next = part.operands[i]
      return next?.buffer === place.buffer && next.offset === place.offset + (last?.length ?? 0)
    }
    if (last?.operands.every(continues) && steering(last) === steering(part))
      merged[merged.length - 1] = { ...last, length: last.length + part.length }
    else merged.push(part)
  }
  return merged
}

/** A part's uniforms and guard as text. */
const steering = ({ uniforms = [], guard }: Part): string =>
  [...uniforms, ...(guard ? [guard] : [])].map(({ buffer, offset }) => `${buffer}+${offset}`).join()
