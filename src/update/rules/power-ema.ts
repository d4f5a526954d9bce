import { blendRule, stateful, type StatefulRule } from '../define.js'
import { gammaOf, type PowerProfile } from '../post-hoc.js'
import { powerWeights } from '../rate.js'
import { OptionError } from '../../shapes/errors.js'

/**
 * Power-function average: the weights of the past grow as `t^γ`, by `target ← β·target + (1 − β)·source` with
 * `β = (1 − Δ/t)^(γ + 1)`, t the units of training so far and Δ those since the last update. Its width stays the same
 * share of the run, however long that gets, and two of them, kept now and then, give every other width afterwards:
 * `postHocEma`, or `dfdt average --sigma-rel` on files.
 *
 * Intervals count, so that updating at each hundredth step averages as at each step does.
 *
 * Throws: `OptionError` unless exactly one of `sigmaRel` (0.05 … 0.2 are common) and `gamma` (from 0) is given, in range.
 * Torch: EDM2's `training/phema.py`; `ema_pytorch.KarrasEMA` leaves the interval out, which is another average.
 * Paper: Karras et al., "Analyzing and improving the training dynamics of diffusion models", 2024, section 3.
 * @example const shadows = [0.05, 0.1].map((sigmaRel) => follow(model, powerEma({ sigmaRel })))
 */
export function powerEma(profile: PowerProfile): StatefulRule {
  const { sigmaRel, gamma: given } = profile
  if ((sigmaRel === undefined) === (given === undefined))
    throw new OptionError('powerEma: give exactly one of { sigmaRel } and { gamma }.', { op: 'powerEma' })
  if (given !== undefined && !(given >= 0 && Number.isFinite(given)))
    throw new OptionError(`powerEma: gamma is a number from 0, got ${given}.`, { op: 'powerEma' })
  const gamma = given ?? gammaOf(sigmaRel ?? 0)
  return blendRule(stateful, 'powerEma', `powerEma gamma ${gamma}`, (at) => powerWeights(gamma, at), gamma)
}
