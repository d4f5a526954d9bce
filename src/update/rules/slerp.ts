import type { Expr } from '../../kernels/expr.js'
import { OptionError } from '../../shapes/errors.js'
import { defineRule, type UpdateRule } from '../define.js'

/** Tensors that point the same way, or opposite ways, are joined by a line: the arc between them is not defined. */
const parallel = 0.9995

/**
 * A point on the arc between two models, tensor by tensor: with θ the angle between target and source,
 * `target ← (sin((1 − alpha)·θ)·target + sin(alpha·θ)·source) / sin θ`. Where |cos θ| > 0.9995, and for tensors of norm 0,
 * it is the line `target + alpha·(source − target)`. Takes two passes, the first for the angles.
 *
 * Throws: `OptionError` unless `0 ≤ alpha ≤ 1`.
 * Torch: none built in; mergekit's `slerp`, which works on flattened tensors, too.
 * Paper: Shoemake, "Animating rotation with quaternion curves", 1985, section 3.3.
 * @example update({ target: merged, source: other }, slerp(0.5))
 */
export function slerp(alpha: number): UpdateRule<'stateless'> {
  if (!(alpha >= 0 && alpha <= 1)) throw new OptionError(`slerp: alpha is in [0, 1], got ${alpha}.`, { op: 'slerp' })
  return defineRule({
    name: 'slerp',
    scalars: { alpha, rest: 1 - alpha },
    measures: {
      dot: { combine: 'sum', of: ({ target, source }) => target.mul(source) },
      targetNorm: { combine: 'sum', of: ({ target }) => target.square() },
      sourceNorm: { combine: 'sum', of: ({ source }) => source.square() },
    },
    next: ({ target, source }, s, { dot, targetNorm, sourceNorm }) => {
      const cosine = dot.div(targetNorm.sqrt().mul(sourceNorm.sqrt()))
      const angle = arcCosine(cosine)
      const sine = angle.sin()
      const arc = s.rest.mul(angle).sin().div(sine).mul(target).add(s.alpha.mul(angle).sin().div(sine).mul(source))
      const line = s.alpha.fma(source.sub(target), target)
      // A norm of 0 gives NaN, which is not below.
      return { target: cosine.abs().le(parallel).select(arc, line) }
    },
  })
}

/**
 * acos on [−1, 1] by Newton's steps on `cos θ = x` from a polynomial start (Abramowitz and Stegun 4.4.45, error under
 * 7e-5), which f32 cannot tell from the exact angle after two.
 */
function arcCosine(x: Expr): Expr {
  const a = x.abs()
  const polynomial = a.mul(-0.0187293).add(0.074261).mul(a).add(-0.2121144).mul(a).add(1.5707288)
  const positive = a.mul(-1).add(1).sqrt().mul(polynomial)
  const start = x.lt(0).select(positive.mul(-1).add(Math.PI), positive)
  const closer = (angle: Expr) => angle.add(angle.cos().sub(x).div(angle.sin()))
  return closer(closer(start))
}
