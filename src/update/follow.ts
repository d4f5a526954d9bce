import { markAverage } from '../model/averaged.js'
import { clone } from '../model/clone.js'
import { freeze } from '../model/freeze.js'
import type { PathPattern } from '../model/paths.js'
import { OptionError } from '../shapes/errors.js'
import { requireTiming } from './clock.js'
import type { UpdateRule } from './define.js'
import { FollowingShadow, type Shadow, type ShadowOptions } from './shadow.js'
import { requireSelection } from './treatment.js'

/**
 * An average that follows `source`: it owns a copy of the model, counts, schedules, and updates in place whenever
 * `update()` is called, in compiled steps fused with the optimizer. The average takes no gradient, and no optimizer
 * accepts it.
 *
 * `every: k` updates at each k-th call with the weight of k updates, so that half-lives stay what they are; `unit:
 * 'update'` states rates per update instead, `unit: 'sample'` per sample. `after` and `when` say when following begins and
 * whether an update happens; `only`, `except`, `where`, `buffers` and `frozen` to which tensors; `nonFinite` keeps NaN
 * out, `precision` keeps small steps, `lazy` skips what has not changed, `metrics` measures the distance on the way.
 *
 * Throws: `OptionError` for options out of range, a pattern that matches nothing, and combinations that make no sense.
 * Torch: `swa_utils.AveragedModel(model, multi_avg_fn=…)`, with `update_parameters`.
 * @example
 * const teacher = follow(student, ema({ halfLife: 1000 }))
 * const step = compile((x: Tensor<[32, 784]>, y: Tensor<[32], 'i32'>) => {
 *   const loss = crossEntropy(student.forward(x.trace()), y)
 *   optimizer.step(loss.backward())
 *   teacher.update()
 *   return loss
 * })
 * teacher.model.forward(images)
 */
export function follow<M extends object>(
  source: M,
  rule: UpdateRule,
  options: ShadowOptions<PathPattern<NoInfer<M>>> = {},
): Shadow<M> {
  requireSelection('follow', options)
  requireTiming('follow', options)
  requireSense(rule, options)
  const target = clone(source)
  freeze(target)
  markAverage(target)
  // The typed face of the class says what its model is.
  return new FollowingShadow(source, target, rule, options, options.precision ?? 'plain') as unknown as Shadow<M>
}

/** What does not go together. */
function requireSense(rule: UpdateRule, options: ShadowOptions): void {
  const { lazy, nonFinite = 'propagate', metrics } = options
  const refuse = (message: string): never => {
    throw new OptionError(`follow: ${message}.`, { op: 'follow' })
  }
  if (!lazy) return
  if (!rule.blend && rule.treatment !== 'copy') refuse(`${rule.name} cannot be put off; lazy is for ema and its family`)
  if (nonFinite !== 'propagate' && nonFinite !== 'skipElement')
    refuse(`lazy looks at tensors when it has to, too late for nonFinite: '${nonFinite}'; use 'skipElement'`)
  if (metrics) refuse('a lazy shadow does not see every update; leave metrics out')
}
