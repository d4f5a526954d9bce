/**
 * What the code generator of expressions and the transcendental functions agree on. An emitter gets one or more
 * vectors of four f32 in locals and writes code that computes the function of each into new locals, stage
 * by stage across the vectors, so that several are in flight at once. The same code runs for every element,
 * also in tails, so a value never depends on where in an array it stands.
 *
 * The generator looks for `emitMath` in `math/index.ts`.
 */
import type { FunctionBuilder, Local, ModuleBuilder, V128 } from '../assembler.js'
import type { Mode } from '../modes.js'

export type Vector = Local<'v128'>

/** The float nodes of an Expr that have no instruction of their own. */
export type MathOp = 'exp' | 'expm1' | 'log' | 'log1p' | 'sin' | 'cos' | 'tanh' | 'erf' | 'pow'

/** What an emitter may use besides the function builder. */
export interface MathContext {
  readonly fn: FunctionBuilder
  readonly mode: Mode
  /** Four times the f32 nearest to `value`, in the form the mode likes best: loaded with FMA, `v128.const` without. */
  readonly f32: (value: number) => V128
  /** Four times a 32-bit pattern, likewise: masks, exponent offsets. */
  readonly i32: (bits: number) => V128
  /** `a * b + c`: fused in FMA modes, two roundings in plain mode. */
  readonly mad: (a: V128, b: V128, c: V128) => V128
  /** A v128 local to work in. Give it back with `release` as soon as it is dead, so that it is reused. */
  readonly temp: () => Vector
  readonly release: (x: Vector) => void
  /**
   * A function of the module under construction, defined on first use: for what is too rare or too long to inline
   * (large arguments of sin). Pass it what it needs: the constants above belong to the calling function.
   */
  readonly helper: <F extends FunctionBuilder>(name: string, define: (module: ModuleBuilder) => F) => F
}

/**
 * Emits `op` of each vector of `x` (`pow`: of each `x`, `y` pair). The arguments must not be assigned: other nodes
 * may read them. Returns as many locals as it got, from `context.temp()`; the caller releases them.
 */
export type EmitMath = (
  op: MathOp,
  context: MathContext,
  x: readonly Vector[],
  y?: readonly Vector[],
) => readonly Vector[]
