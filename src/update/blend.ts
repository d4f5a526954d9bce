import { constant, type Expr, input } from '../kernels/expr.js'
import { randomBits } from '../kernels/random.js'
import type { DType } from '../shapes/dtype.js'
import type { UpdateRule } from './define.js'

/**
 * What becomes of elements of the source that are NaN or infinite. `propagate` blends them like others; `skipElement`
 * leaves the target's element as it is, and the element out of what a rule measures; `skipTensor` and `skipAll` leave the
 * tensor, or all, as it is; `error` changes nothing and throws. The last three look through the source before anything is
 * written.
 */
export type NonFinitePolicy = 'propagate' | 'skipElement' | 'skipTensor' | 'skipAll' | 'error'

/**
 * How the target is rounded. `plain`: to nearest, so that motion below half a unit of the last place is lost. `kahan`:
 * what rounding loses is kept in a second tensor and added later. `stochastic`: up or down at random, right on average.
 */
export type Precision = 'plain' | 'kahan' | 'stochastic'

/** All of them, for callers without types. */
export const nonFinitePolicies = [
  'propagate',
  'skipElement',
  'skipTensor',
  'skipAll',
  'error',
] as const satisfies NonFinitePolicy[]
export const precisions = ['plain', 'kahan', 'stochastic'] as const satisfies Precision[]

/** The dtypes of one group of tensors. */
export interface GroupTypes {
  readonly target: DType
  readonly source: DType
}

/** The dtype that a blend computes in. */
export const blendDType = (target: DType): 'f32' | 'f64' => (target === 'f64' ? 'f64' : 'f32')

/** The expressions of one group, by what each writes: `target`, maybe `source` and `compensation`, and states. */
export interface Blended {
  /** Names of the operands read after target and source, in order. */
  readonly states: readonly string[]
  /** What is written, in order. */
  readonly writes: readonly string[]
  readonly exprs: readonly Expr[]
}

/** The name of the tensor that keeps what rounding has lost. */
export const compensation = 'compensation'

/** What a blend is made of. */
export interface BlendOptions {
  readonly rule: Pick<UpdateRule, 'state' | 'next'>
  readonly types: GroupTypes
  readonly precision: Precision
  readonly skipNonFinite: boolean
  /** The rule's numbers. */
  readonly numbers: readonly Expr[]
  readonly measured: Readonly<Record<string, Expr>>
  /** The first of two scalars that hold the key of random numbers. */
  readonly randomSlot: number
}

/** A rule on tensors of these dtypes, with everything around it: conversion, rounding, what is not finite. */
export function blended(options: BlendOptions): Blended {
  const { rule, types, precision, skipNonFinite, numbers, measured, randomSlot } = options
  const dtype = blendDType(types.target)
  const kept = Object.keys(rule.state)
  const states = precision === 'kahan' ? [...kept, compensation] : kept
  const stored = {
    target: input(0, types.target),
    source: input(1, types.source),
    ...Object.fromEntries(states.map((name, i) => [name, input(i + 2, name === compensation ? types.target : dtype)])),
  } as Readonly<Record<string, Expr>> & { readonly target: Expr; readonly source: Expr }
  const target = stored.target.cast(dtype)
  const source = stored.source.cast(dtype)
  const values = { ...stored, target, source }
  const next: Record<string, Expr | undefined> = { ...rule.next(values, numbers, measured) }
  const result = next.target ?? target
  if (precision === 'kahan') {
    const lost = stored[compensation]?.cast(dtype) ?? constant(0, dtype)
    Object.assign(next, compensated(result, { target, source, lost, stored: types.target }))
  } else if (precision === 'stochastic') next.target = stochastic(result, types.target, randomBits(randomSlot)[0])
  const finite = source.isFinite()
  const writes = ['target', ...(next.source ? ['source'] : []), ...states.filter((name) => next[name] !== undefined)]
  const exprs = writes.map((name) => {
    const before = stored[name] ?? target
    const after = (next[name] ?? target).cast(before.dtype)
    return skipNonFinite ? finite.select(after, before) : after
  })
  return { states, writes, exprs }
}

/** What a compensated sum begins with. */
interface Compensated {
  readonly target: Expr
  readonly source: Expr
  /** What earlier steps have lost. */
  readonly lost: Expr
  readonly stored: DType
}

/** A new value, as it is stored, and what that loses: Kahan's sum, branch by branch. */
function compensated(result: Expr, sum: Compensated): { readonly target: Expr; readonly compensation: Expr } {
  const { target, source, lost, stored } = sum
  const { dtype, args, op } = result
  const [condition, a, b] = args
  if (result === target) return { target, compensation: lost }
  if (op === 'select' && condition && a && b) {
    const [x, y] = [compensated(a, sum), compensated(b, sum)]
    return {
      target: condition.select(x.target, y.target),
      compensation: condition.select(x.compensation, y.compensation),
    }
  }
  // A copy leaves nothing of the old sum, not even NaN.
  const copied = result === source
  const step = copied ? source : incrementOf(result, target).sub(lost)
  const rounded = (copied ? source : target.add(step)).cast(stored).cast(dtype)
  return { target: rounded, compensation: (copied ? rounded : rounded.sub(target)).sub(step) }
}

/** What a new value adds to the old one, before it is rounded into it. */
function incrementOf(result: Expr, target: Expr): Expr {
  const [a, b, c] = result.args
  if (result.op === 'fma' && a && b && c === target) return a.mul(b)
  if (result.op === 'add' && a && b && (a === target || b === target)) return a === target ? b : a
  return result.sub(target)
}

/** Bits of an f32 that a half-precision dtype has no place for, and its smallest step near 0. */
const dropped: Readonly<Partial<Record<string, { bits: number; step: number; normal: number }>>> = {
  bf16: { bits: 16, step: 2 ** -133, normal: 0 },
  f16: { bits: 13, step: 2 ** -24, normal: 2 ** -14 },
}

/**
 * An f32 rounded up or down to a half-precision value, each as probable as it is near: noise is added to the bits that
 * will be cut off. Below the normal range steps are even, and noise is added to the number itself.
 */
function stochastic(value: Expr, dtype: DType, random: Expr): Expr {
  const half = dropped[dtype]
  if (!half) return value
  const { bits, step, normal } = half
  // The subnormals of bf16 are those of f32, whose bits are even steps, too.
  const cut = value
    .bitcast('u32')
    .add(random.shr(32 - bits))
    .shr(bits)
    .shl(bits)
    .bitcast('f32')
  if (normal === 0) return value.isFinite().select(cut, value)
  const unit = random
    .shr(8)
    .cast('i32')
    .cast('f32')
    .mul(2 ** -24)
  const small = value.div(step).add(unit).floor().mul(step)
  return value.isFinite().select(value.abs().lt(normal).select(small, cut), value)
}
