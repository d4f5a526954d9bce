/** What reductions do to vectors. */
import type { Combine } from '../../kernels/kernel.js'
import type { DType } from '../../tensor/dtype.js'
import { f32x4, type FunctionBuilder, i32x4, type Local, select, type V128, v128 } from './assembler.js'

export interface ReduceOp {
  readonly combine: Combine
  /** Of the reduced expression. */
  readonly dtype: DType
}

export const isArg = ({ combine }: ReduceOp): boolean => combine === 'argmax' || combine === 'argmin'

/** Dtype of the results. */
export const resultDType = (op: ReduceOp): DType => (isArg(op) ? 'i32' : op.dtype)

/** The vector that changes nothing when combined. */
export function identity({ combine, dtype }: ReduceOp): V128 {
  if (combine === 'sum') return i32x4.const(0)
  const max = combine === 'max'
  if (dtype === 'f32') return f32x4.const(max ? -Infinity : Infinity)
  if (dtype === 'i32') return i32x4.const(max ? -(2 ** 31) : 2 ** 31 - 1)
  return i32x4.const(max ? 0 : -1)
}

/** `a` and `b` combined, `a` being the earlier: NaN stays, as in Expr's `max` and `min`. */
export function combined({ combine, dtype }: ReduceOp, a: V128, b: V128): V128 {
  if (combine === 'sum') return dtype === 'f32' ? f32x4.add(a, b) : i32x4.add(a, b)
  const max = combine === 'max'
  if (dtype === 'f32') return v128.bitselect((max ? f32x4.pmax : f32x4.pmin)(a, b), b, f32x4.eq(b, b))
  if (dtype === 'i32') return (max ? i32x4.max_s : i32x4.min_s)(a, b)
  if (dtype === 'u32') return (max ? i32x4.max_u : i32x4.min_u)(a, b)
  return (max ? v128.or : v128.and)(a, b)
}

/** All four lanes combined, in lane 0: `(l0 ∘ l2) ∘ (l1 ∘ l3)`. */
export function acrossLanes(fn: FunctionBuilder, op: ReduceOp, x: V128): Local<'v128'> {
  const whole = fn.let(x)
  const half = fn.let(combined(op, whole, i32x4.shuffle(whole, whole, [2, 3, 0, 1])))
  return fn.let(combined(op, half, i32x4.shuffle(half, half, [1, 0, 3, 2])))
}

/** The first extreme and its position, lane by lane. */
export interface Best {
  readonly key: Local<'v128'>
  readonly at: Local<'v128'>
}

/** Numbers that, compared as signed integers, order elements as `argmax` wants: NaN highest, −0 equal to 0. */
function keyOf(fn: FunctionBuilder, { combine, dtype }: ReduceOp, x: V128): V128 {
  const max = combine === 'argmax'
  if (dtype === 'i32') return max ? x : v128.not(x)
  if (dtype === 'u32') return v128.xor(x, i32x4.const(max ? -(2 ** 31) : 2 ** 31 - 1))
  if (dtype === 'bool') return max ? i32x4.shr_u(x, 31) : v128.not(x)
  const value = fn.let(f32x4.add(max ? x : f32x4.neg(x), i32x4.const(0)))
  const ordered = v128.xor(value, i32x4.shr_u(i32x4.shr_s(value, 31), 1))
  return v128.bitselect(ordered, i32x4.const(2 ** 31 - 1), f32x4.eq(value, value))
}

export function newBest(fn: FunctionBuilder): Best {
  return { key: fn.local('v128'), at: fn.local('v128') }
}

/** Before the first element; `first` are the lanes' first positions. */
export function resetBest(fn: FunctionBuilder, best: Best, first: V128): void {
  fn.set(best.key, i32x4.const(-(2 ** 31)))
  fn.set(best.at, first)
}

/** Looks at the elements `x` at positions `at`; lanes outside `valid` are ignored. */
export function improve(fn: FunctionBuilder, op: ReduceOp, best: Best, x: V128, at: V128, valid?: V128): void {
  const key = fn.let(keyOf(fn, op, x))
  const better = i32x4.gt_s(key, best.key)
  const wins = fn.let(valid ? v128.and(better, valid) : better)
  fn.set(best.key, v128.bitselect(key, best.key, wins))
  fn.set(best.at, v128.bitselect(at, best.at, wins))
}

/** Position of the extreme among the lanes, the first one among equals. */
export function firstOf(fn: FunctionBuilder, best: Best): Local<'i32'> {
  const key = fn.let(i32x4.extract_lane(best.key, 0))
  const at = fn.let(i32x4.extract_lane(best.at, 0))
  for (const lane of [1, 2, 3]) {
    const otherKey = fn.let(i32x4.extract_lane(best.key, lane))
    const otherAt = fn.let(i32x4.extract_lane(best.at, lane))
    const wins = fn.let(otherKey.gt(key).or(otherKey.eq(key).and(otherAt.lt(at))))
    fn.set(key, select(wins, otherKey, key))
    fn.set(at, select(wins, otherAt, at))
  }
  return at
}

/** Lanes below `count`. */
export const lanesBelow = (count: Local<'i32'>): V128 => i32x4.gt_s(i32x4.splat(count), i32x4.constants(0, 1, 2, 3))
