import { blendRule, stateful, type StatefulRule } from '../define.js'

/**
 * Stochastic weight averaging, the plain mean of what the source has been at each update:
 * `target ← target + (source − target) / (n + 1)` with n updates before. The first update is a copy, so the start of
 * the shadow has no weight. Say when and how often with `follow(model, swa(), { after, every, unit: 'update' })`; then
 * recompute the batch norms' statistics.
 *
 * Torch: `swa_utils.AveragedModel(model)`, whose update averages `num_batches_tracked`, too.
 * Paper: Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018, algorithm 1.
 * @example const average = follow(model, swa(), { after: 1000, every: 100 })
 */
export const swa = (): StatefulRule =>
  // An update counts once, however long its interval: a mean has no half-life to keep.
  blendRule(stateful, 'swa', 'swa', ({ updates }) => ({ tau: 1 / (updates + 1), decay: updates / (updates + 1) }))
