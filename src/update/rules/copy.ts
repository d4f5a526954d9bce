import { constantRule, type UpdateRule } from '../define.js'

/**
 * Hard copy: `target ← source`. A copy, not a blend with weight 1, so a NaN in the target is overwritten. Every C steps:
 * `follow(online, copy(), { every: C })`.
 *
 * Torch: `target.load_state_dict(source.state_dict())`.
 * @example update({ target, source: online }, copy())
 */
export const copy = (): UpdateRule<'stateless'> => constantRule('copy', 'copy', ({ source }) => source)
