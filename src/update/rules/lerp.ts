import { OptionError } from '../../shapes/errors.js'
import { blendRule, type UpdateRule } from '../define.js'

/**
 * A point on the line between two models: `target ← (1 − alpha)·target + alpha·source`. Alphas beyond [0, 1] are refused;
 * 0 and 1 are exact. What WiSE-FT does with a zero-shot and a fine-tuned model.
 *
 * Throws: `OptionError` unless `0 ≤ alpha ≤ 1`.
 * Torch: `torch._foreach_lerp_(target, source, alpha)`.
 * @example update({ target: merged, source: finetuned }, lerp(0.5))
 */
export function lerp(alpha: number): UpdateRule<'stateless'> {
  if (!(alpha >= 0 && alpha <= 1)) throw new OptionError(`lerp: alpha is in [0, 1], got ${alpha}.`, { op: 'lerp' })
  return blendRule('stateless', 'lerp', `lerp ${alpha}`, () => ({ tau: alpha, decay: 1 - alpha }))
}
