import { OptionError } from '../shapes/errors.js'
import type { ModelTensor } from './walk.js'

/** Whether `path` is selected by `pattern`: a full path, `encoder.*` (all below), `*.bias` (all of that name), `*`. */
function matchesPattern(path: string, pattern: string): boolean {
  if (pattern === '*' || pattern === path) return true
  if (pattern.endsWith('.*')) return path.startsWith(pattern.slice(0, -1))
  return pattern.startsWith('*.') && path.endsWith(pattern.slice(1))
}

/**
 * The tensors that any of the patterns selects.
 *
 * Throws: `OptionError` when a pattern selects nothing, listing the paths there are.
 */
export function selectTensors(op: string, tensors: readonly ModelTensor[], patterns: readonly string[]): ModelTensor[] {
  for (const pattern of patterns) {
    if (tensors.some(({ path }) => matchesPattern(path, pattern))) continue
    const paths = tensors.map(({ path }) => path)
    const shown = paths.length > 12 ? [...paths.slice(0, 12), `… (${paths.length} in all)`] : paths
    throw new OptionError(`${op}: the pattern "${pattern}" matches nothing; the model has ${shown.join(', ')}.`, { op })
  }
  return tensors.filter(({ path }) => patterns.some((pattern) => matchesPattern(path, pattern)))
}
