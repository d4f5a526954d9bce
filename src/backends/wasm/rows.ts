/**
 * The inner loop of generated kernels: expressions over one row of `count` elements. Four vectors (or two, when the
 * expression needs many registers) per round: all loads of an operand, computation stage by stage, then stores in
 * neighbouring pairs, which is the shape V8 fuses to 256 bits; then single vectors. The last one to three elements
 * are computed as a full vector too, so a value never depends on where in the row it stands. Elements of 16 bits are
 * widened to 32 when loaded and narrowed in pairs of vectors when stored.
 */
import { bytesPerElement } from '../../tensor/backend.js'
import { type DType, isHalf } from '../../tensor/dtype.js'
import { type FunctionBuilder, i16x8, i32, type I32, i32x4, type Local, select, type V128, v128 } from './assembler.js'
import { fromMemory, lanes, type LeafReader, type Lowering, toMemory } from './lowering.js'

/** How an operand moves along the row: to its neighbour, not at all, or by a stride known when it runs. */
export type Step = 'unit' | 'same' | 'strided'
export const stepOf = (stride: number): Step => (stride === 1 ? 'unit' : stride === 0 ? 'same' : 'strided')

export interface Slot {
  readonly dtype: DType
  readonly step: Step
}

/** Structure of slots as text, part of the key of generated code. */
export const slotsKey = (slots: readonly Slot[]): string => slots.map((s) => s.dtype + s.step[0] + s.step[1]).join()

/** What happens to computed vectors: `count` is given for the last one, of which only that many lanes are real. */
export type Sink = (results: readonly (readonly V128[])[], count: Local<'i32'> | undefined) => void

export interface RowOperand extends Slot {
  /** Where the operand is; advanced by the row. */
  readonly at: Local<'i32'>
  /** Lane offsets in bytes: 1, 2, 3 and 4 strides. Only of strided operands. */
  readonly offsets: readonly Local<'i32'>[]
}

export function rowOperand(fn: FunctionBuilder, slot: Slot): RowOperand {
  return {
    ...slot,
    at: fn.local('i32'),
    offsets: slot.step === 'strided' ? [1, 2, 3, 4].map(() => fn.local('i32')) : [],
  }
}

/** Sets the stride of a strided operand, in bytes. Needed before every row. */
export function setStride(fn: FunctionBuilder, { offsets: [one, two, three, four] }: RowOperand, bytes: I32): void {
  if (!one || !two || !three || !four) return
  fn.set(one, bytes)
  fn.set(two, one.shl(1))
  fn.set(three, two.add(one))
  fn.set(four, one.shl(2))
}

export interface Row {
  readonly fn: FunctionBuilder
  readonly lowering: Lowering
  readonly inputs: readonly RowOperand[]
  /** Positions the sink advances through; empty for reductions. */
  readonly outputs: readonly RowOperand[]
  /** Elements left; counted down to 0. */
  readonly count: Local<'i32'>
  /** Row-major position of the next element. */
  readonly position: Local<'i32'>
  readonly usesPosition: boolean
}

/** Four elements of an operand, `w` vectors ahead. */
function read(operand: RowOperand, w: number): V128 {
  const { at, step, offsets, dtype } = operand
  const [one, two, three, four] = offsets
  const half = isHalf(dtype)
  if (step === 'unit') return half ? v128.load16x4_u(at, w * 8) : v128.load(at, w * 16)
  if (step === 'same' || !one || !two || !three || !four) return splat(at, dtype)
  const from = at.add(w === 0 ? 0 : four.mul(w))
  if (half) {
    const lane = (offset: I32, into: V128, k: number) => v128.load16_lane(offset, into, 2 * k)
    const lower = lane(from.add(one), lane(from, i32x4.const(0), 0), 1)
    return lane(from.add(three), lane(from.add(two), lower, 2), 3)
  }
  const x = v128.load32_zero(from)
  return v128.load32_lane(from.add(three), v128.load32_lane(from.add(two), v128.load32_lane(from.add(one), x, 1), 2), 3)
}

/** The words of one element in every lane. */
const splat = (at: I32, dtype: DType): V128 =>
  isHalf(dtype) ? i32x4.shr_u(v128.load16_splat(at), 16) : v128.load32_splat(at)
/** One element in every lane. */
export const loadRepeated = (at: I32, dtype: DType): V128 => fromMemory(splat(at, dtype), dtype)

/** Writes vectors to an output, the last one as far as `count` says. */
export function write(
  fn: FunctionBuilder,
  operand: RowOperand,
  vectors: readonly V128[],
  count: Local<'i32'> | undefined,
): void {
  const { at, step, offsets, dtype } = operand
  const [one, two, three, four] = offsets
  const half = isHalf(dtype)
  const size = bytesPerElement[dtype]
  const storeLane = (to: I32, x: V128, k: number) => (half ? fn.storeLane(to, x, 2 * k, 0, 2) : fn.storeLane(to, x, k))
  const storeLanes = (from: I32, x: V128) => {
    const lane = (k: number) =>
      storeLane(from.add(k === 0 ? 0 : step === 'unit' ? k * size : (offsets[k - 1] ?? 0)), x, k)
    lane(0)
    if (!count) for (const k of [1, 2, 3]) lane(k)
    else {
      fn.if(count.gt(1), () => {
        lane(1)
        fn.if(count.gt(2), () => lane(2))
      })
    }
  }
  const words = vectors.map((x) => toMemory(x, dtype))
  if (step === 'unit' && !count)
    words.forEach((x, w) => {
      if (!half) fn.store(at, x, w * 16)
      else if (w % 2 === 1) fn.store(at, i16x8.narrow_i32x4_u(words[w - 1] ?? x, x), (w - 1) * 8)
      else if (w === words.length - 1) fn.storeLane(at, i16x8.narrow_i32x4_u(x, x), 0, w * 8, 8)
    })
  else if (step === 'unit' || (one && two && three && four)) {
    words.forEach((x, w) => {
      const kept = fn.let(x)
      storeLanes(w === 0 || !four ? at : fn.let(at.add(four.mul(w))), kept)
    })
  } else for (const x of words) storeLane(at, x, 0)
}

/** Reads the leaves of expressions at the operands' places; what does not move along the row can be given apart. */
export function leafReader(
  { inputs, position }: Pick<Row, 'inputs' | 'position'>,
  repeated: readonly (V128 | undefined)[] = [],
): LeafReader {
  return (e, w) => {
    if (e.op === 'index')
      return i32x4.add(i32x4.splat(position), i32x4.constants(w * 4, w * 4 + 1, w * 4 + 2, w * 4 + 3))
    const operand = inputs[e.value]
    return repeated[e.value] ?? (operand ? fromMemory(read(operand, w), operand.dtype) : i32x4.const(0))
  }
}

/** Operands that stay where they are along the row, read once. */
export function readRepeated({ fn, inputs }: Pick<Row, 'fn' | 'inputs'>): readonly (V128 | undefined)[] {
  return inputs.map((o) => (o.step === 'same' ? fn.let(loadRepeated(o.at, o.dtype)) : undefined))
}

/**
 * Walks the row in groups of `width` vectors, then in single ones; `body` gets the group's width, and the number of
 * elements left when that may be less than a vector. `between` comes after the groups.
 */
export function emitGroups(
  row: Row,
  width: number,
  body: (width: number, count: Local<'i32'> | undefined) => void,
  between: () => void = () => {},
): void {
  const { fn, inputs, count, position, usesPosition } = row
  const advance = (vectors: number) => {
    for (const o of [...inputs, ...row.outputs]) {
      if (o.step === 'unit') fn.inc(o.at, vectors * lanes * bytesPerElement[o.dtype])
      else if (o.offsets[3]) fn.inc(o.at, vectors === 1 ? o.offsets[3] : o.offsets[3].mul(vectors))
    }
    if (usesPosition) fn.inc(position, vectors * lanes)
    fn.inc(count, -vectors * lanes)
  }
  fn.while(count.ge(width * lanes), () => {
    body(width, undefined)
    advance(width)
  })
  between()
  const strided = inputs.filter((o) => o.step === 'strided')
  fn.while(count.gt(0), () => {
    // Lanes past the end repeat the first one: a stride could lead out of the memory.
    if (strided.length > 0) {
      fn.if(count.lt(lanes), () => {
        for (const o of strided) {
          o.offsets.slice(0, 3).forEach((offset, k) => {
            fn.set(offset, select(count.gt(k + 1), offset, i32.const(0)))
          })
        }
      })
    }
    body(1, count)
    advance(1)
  })
}

/** The sink that writes result j to output j. */
export const writeTo =
  (fn: FunctionBuilder, outputs: readonly RowOperand[]): Sink =>
  (results, count) => {
    outputs.forEach((output, j) => {
      write(fn, output, results[j] ?? [], count)
    })
  }

/** Emits the elementwise loops over one row; `between` comes after the groups of vectors, before the single ones. */
export function emitRow(row: Row, sink: Sink, between?: () => void): void {
  const { fn, lowering } = row
  const leaf = leafReader(row, readRepeated(row))
  const body = (width: number, count: Local<'i32'> | undefined): void => {
    const results = lowering.evaluate(width, leaf)
    if (!count) sink(results, undefined)
    else {
      const kept = results.map((list) => list.map((x) => ('index' in x ? x : fn.let(x))))
      fn.if(
        count.ge(lanes),
        () => sink(kept, undefined),
        () => sink(kept, count),
      )
    }
    lowering.done(results.flat())
  }
  emitGroups(row, lowering.width, body, between)
}

/** The share of `thread`: from `lo` to `hi` of `units`, spread as evenly as possible. */
export function emitShare(
  fn: FunctionBuilder,
  units: I32,
  thread: Local<'i32'>,
  threads: Local<'i32'>,
): { readonly lo: Local<'i32'>; readonly hi: Local<'i32'> } {
  const each = fn.let(units.divU(threads))
  const rest = fn.let(units.remU(threads))
  const least = (a: I32, b: I32): I32 => select(a.lt(b), a, b)
  const lo = fn.let(each.mul(thread).add(least(thread, rest)))
  const hi = fn.let(lo.add(each).add(thread.lt(rest)))
  return { lo, hi }
}
