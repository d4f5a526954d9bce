/**
 * Hand-written kernels that move rows chosen by an index array.
 *
 * Words of gather and scatter: source, index, output, outer, size, inner (in bytes unless it adds), count, per outer. Words
 * of checkIndices: index, length, size, and the result: position of the first index outside `0 … size − 1`, or −1.
 */
import type { GatherKernel, ScatterKernel } from '../../kernels/kernel.js'
import { bytesPerElement } from '../../tensor/backend.js'
import { DTypeError, ShapeError } from '../../tensor/errors.js'
import {
  f32x4,
  type FunctionBuilder,
  i32,
  i32x4,
  type Local,
  type ModuleBuilder,
  type V128,
  v128,
} from './assembler.js'
import { type Entry, foundWord, kernelParameters, type Launch, type Prepared } from './launch.js'
import { checkDTypes } from './lowering.js'
import { emitShare } from './rows.js'

/** Columns of `inner` that a thread takes at a time when adding, and bytes when setting: the rows' order decides there. */
const tile = 64
const setTile = 256

export function defineIndexKernels(module: ModuleBuilder): void {
  defineCheck(module)
  defineGather(module)
  defineScatterAdd(module, 'scatterAddF32', f32x4.add)
  defineScatterAdd(module, 'scatterAddI32', i32x4.add)
  defineScatterSet(module)
}

function defineCheck(module: ModuleBuilder): void {
  const fn = module.function('checkIndices', kernelParameters, { export: true })
  const [params, thread] = fn.params
  fn.if(thread, () => fn.return())
  const p = fn.let(i32.load(params))
  const left = fn.let(i32.load(params, 4))
  const size = fn.let(i32.load(params, 8))
  const at = fn.local('i32')
  const sizes = fn.let(i32x4.splat(size))
  fn.block((suspicious) => {
    fn.while(left.ge(4), () => {
      fn.brIf(suspicious, v128.any_true(i32x4.ge_u(v128.load(p), sizes)))
      fn.inc(p, 16)
      fn.inc(at, 4)
      fn.inc(left, -4)
    })
  })
  fn.while(left.gt(0), () => {
    fn.if(i32.load(p).geU(size), () => {
      fn.store(params, at, 4 * foundWord)
      fn.return()
    })
    fn.inc(p, 4)
    fn.inc(at, 1)
    fn.inc(left, -1)
  })
  fn.store(params, i32.const(-1), 4 * foundWord)
}

function defineGather(module: ModuleBuilder): void {
  const fn = module.function('gather', kernelParameters, { export: true })
  const [params, thread, threads] = fn.params
  const [source, index, output, outer, size, bytes, count, perOuter] = Array.from({ length: 8 }, (_, i) =>
    fn.let(i32.load(params, 4 * i)),
  ) as Words
  const { lo, hi } = emitShare(fn, outer.mul(count), thread, threads)
  const o = fn.let(lo.divU(count))
  const c = fn.let(lo.remU(count))
  const from = fn.local('i32')
  const left = fn.local('i32')
  const to = fn.let(output.add(lo.mul(bytes)))
  fn.while(lo.lt(hi), () => {
    fn.set(from, i32.load(index.add(c.add(perOuter.mul(o).mul(count)).shl(2))))
    fn.set(from, source.add(o.mul(size).add(from).mul(bytes)))
    fn.if(
      bytes.ge(256),
      () => {
        fn.memoryCopy(to, from, bytes)
        fn.inc(to, bytes)
      },
      () => {
        fn.set(left, bytes)
        emitCopy(fn, to, from, left)
      },
    )
    fn.inc(lo, 1)
    fn.inc(c, 1)
    fn.if(c.eq(count), () => {
      fn.set(c, 0)
      fn.inc(o, 1)
    })
  })
}

/** Copies `left` bytes, a few; all three are used up. */
function emitCopy(fn: FunctionBuilder<typeof kernelParameters, 'none'>, to: Word, from: Word, left: Word): void {
  const move = (step: number, store: () => void) =>
    fn.while(left.ge(step), () => {
      store()
      fn.inc(to, step)
      fn.inc(from, step)
      fn.inc(left, -step)
    })
  move(16, () => fn.store(to, v128.load(from)))
  move(4, () => fn.store(to, i32.load(from)))
  move(2, () => fn.storeLane(to, v128.load16_splat(from), 0, 0, 2))
}

type Word = Local<'i32'>
type Words = [Word, Word, Word, Word, Word, Word, Word, Word]

function defineScatterAdd(module: ModuleBuilder, name: string, add: (a: V128, b: V128) => V128): void {
  const fn: FunctionBuilder<typeof kernelParameters, 'none'> = module.function(name, kernelParameters, { export: true })
  const [params, thread, threads] = fn.params
  const [source, index, output, outer, size, inner, count, perOuter] = Array.from({ length: 8 }, (_, i) =>
    fn.let(i32.load(params, 4 * i)),
  ) as Words
  const tiles = fn.let(inner.add(tile - 1).divU(tile))
  const { lo, hi } = emitShare(fn, outer.mul(tiles), thread, threads)
  const [o, first, c, row, from, to, left, width] = Array.from({ length: 8 }, () => fn.local('i32')) as Words
  fn.while(lo.lt(hi), () => {
    fn.set(o, lo.divU(tiles))
    fn.set(first, lo.remU(tiles).mul(tile))
    fn.set(width, inner.sub(first))
    fn.if(width.gt(tile), () => fn.set(width, tile))
    fn.for(c, 0, count, 1, () => {
      fn.set(row, i32.load(index.add(c.add(perOuter.mul(o).mul(count)).shl(2))))
      fn.set(to, output.add(o.mul(size).add(row).mul(inner).add(first).shl(2)))
      fn.set(from, source.add(o.mul(count).add(c).mul(inner).add(first).shl(2)))
      fn.set(left, width)
      fn.while(left.ge(4), () => {
        fn.store(to, add(v128.load(to), v128.load(from)))
        fn.inc(to, 16)
        fn.inc(from, 16)
        fn.inc(left, -4)
      })
      fn.while(left.gt(0), () => {
        fn.storeLane(to, add(v128.load32_zero(to), v128.load32_zero(from)), 0)
        fn.inc(to, 4)
        fn.inc(from, 4)
        fn.inc(left, -1)
      })
    })
    fn.inc(lo, 1)
  })
}

/** A thread has columns of its own, so that of rows written twice the last one stays, whoever is first. */
function defineScatterSet(module: ModuleBuilder): void {
  const fn = module.function('scatterSet', kernelParameters, { export: true })
  const [params, thread, threads] = fn.params
  const [source, index, output, outer, size, bytes, count, perOuter] = Array.from({ length: 8 }, (_, i) =>
    fn.let(i32.load(params, 4 * i)),
  ) as Words
  const tiles = fn.let(bytes.add(setTile - 1).divU(setTile))
  const { lo, hi } = emitShare(fn, outer.mul(tiles), thread, threads)
  const [o, first, c, row, from, to, left, width] = Array.from({ length: 8 }, () => fn.local('i32')) as Words
  fn.while(lo.lt(hi), () => {
    fn.set(o, lo.divU(tiles))
    fn.set(first, lo.remU(tiles).mul(setTile))
    fn.set(width, bytes.sub(first))
    fn.if(width.gt(setTile), () => fn.set(width, setTile))
    fn.for(c, 0, count, 1, () => {
      fn.set(row, i32.load(index.add(c.add(perOuter.mul(o).mul(count)).shl(2))))
      fn.set(to, output.add(o.mul(size).add(row).mul(bytes).add(first)))
      fn.set(from, source.add(o.mul(count).add(c).mul(bytes).add(first)))
      fn.set(left, width)
      emitCopy(fn, to, from, left)
    })
    fn.inc(lo, 1)
  })
}

/** Two launches: the first looks at every index, and nothing is written when one is wrong; unless all are known to be right. */
export function prepareIndexKernel(kernel: GatherKernel | ScatterKernel, entry: (name: string) => Entry): Prepared {
  const { kind, outer, size, inner, count, perOuter, source, index, output, op = kind } = kernel
  checkDTypes([source.dtype, index.dtype, output.dtype])
  if (source.dtype !== output.dtype) {
    throw new DTypeError(
      `${kind}: source is ${source.dtype}, output ${output.dtype}; they must be the same. Cast one.`,
      { op: kind },
    )
  }
  if (index.dtype !== 'i32' && index.dtype !== 'u32') {
    throw new DTypeError(`${kind}: index must be i32 or u32, got ${index.dtype}; cast it.`, { op: kind })
  }
  const adds = kernel.kind === 'scatter' && kernel.combine === 'add'
  if (adds && output.dtype === 'bool') {
    throw new DTypeError('scatter: adding is not defined on bool; cast to i32 or f32 first.', { op: kind })
  }
  const indices = perOuter ? outer * count : count
  if (indices === 0) return { launches: [], scratchBytes: () => 0 }
  const check: Launch = {
    entry: entry('checkIndices'),
    block: Int32Array.of(0, indices, size, -1),
    pointers: [{ word: 0, operand: 1, bytes: index.offset * 4 }],
    scalars: [],
    nanoseconds: 0,
  }
  const adding = output.dtype === 'f32' ? 'scatterAddF32' : 'scatterAddI32'
  const name = kind === 'gather' ? 'gather' : adds ? adding : 'scatterSet'
  const bytes = bytesPerElement[output.dtype]
  const move: Launch = {
    entry: entry(name),
    block: Int32Array.of(0, 0, 0, outer, size, adds ? inner : inner * bytes, count, perOuter ? 1 : 0),
    pointers: [source, index, output].map((o, operand) => ({
      word: operand,
      operand,
      bytes: o.offset * bytesPerElement[o.dtype],
    })),
    scalars: [],
    nanoseconds: outer * count * (4 + inner * 0.15),
  }
  if (kernel.inRange) return { launches: outer * inner === 0 ? [] : [move], scratchBytes: () => 0 }
  return {
    launches: outer * inner === 0 ? [check] : [check, move],
    scratchBytes: () => 0,
    check: (words, at) => {
      const position = words[at + foundWord] ?? -1
      if (position < 0) return
      const bits = words[((words[at] ?? 0) >>> 2) + position] ?? 0
      const value = index.dtype === 'u32' ? bits >>> 0 : bits
      const remedy =
        size === 0 ? 'the axis has size 0, so no index is valid' : `the axis has size ${size}: use 0 to ${size - 1}`
      throw new ShapeError(`${op}: index ${value} at position ${position} is out of range; ${remedy}.`, { op })
    },
  }
}
