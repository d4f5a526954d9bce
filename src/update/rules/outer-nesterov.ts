import { OptionError } from '../../shapes/errors.js'
import { defineRule, type StatefulRule } from '../define.js'

/**
 * The outer step of DiLoCo: what the source has moved since the last synchronisation is a gradient, and the target takes
 * a step of SGD with Nesterov momentum along it: `g = target − source`, `v ← momentum·v + g`,
 * `target ← target − lr·(g + momentum·v)`, `source ← target`. Writes the source, which goes on from the target. With
 * several workers, put their mean into the source first (`average`), and copy the target to all of them after.
 *
 * Throws: `OptionError` unless `lr > 0` and `0 ≤ momentum < 1`.
 * Torch: `torchft.local_sgd.DiLoCo` with `SGD(lr=0.7, momentum=0.9, nesterov=True)`.
 * Paper: Douillard et al., "DiLoCo: distributed low-communication training of language models", 2023, algorithm 1.
 * @example const global = follow(worker, outerNesterov(), { every: 500 })
 */
export function outerNesterov({
  lr = 0.7,
  momentum = 0.9,
}: {
  readonly lr?: number
  readonly momentum?: number
} = {}): StatefulRule {
  if (!(lr > 0 && momentum >= 0 && momentum < 1)) {
    const got = `lr ${lr} and momentum ${momentum}`
    throw new OptionError(`outerNesterov: lr is above 0 and momentum in [0, 1), got ${got}.`, { op: 'outerNesterov' })
  }
  return defineRule({
    name: 'outerNesterov',
    state: { velocity: 'zeros' },
    scalars: { step: -lr, momentum },
    next: ({ target, source, velocity }, s) => {
      const gradient = target.sub(source)
      const next = s.momentum.fma(velocity, gradient)
      const moved = s.step.fma(s.momentum.fma(next, gradient), target)
      return { target: moved, source: moved, velocity: next }
    },
  })
}
