import { emitErf } from './erf.js'
import { emitExp, emitExpm1 } from './exp.js'
import type { EmitMath, MathContext, MathOp, Vector } from './interface.js'
import { emitLog, emitLog1p } from './log.js'
import { emitPow } from './pow.js'
import { emitTanh } from './tanh.js'
import { emitCos, emitSin } from './trig.js'

export type { EmitMath, MathContext, MathOp, Vector } from './interface.js'

type EmitUnary = (context: MathContext, x: readonly Vector[]) => readonly Vector[]

const unary: Readonly<Record<Exclude<MathOp, 'pow'>, EmitUnary>> = {
  exp: emitExp,
  expm1: emitExpm1,
  log: emitLog,
  log1p: emitLog1p,
  sin: emitSin,
  cos: emitCos,
  tanh: emitTanh,
  erf: emitErf,
}

/** Emits one of the functions that are no instruction; its file says how exact it is. Equal bits in '256' and 'fma'. */
export const emitMath: EmitMath = (op, context, x, y = []) =>
  op === 'pow' ? emitPow(context, x, y) : unary[op](context, x)
