import { type DType, isHalf } from '../shapes/dtype.js'

/**
 * Elementwise expressions: a typed scalar DAG that says what happens to one element. Elementwise ops,
 * optimizer steps and update rules are all Exprs; each backend lowers them once, so they are fused
 * and equal everywhere. Pure data: an Expr knows no device, no tensor and no shape.
 *
 * One arithmetic: nothing is contracted or reassociated by a backend; `fma` is written by the author. f16 and bf16 are
 * only stored: their nodes are inputs, constants, selections and casts from and to f32, and nothing computes on them.
 */

/** Unary nodes on floats, and what they compute. `recip` is exactly `1 / x`. */
export type UnaryOp =
  | 'neg'
  | 'abs'
  | 'sqrt'
  | 'exp'
  | 'expm1'
  | 'log'
  | 'log1p'
  | 'sin'
  | 'cos'
  | 'tanh'
  | 'erf'
  | 'floor'
  | 'ceil'
  | 'round'
  | 'not'
  | 'isNaN'
/** Binary nodes. `max`/`min` return NaN when either side is NaN; on equal values the left side. */
export type BinaryOp = 'add' | 'sub' | 'mul' | 'div' | 'pow' | 'max' | 'min' | 'and' | 'or' | 'xor' | 'shl' | 'shr'
export type CompareOp = 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge'
export type LeafOp = 'input' | 'uniform' | 'scalar' | 'const' | 'index'
export type ExprOp = LeafOp | UnaryOp | BinaryOp | CompareOp | 'select' | 'fma' | 'cast' | 'bitcast'

let nextId = 0

/** One node of an expression. Build with `input`, `uniform`, `scalar`, `constant`, `index` and the methods. */
export class Expr {
  /** Identity of the node, so that backends evaluate a shared node once. */
  readonly id = nextId++
  #key: string | undefined

  constructor(
    readonly op: ExprOp,
    readonly dtype: DType,
    readonly args: readonly Expr[],
    /** `input`, `uniform`, `scalar`: the slot; `const`: the value; 0 otherwise. */
    readonly value = 0,
  ) {}

  /** Structure of the expression as text: equal keys mean equal code. Shared nodes are printed once. */
  get key(): string {
    if (this.#key === undefined) {
      const seen = new Map<Expr, number>()
      const parts: string[] = []
      const visit = (e: Expr): number => {
        const known = seen.get(e)
        if (known !== undefined) return known
        const args = e.args.map(visit)
        const value = Object.is(e.value, -0) ? '-0' : String(e.value)
        parts.push(`${e.op}:${e.dtype}(${args.join(',')}${e.args.length === 0 ? value : ''})`)
        seen.set(e, parts.length - 1)
        return parts.length - 1
      }
      visit(this)
      this.#key = parts.join(';')
    }
    return this.#key
  }

  #unary(op: UnaryOp): Expr {
    return new Expr(op, this.dtype, [this])
  }
  #binary(op: BinaryOp, b: Expr | number): Expr {
    return new Expr(op, this.dtype, [this, this.#lift(b)])
  }
  #compare(op: CompareOp, b: Expr | number): Expr {
    return new Expr(op, 'bool', [this, this.#lift(b)])
  }
  #lift(b: Expr | number): Expr {
    return typeof b === 'number' ? constant(b, this.dtype) : b
  }

  neg(): Expr {
    return this.#unary('neg')
  }
  abs(): Expr {
    return this.#unary('abs')
  }
  sqrt(): Expr {
    return this.#unary('sqrt')
  }
  exp(): Expr {
    return this.#unary('exp')
  }
  /** `e^x − 1`, exact near 0. */
  expm1(): Expr {
    return this.#unary('expm1')
  }
  log(): Expr {
    return this.#unary('log')
  }
  /** `log(1 + x)`, exact near 0. */
  log1p(): Expr {
    return this.#unary('log1p')
  }
  sin(): Expr {
    return this.#unary('sin')
  }
  cos(): Expr {
    return this.#unary('cos')
  }
  tanh(): Expr {
    return this.#unary('tanh')
  }
  erf(): Expr {
    return this.#unary('erf')
  }
  floor(): Expr {
    return this.#unary('floor')
  }
  ceil(): Expr {
    return this.#unary('ceil')
  }
  /** Nearest integer, ties to even. */
  round(): Expr {
    return this.#unary('round')
  }
  recip(): Expr {
    return constant(1, this.dtype).div(this)
  }
  square(): Expr {
    return this.mul(this)
  }

  add(b: Expr | number): Expr {
    return this.#binary('add', b)
  }
  sub(b: Expr | number): Expr {
    return this.#binary('sub', b)
  }
  mul(b: Expr | number): Expr {
    return this.#binary('mul', b)
  }
  div(b: Expr | number): Expr {
    return this.#binary('div', b)
  }
  pow(b: Expr | number): Expr {
    return this.#binary('pow', b)
  }
  /** The larger; NaN if either is NaN. */
  max(b: Expr | number): Expr {
    return this.#binary('max', b)
  }
  /** The smaller; NaN if either is NaN. */
  min(b: Expr | number): Expr {
    return this.#binary('min', b)
  }
  /** `this · b + c`, rounded once where the mode has FMA, twice where it has not. */
  fma(b: Expr | number, c: Expr | number): Expr {
    return new Expr('fma', this.dtype, [this, this.#lift(b), this.#lift(c)])
  }
  /**
   * `this + weight · (to − this)`, in the two-sided form: exact at weight 0 and 1, and a fixed point
   * when both ends are equal. `rest` is `1 − weight`, computed by the host in f64.
   */
  lerp(to: Expr, weight: Expr, rest: Expr): Expr {
    const diff = to.sub(this)
    return weight.lt(0.5).select(this.add(weight.mul(diff)), to.sub(diff.mul(rest)))
  }

  eq(b: Expr | number): Expr {
    return this.#compare('eq', b)
  }
  ne(b: Expr | number): Expr {
    return this.#compare('ne', b)
  }
  lt(b: Expr | number): Expr {
    return this.#compare('lt', b)
  }
  le(b: Expr | number): Expr {
    return this.#compare('le', b)
  }
  gt(b: Expr | number): Expr {
    return this.#compare('gt', b)
  }
  ge(b: Expr | number): Expr {
    return this.#compare('ge', b)
  }
  isNaN(): Expr {
    return new Expr('isNaN', 'bool', [this])
  }
  /** Neither NaN nor infinite: `x − x` is 0 for finite numbers only. */
  isFinite(): Expr {
    return this.sub(this).eq(0)
  }

  /** On bool: logical; on i32 and u32: bitwise. */
  and(b: Expr | number): Expr {
    return this.#binary('and', b)
  }
  or(b: Expr | number): Expr {
    return this.#binary('or', b)
  }
  xor(b: Expr | number): Expr {
    return this.#binary('xor', b)
  }
  /** On bool: logical negation; on integers: bitwise. */
  not(): Expr {
    return this.#unary('not')
  }
  /** Integers only; the count is a constant 0..31. */
  shl(count: number): Expr {
    return this.#binary('shl', count)
  }
  /** Integers only: arithmetic on i32, logical on u32; the count is a constant 0..31. */
  shr(count: number): Expr {
    return this.#binary('shr', count)
  }

  /** On bool: `this ? yes : no`. Both sides are evaluated; the other side's NaN does not leak. */
  select(yes: Expr | number, no: Expr | number): Expr {
    const typed = typeof yes === 'number' ? no : yes
    const dtype = typeof typed === 'number' ? 'f32' : typed.dtype
    const lift = (x: Expr | number) => (typeof x === 'number' ? constant(x, dtype) : x)
    return new Expr('select', dtype, [this, lift(yes), lift(no)])
  }
  /**
   * Converts: float → integer truncates and saturates (NaN → 0), anything → bool is `≠ 0`,
   * bool → number is 0 or 1, between i32 and u32 the bits are kept. From and to f16 and bf16 by way of f32, rounding to the
   * nearest, ties to even.
   */
  cast(dtype: DType): Expr {
    if (dtype === this.dtype) return this
    const single = dtype === 'f32' || this.dtype === 'f32'
    if (!single && (isHalf(dtype) || isHalf(this.dtype))) return this.cast('f32').cast(dtype)
    return new Expr('cast', dtype, [this])
  }
  /** The same 32 bits read as another dtype: between f32, i32 and u32. Which bits a NaN has is unspecified. */
  bitcast(dtype: 'f32' | 'i32' | 'u32'): Expr {
    return dtype === this.dtype ? this : new Expr('bitcast', dtype, [this])
  }
}

/** The element of operand `slot`. */
export const input = (slot: number, dtype: DType): Expr => new Expr('input', dtype, [], slot)
/** The element that a part of a `foreach` kernel binds to `slot`: the same for all elements of the part. */
export const uniform = (slot: number, dtype: DType): Expr => new Expr('uniform', dtype, [], slot)
/** A number the host passes with each run: a learning rate, a decay, a seed. Kept in f64 until then. */
export const scalar = (slot: number, dtype: DType): Expr => new Expr('scalar', dtype, [], slot)
/** A number that is part of the code. */
export const constant = (value: number, dtype: DType): Expr => new Expr('const', dtype, [], value)
/** Row-major position of the element in the iteration space, as u32; in `foreach` counted over all parts in order. */
export const index = (): Expr => new Expr('index', 'u32', [])

/** How many slots of a kind of leaf the expressions use: the largest slot plus one. */
export function slotCount(exprs: readonly Expr[], op: 'input' | 'uniform' | 'scalar'): number {
  let count = 0
  for (const e of nodes(exprs)) if (e.op === op) count = Math.max(count, e.value + 1)
  return count
}

/** Every node once, arguments before their users. */
export function nodes(exprs: readonly Expr[]): Expr[] {
  const seen = new Set<Expr>()
  const order: Expr[] = []
  const visit = (e: Expr): void => {
    if (seen.has(e)) return
    seen.add(e)
    e.args.forEach(visit)
    order.push(e)
  }
  exprs.forEach(visit)
  return order
}

/** The expression with its inputs, uniforms and scalars replaced: how producers are fused into consumers. */
export function substitute(expr: Expr, replace: (leaf: Expr) => Expr): Expr {
  const done = new Map<Expr, Expr>()
  const visit = (e: Expr): Expr => {
    const known = done.get(e)
    if (known) return known
    const args = e.args.map(visit)
    const same = args.every((a, i) => a === e.args[i])
    const slotted = e.op === 'input' || e.op === 'uniform' || e.op === 'scalar'
    const result = slotted ? replace(e) : same ? e : new Expr(e.op, e.dtype, args, e.value)
    done.set(e, result)
    return result
  }
  return visit(expr)
}
