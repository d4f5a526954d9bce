import { type Expr, input, scalar } from '../kernels/expr.js'

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
export function blendExpr(rule: UpdateRule, dtype: 'f32' | 'f64'): Expr {
  const slots = rule.scalars.map((_, slot) => scalar(slot, dtype))
  const expr = rule.blend(input(0, dtype), input(1, dtype), slots)
  const known = lowered.get(expr.key)
  if (known) return known
  lowered.set(expr.key, expr)
  return expr
}
