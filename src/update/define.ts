import { type Expr, input, scalar } from '../kernels/expr.js'
import { arithmeticOf, type FloatDType } from '../shapes/dtype.js'

/** What happens to the float buffers of the target; other buffers are copied under `copy` and `blend`. */
export type BufferPolicy = 'copy' | 'blend' | 'skip'

/** How an update treats one tensor: leaves it, copies the source, or blends by the rule's expression. */
export type Action = 'keep' | 'copy' | 'blend'

/** A model-to-model update as one expression per element. */
export interface UpdateRule {
  readonly name: string
  readonly buffers: BufferPolicy
  /** What the rule does to parameters now; `keep` and `copy` touch nothing and never compute. */
  readonly action: Action
  /** New target from the old one and the source; the scalars are those of `scalars`. */
  readonly blend: (target: Expr, source: Expr, scalars: readonly Expr[]) => Expr
  /** Numbers of this update, in f64. */
  readonly scalars: readonly number[]
}

const lowered = new Map<string, Expr>()

/** The rule's expression for one dtype. `variant` names what the expression depends on besides the rule's name. */
export function blendExpr(rule: UpdateRule, dtype: FloatDType): Expr {
  const number = arithmeticOf(dtype)
  const slots = rule.scalars.map((_, slot) => scalar(slot, number))
  const expr = rule.blend(input(0, dtype).cast(number), input(1, dtype).cast(number), slots).cast(dtype)
  const known = lowered.get(expr.key)
  if (known) return known
  lowered.set(expr.key, expr)
  return expr
}
