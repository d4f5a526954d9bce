import type { BufferPolicy, UpdateRule } from './define.js'

/**
 * Hard copy: `target ← source`, parameters and buffers. A copy, not a blend with weight 1, so a NaN in the target is
 * overwritten.
 *
 * Torch: `target.load_state_dict(source.state_dict())`.
 * @example update({ target, source: online }, copy())
 */
export function copy({ buffers = 'copy' }: { readonly buffers?: BufferPolicy } = {}): UpdateRule {
  return { name: 'copy', buffers, action: 'copy', scalars: [], blend: (_, source) => source }
}
