/**
 * Reductions of whole-model passes. The elements of a part are taken in chunks, element i of a chunk joining lane i mod 8,
 * and the two vectors of lanes of each chunk are kept: its partial result. A second launch combines those of a result
 * in ascending order, sums of f32 in f64 lanes, and then the lanes. So the order follows from the lengths alone.
 *
 * Ladder: a moving average with four metrics, in the cache, one core, 128 and 256 bits, ns an element (alone 0.10, 0.09):
 * lanes in registers to the end of a chunk 0.53, 0.46; in memory from the single vectors on, so that what the loop
 * leaves goes into a pair of stores, 0.53, 0.28. A count of infinite elements alone 0.11, the speed of a core's cache.
 *
 * Words of that launch: rows, and bytes from one chunk's partial result to the next; then for each result its operation
 * by number, how many chunks it has, the address of their partial results, and its own.
 */
import type { Place } from '../../kernels/kernel.js'
import { f32x4, f64x2, type FunctionBuilder, i32, i32x4, type Local, type V128, v128 } from './assembler.js'
import { BlockWriter } from './block.js'
import { generated, type KernelBuilder, type Target } from './generated.js'
import { type Launch, scratch } from './launch.js'
import { toMemory } from './lowering.js'
import { acrossLanes, combined, identity, lanesBelow, type ReduceOp, resultDType } from './reduce-op.js'
import { emitShare } from './rows.js'

/** Elements of a part whose results are combined in f32. */
export const chunkLength = 2048
/** Of one reduction over one chunk. */
export const partialBytes = 32

export const chunksOf = (length: number): number => Math.ceil(length / chunkLength)

const opKey = ({ combine, dtype }: ReduceOp): string => `${combine} ${dtype}`
/** Structure of reductions as text, part of the key of generated code. */
export const opsKey = (ops: readonly ReduceOp[]): string => ops.map(opKey).join()

/** The lanes of a pass's reductions while a chunk is walked; `at` is where its partial results go. */
export class ChunkLanes {
  readonly #lanes: readonly { readonly op: ReduceOp; readonly even: Local<'v128'>; readonly odd: Local<'v128'> }[]
  readonly #single: Local<'i32'>

  constructor(
    private readonly fn: FunctionBuilder,
    ops: readonly ReduceOp[],
    private readonly at: Local<'i32'>,
  ) {
    this.#lanes = ops.map((op) => ({ op, even: fn.local('v128'), odd: fn.local('v128') }))
    this.#single = fn.local('i32')
  }

  reset(): void {
    for (const { op, even, odd } of this.#lanes) {
      this.fn.set(even, identity(op))
      this.fn.set(odd, identity(op))
    }
  }

  /**
   * Takes the next vectors of each reduction: groups of an even number, or after `store` single ones; `count` says how
   * many elements the last one has.
   */
  add(vectors: readonly (readonly V128[])[], count: Local<'i32'> | undefined): void {
    if (vectors[0]?.length === 1) {
      this.#addSingle(vectors.flat(), count)
      return
    }
    this.#lanes.forEach(({ op, even, odd }, r) => {
      vectors[r]?.forEach((x, w) => {
        const half = w % 2 === 0 ? even : odd
        this.fn.set(half, combined(op, half, x))
      })
    })
  }

  /** Ends what comes in pairs: V8 fuses the two vectors to 256 bits only when a pair of stores is all that becomes of them. */
  store(): void {
    this.#lanes.forEach(({ even, odd }, r) => {
      this.fn.store(this.at, even, partialBytes * r)
      this.fn.store(this.at, odd, partialBytes * r + 16)
    })
    this.fn.set(this.#single, this.at)
  }

  #addSingle(vectors: readonly V128[], count: Local<'i32'> | undefined): void {
    const { fn } = this
    this.#lanes.forEach(({ op }, r) => {
      const x = vectors[r] ?? identity(op)
      const valid = count ? v128.bitselect(x, identity(op), lanesBelow(count)) : x
      fn.store(this.#single, combined(op, v128.load(this.#single, partialBytes * r), valid), partialBytes * r)
    })
    // Partial results lie at multiples of 32.
    fn.set(this.#single, this.#single.xor(16))
  }
}

/** A result and the partial results it is made of. */
export interface Result {
  readonly op: ReduceOp
  readonly chunks: number
  /** Where the first one is in the scratch memory, in bytes. */
  readonly from: number
  readonly to: Place
}

const header = 2
const rowWords = 4

/** The launch that combines partial results, those of a chunk being `stride` bytes from those of the one before. */
export function resultsLaunch(target: Target, results: readonly Result[], stride: number): Launch {
  const ops = [...new Map(results.map(({ op }) => [opKey(op), op])).entries()].sort(([a], [b]) => (a < b ? -1 : 1))
  const entry = generated(target, `results ${ops.map(([key]) => key).join()}`, (kernel) => {
    emitResults(
      kernel,
      ops.map(([, op]) => op),
    )
  })
  const block = new BlockWriter(entry, header, [])
  block.set(0, results.length)
  block.set(1, stride)
  const table = block.length
  results.forEach(({ op, chunks, from, to }, i) => {
    const word = table + i * rowWords
    block.set(
      word,
      ops.findIndex(([key]) => key === opKey(op)),
    )
    block.set(word + 1, chunks)
    block.pointer(word + 2, scratch, from)
    block.pointer(word + 3, to.buffer, to.offset * 4)
  })
  return block.launch(results.reduce((sum, { chunks }) => sum + 10 + 3 * chunks, 0))
}

function emitResults({ fn }: KernelBuilder, ops: readonly ReduceOp[]): void {
  const [params, thread, threads] = fn.params
  const { lo, hi } = emitShare(fn, i32.load(params), thread, threads)
  const stride = fn.let(i32.load(params, 4))
  const row = fn.let(params.add(lo.mul(4 * rowWords)))
  const [kind, chunks, from, to] = [0, 1, 2, 3].map(() => fn.local('i32'))
  if (!kind || !chunks || !from || !to) return
  fn.while(lo.lt(hi), () => {
    for (const [i, word] of [kind, chunks, from, to].entries()) fn.set(word, i32.load(row, 4 * (header + i)))
    for (const [k, op] of ops.entries()) {
      fn.if(kind.eq(k), () => {
        const next = (body: () => void) =>
          fn.while(chunks.gt(0), () => {
            body()
            fn.inc(from, stride)
            fn.inc(chunks, -1)
          })
        const result = op.combine === 'sum' && op.dtype === 'f32' ? wideSum(fn, from, next) : folded(fn, op, from, next)
        fn.storeLane(to, toMemory(result, resultDType(op)), 0)
      })
    }
    fn.inc(row, 4 * rowWords)
    fn.inc(lo, 1)
  })
}

type Loop = (body: () => void) => void

/** The sum of all lanes in f64, rounded once. */
function wideSum(fn: FunctionBuilder, from: Local<'i32'>, loop: Loop): V128 {
  const totals = [0, 8, 16, 24].map((offset) => ({ offset, total: fn.let(f64x2.const(0)) }))
  loop(() => {
    for (const { offset, total } of totals)
      fn.set(total, f64x2.add(total, f64x2.promote_low_f32x4(v128.load(from, offset))))
  })
  const [a, b, c, d] = totals.map(({ total }) => total)
  if (!a || !b || !c || !d) return f32x4.const(0)
  const all = fn.let(f64x2.add(f64x2.add(a, c), f64x2.add(b, d)))
  return f32x4.demote_f64x2_zero(f64x2.add(all, i32x4.shuffle(all, all, [2, 3, 0, 1])))
}

function folded(fn: FunctionBuilder, op: ReduceOp, from: Local<'i32'>, loop: Loop): V128 {
  const [even, odd] = [fn.let(identity(op)), fn.let(identity(op))]
  loop(() => {
    fn.set(even, combined(op, even, v128.load(from)))
    fn.set(odd, combined(op, odd, v128.load(from, 16)))
  })
  return acrossLanes(fn, op, combined(op, even, odd))
}
