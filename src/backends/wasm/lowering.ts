/**
 * Expr → SIMD. Every node becomes one instruction (or a few) on vectors of four elements; several vectors are
 * computed side by side, stage by stage, so that they are in flight at once and V8 can fuse neighbours to 256 bits.
 * A node used twice is evaluated once; what depends on no element is evaluated once per call.
 *
 * bool is 0 or 1 in memory and a mask (0 or −1) in registers. f16 and bf16 are their bits, in registers in the lower half
 * of each lane; only casts look at them.
 */
import { type Expr, nodes } from '../../kernels/expr.js'
import { halfBits } from '../../shapes/half.js'
import { type DType, isHalf } from '../../tensor/dtype.js'
import { DTypeError } from '../../tensor/errors.js'
import {
  f32x4,
  f64x2,
  type FunctionBuilder,
  i32x4,
  type Local,
  type ModuleBuilder,
  type V128,
  v128,
} from './assembler.js'
import { scalarsOf } from './block.js'
import { emitFromF16, emitToF16 } from './math/half.js'
import { emitMath } from './math/index.js'
import type { MathContext, MathOp, Vector } from './math/interface.js'
import type { Mode } from './modes.js'

const bitsView = new DataView(new ArrayBuffer(4))

/** The 32-bit pattern of a number as this dtype in memory. */
export function bitsOf(value: number, dtype: DType): number {
  if (dtype === 'f32') {
    bitsView.setFloat32(0, value)
    return bitsView.getInt32(0)
  }
  if (dtype === 'bool') return Number.isNaN(value) || value !== 0 ? 1 : 0
  if (isHalf(dtype)) return halfBits(value, dtype)
  if (Number.isNaN(value)) return 0
  const [low, high] = dtype === 'i32' ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1]
  return Math.trunc(Math.min(high, Math.max(low, value))) | 0
}

/** Refuses what the wasm backend has no numbers for. */
export function checkDTypes(dtypes: Iterable<DType>): void {
  for (const dtype of dtypes) {
    if (dtype === 'f64') {
      throw new DTypeError(
        "the wasm device has no f64. Cast to f32, or use the reference device (device('reference')) for f64.",
      )
    }
  }
}

/** Elements per vector. */
export const lanes = 4

/** Reads element leaves: input `slot` or the positions, for vector `w` of the group being computed. */
export type LeafReader = (leaf: Expr, w: number) => V128

const mathOps: ReadonlySet<string> = new Set<MathOp>([
  'exp',
  'expm1',
  'log',
  'log1p',
  'sin',
  'cos',
  'tanh',
  'erf',
  'pow',
])

type EmitStages = (context: MathContext, x: readonly Vector[], y?: readonly Vector[]) => readonly Vector[]

/** The code of a node that takes several stages, which need registers besides its arguments. */
function stagesOf(e: Expr): EmitStages | undefined {
  if (e.op === 'cast') return e.dtype === 'f16' ? emitToF16 : e.args[0]?.dtype === 'f16' ? emitFromF16 : undefined
  if (!mathOps.has(e.op)) return undefined
  if (e.dtype !== 'f32') return refuse(e)
  return (context, x, y) => emitMath(e.op as MathOp, context, x, y)
}

/** Generates the code of expressions inside one function. */
export class Lowering implements MathContext {
  readonly #order: readonly Expr[]
  readonly #scalars: ReturnType<typeof scalarsOf>
  /** Values that are the same for all elements, in locals set before the loops. */
  readonly #invariant = new Map<Expr, V128>()
  readonly #varies = new Set<Expr>()
  /** Values that are the same for all elements of a part. */
  readonly #ofPart = new Set<Expr>()
  readonly #free: Vector[] = []
  /** Locals that go back to the free list when their node is dead. */
  readonly #owned = new Set<number>()
  readonly #constants: number[]
  readonly #helpers: Map<string, FunctionBuilder>

  /**
   * `scalarWord` is the first word of the scalars in the argument block; constants of FMA modes follow them and are
   * collected in `constants`.
   */
  constructor(
    readonly fn: FunctionBuilder,
    readonly mode: Mode,
    readonly exprs: readonly Expr[],
    private readonly block: {
      readonly module: ModuleBuilder
      readonly params: Local<'i32'>
      readonly scalarWord: number
      readonly constants: number[]
      readonly helpers: Map<string, FunctionBuilder>
      /** All scalars of the block, where there are more than those of `exprs`. */
      readonly scalars?: ReturnType<typeof scalarsOf>
    },
  ) {
    this.#constants = block.constants
    this.#helpers = block.helpers
    this.#order = nodes(exprs)
    this.#scalars = block.scalars ?? scalarsOf(exprs)
    checkDTypes(this.#order.map((e) => e.dtype))
    for (const e of this.#order) {
      if (e.op === 'input' || e.op === 'index' || e.args.some((a) => this.#varies.has(a))) this.#varies.add(e)
      else if (e.op === 'uniform' || e.args.some((a) => this.#ofPart.has(a))) this.#ofPart.add(e)
    }
  }

  /** Whether an expression asks where its element is. */
  get readsPosition(): boolean {
    return this.#order.some((e) => e.op === 'index')
  }

  /** Four times the f32 nearest to `value`. */
  readonly f32 = (value: number): V128 => this.#constant(bitsOf(value, 'f32'))
  readonly i32 = (bits: number): V128 => this.#constant(bits | 0)
  /**
   * With FMA, constants are loaded: `relaxed_madd` overwrites its addend's register, so the engine would rebuild a
   * `v128.const` at every use (exp: 1.65 ns an element against 0.52). Without FMA the opposite is faster (0.87, 1.53).
   */
  #constant(bits: number): V128 {
    if (!this.mode.fma || bits === 0) return i32x4.const(bits)
    let at = this.#constants.indexOf(bits)
    if (at < 0) at = this.#constants.push(bits) - 1
    return v128.load32_splat(this.block.params, (this.block.scalarWord + this.#scalars.length + at) * 4)
  }
  readonly mad = (a: V128, b: V128, c: V128): V128 =>
    this.mode.fma ? f32x4.relaxed_madd(a, b, c) : f32x4.add(f32x4.mul(a, b), c)

  readonly temp = (): Vector => this.#free.pop() ?? this.fn.local('v128')
  readonly release = (x: Vector): void => {
    this.#free.push(x)
  }
  readonly helper = <F extends FunctionBuilder>(name: string, define: (module: ModuleBuilder) => F): F => {
    const known = this.#helpers.get(name)
    if (known) return known as F
    const made = define(this.block.module)
    this.#helpers.set(name, made)
    return made
  }

  /** Evaluates what no element changes; call once, before the loops. */
  hoist(): void {
    for (const e of this.#order) {
      if (this.#varies.has(e) || this.#ofPart.has(e) || e.op === 'const') continue
      if (e.op === 'scalar') {
        const at = this.#scalars.findIndex((s) => s.slot === e.value && s.dtype === e.dtype)
        const bits = v128.load32_splat(this.block.params, (this.block.scalarWord + at) * 4)
        this.#invariant.set(e, this.fn.let(fromMemory(bits, e.dtype)))
      } else this.#keepInvariant(e)
    }
  }

  /** Evaluates what no element of a part changes; call for each part, before its loops. */
  hoistPart(uniform: (leaf: Expr) => V128): void {
    for (const e of this.#ofPart) {
      if (e.op === 'uniform') this.#invariant.set(e, this.fn.let(uniform(e)))
      else this.#keepInvariant(e)
    }
  }

  #keepInvariant(e: Expr): void {
    const [result] = this.#node(e, 1, (arg) => [this.#shared(arg) ?? i32x4.const(0)])
    if (result) this.#invariant.set(e, 'index' in result ? result : this.fn.let(result))
  }

  /** How many vectors of this many elements fit the registers side by side. */
  get width(): number {
    const users = this.#countUses()
    let live = 0
    let most = 0
    for (const e of this.#order) {
      if (!this.#varies.has(e)) continue
      live++
      most = Math.max(most, live + (stagesOf(e) ? 3 : 0))
      for (const a of new Set(e.args)) {
        const left = (users.get(a) ?? 0) - e.args.filter((b) => b === a).length
        users.set(a, left)
        if (left === 0 && this.#varies.has(a)) live--
      }
    }
    return (most * lanes) / (this.mode.wide ? 2 : 1) <= 20 ? 4 : 2
  }

  /** Code for `width` vectors; one list of vectors per expression. The caller gives them back with `done`. */
  evaluate(width: number, leaf: LeafReader): readonly (readonly V128[])[] {
    const uses = this.#countUses()
    const values = new Map<Expr, readonly V128[]>()
    const value = (e: Expr): readonly V128[] => {
      const shared = this.#shared(e)
      return shared ? Array.from({ length: width }, () => shared) : (values.get(e) ?? [])
    }
    const used = (e: Expr): void => {
      const left = (uses.get(e) ?? 0) - 1
      uses.set(e, left)
      if (left === 0) this.done(values.get(e) ?? [])
    }
    for (const e of this.#order) {
      if (!this.#varies.has(e)) continue
      const made =
        e.op === 'input' || e.op === 'index'
          ? Array.from({ length: width }, (_, w) => leaf(e, w))
          : this.#node(e, width, value)
      // Kept in locals: code would be evaluated again at each use, and an argument's own local (a cast that changes
      // nothing) goes back to the free list when the argument is dead.
      const borrowed = new Set<V128>(e.args.flatMap(value))
      values.set(
        e,
        made.map((x) => (isVector(x) && !borrowed.has(x) ? x : this.#keep(x))),
      )
      for (const a of e.args) used(a)
    }
    return this.exprs.map(value)
  }

  /** Gives locals back. */
  done(vectors: readonly V128[]): void {
    for (const x of new Set(vectors)) if (isVector(x) && this.#owned.has(x.index)) this.release(x)
  }
  #keep(x: V128): Vector {
    const local = this.temp()
    this.#owned.add(local.index)
    this.fn.set(local, x)
    return local
  }

  #countUses(): Map<Expr, number> {
    const uses = new Map<Expr, number>()
    const use = (e: Expr) => uses.set(e, (uses.get(e) ?? 0) + 1)
    for (const e of this.#order) e.args.forEach(use)
    this.exprs.forEach(use)
    return uses
  }

  #shared(e: Expr): V128 | undefined {
    if (this.#varies.has(e)) return undefined
    if (e.op === 'const')
      return e.dtype === 'bool' ? i32x4.const(e.value === 0 ? 0 : -1) : this.#constant(bitsOf(e.value, e.dtype))
    return this.#invariant.get(e)
  }

  #node(e: Expr, width: number, value: (e: Expr) => readonly V128[]): readonly V128[] {
    const args = e.args.map(value)
    const stages = stagesOf(e)
    if (stages) {
      const [x = [], y] = args.map((list) => list.map((v) => (isVector(v) ? v : this.#keep(v))))
      const results = stages(this, x, y)
      for (const r of results) this.#owned.add(r.index)
      // Constants given to pow were put into locals of their own.
      args.flat().forEach((v, i) => {
        const kept = [...x, ...(y ?? [])][i]
        if (!isVector(v) && kept) this.release(kept)
      })
      return results
    }
    return Array.from({ length: width }, (_, w) =>
      this.#operation(
        e,
        args.map((list) => list[w] ?? i32x4.const(0)),
      ),
    )
  }

  #operation(e: Expr, args: readonly V128[]): V128 {
    const zero = i32x4.const(0)
    const [a = zero, b = zero, c = zero] = args
    const source = e.args[0]?.dtype ?? e.dtype
    if (e.op === 'select') return v128.bitselect(b, c, a)
    if (e.op === 'cast') return cast(a, source, e.dtype, this)
    if (isHalf(source)) return refuse(e)
    if (e.op === 'bitcast') return source === 'bool' ? refuse(e) : a
    if (e.op === 'fma') {
      return e.dtype === 'f32' ? this.mad(a, b, c) : e.dtype === 'bool' ? refuse(e) : i32x4.add(i32x4.mul(a, b), c)
    }
    if (e.op === 'isNaN') return source === 'f32' ? f32x4.ne(a, a) : zero
    const right = e.args[1]
    if (e.op === 'shl' || e.op === 'shr') {
      if (right?.op !== 'const' || (e.dtype !== 'i32' && e.dtype !== 'u32')) return refuse(e)
      const by = right.value & 31
      return e.op === 'shl' ? i32x4.shl(a, by) : e.dtype === 'i32' ? i32x4.shr_s(a, by) : i32x4.shr_u(a, by)
    }
    const table: Operations =
      source === 'f32' ? floatOps : source === 'bool' ? boolOps : source === 'u32' ? unsignedOps : signedOps
    const emit = table[e.op]
    if (!emit) return refuse(e)
    return emit(a, b, right?.op === 'const' && !Number.isNaN(right.value))
  }
}

function refuse(e: Expr): never {
  throw new DTypeError(`${e.op} is not defined on ${e.args[0]?.dtype ?? e.dtype}: cast to f32 first.`)
}

const isVector = (x: V128): x is Vector => 'index' in x

/** The vector in registers of 32-bit words in memory. */
export function fromMemory(x: V128, dtype: DType): V128 {
  return dtype === 'bool' ? i32x4.ne(x, i32x4.const(0)) : x
}
/** The words in memory of a vector in registers. */
export function toMemory(x: V128, dtype: DType): V128 {
  return dtype === 'bool' ? i32x4.shr_u(x, 31) : x
}

type Operations = { readonly [op: string]: ((a: V128, b: V128, bIsNumber: boolean) => V128) | undefined }

const not = v128.not

const floatOps: Operations = {
  neg: f32x4.neg,
  abs: f32x4.abs,
  sqrt: f32x4.sqrt,
  floor: f32x4.floor,
  ceil: f32x4.ceil,
  round: f32x4.nearest,
  add: f32x4.add,
  sub: f32x4.sub,
  mul: f32x4.mul,
  div: f32x4.div,
  // pmax(a, b) is a where a is NaN; where b is NaN it must be b. f32x4.max costs seven times as much.
  max: (a, b, bIsNumber) => (bIsNumber ? f32x4.pmax(a, b) : v128.bitselect(f32x4.pmax(a, b), b, f32x4.eq(b, b))),
  min: (a, b, bIsNumber) => (bIsNumber ? f32x4.pmin(a, b) : v128.bitselect(f32x4.pmin(a, b), b, f32x4.eq(b, b))),
  eq: f32x4.eq,
  ne: f32x4.ne,
  lt: f32x4.lt,
  le: f32x4.le,
  gt: f32x4.gt,
  ge: f32x4.ge,
}

const integerOps: Operations = {
  neg: (a) => i32x4.neg(a),
  add: i32x4.add,
  sub: i32x4.sub,
  mul: i32x4.mul,
  and: v128.and,
  or: v128.or,
  xor: v128.xor,
  not,
  eq: i32x4.eq,
  ne: i32x4.ne,
}
/** Truncated quotient, 0 where the divisor is. */
function divide(a: V128, b: V128, widen: (x: V128) => V128, narrow: (x: V128) => V128): V128 {
  const upper = (x: V128) => i32x4.shuffle(x, x, [2, 3, 2, 3])
  const low = narrow(f64x2.div(widen(a), widen(b)))
  const high = narrow(f64x2.div(widen(upper(a)), widen(upper(b))))
  return v128.andnot(i32x4.shuffle(low, high, [0, 1, 4, 5]), i32x4.eq(b, i32x4.const(0)))
}
const signedOps: Operations = {
  ...integerOps,
  // Exact in f64. −2³¹ ÷ −1 wraps instead of saturating.
  div: (a, b) =>
    v128.bitselect(
      i32x4.neg(a),
      divide(a, b, f64x2.convert_low_i32x4_s, i32x4.trunc_sat_f64x2_s_zero),
      i32x4.eq(b, i32x4.const(-1)),
    ),
  abs: i32x4.abs,
  max: i32x4.max_s,
  min: i32x4.min_s,
  lt: i32x4.lt_s,
  le: i32x4.le_s,
  gt: i32x4.gt_s,
  ge: i32x4.ge_s,
}
const unsignedOps: Operations = {
  ...integerOps,
  div: (a, b) => divide(a, b, f64x2.convert_low_i32x4_u, i32x4.trunc_sat_f64x2_u_zero),
  abs: (a) => a,
  max: i32x4.max_u,
  min: i32x4.min_u,
  lt: i32x4.lt_u,
  le: i32x4.le_u,
  gt: i32x4.gt_u,
  ge: i32x4.ge_u,
}
/** On masks. */
const boolOps: Operations = {
  and: v128.and,
  or: v128.or,
  xor: v128.xor,
  not,
  max: v128.or,
  min: v128.and,
  eq: (a, b) => not(v128.xor(a, b)),
  ne: v128.xor,
  lt: (a, b) => v128.andnot(b, a),
  le: (a, b) => v128.or(b, not(a)),
  gt: v128.andnot,
  ge: (a, b) => v128.or(a, not(b)),
}

function cast(a: V128, from: DType, to: DType, { f32, i32 }: Pick<MathContext, 'f32' | 'i32'>): V128 {
  if (from === to) return a
  if (from === 'bf16') return i32x4.shl(a, 16)
  if (to === 'bf16') {
    const half = i32x4.add(v128.and(i32x4.shr_u(a, 16), i32(1)), i32(0x7fff))
    // Rounding would carry a NaN over into 0.
    return i32x4.shr_u(v128.or(i32x4.add(a, half), f32x4.ne(a, a)), 16)
  }
  if (to === 'bool') return from === 'f32' ? f32x4.ne(a, i32x4.const(0)) : i32x4.ne(a, i32x4.const(0))
  if (from === 'bool') return to === 'f32' ? v128.and(a, f32(1)) : i32x4.shr_u(a, 31)
  if (to === 'f32') return from === 'i32' ? f32x4.convert_i32x4_s(a) : f32x4.convert_i32x4_u(a)
  if (from === 'f32') return to === 'i32' ? i32x4.trunc_sat_f32x4_s(a) : i32x4.trunc_sat_f32x4_u(a)
  return a
}
