import { clone } from '../model/clone.js'
import { zipAll } from '../model/compare.js'
import { isFloat } from '../shapes/dtype.js'
import { OptionError } from '../shapes/errors.js'
import { requireOptions } from './options.js'
import { type PowerProfile, type PowerSnapshot, postHocWeights } from './post-hoc.js'
import { isRunningStatistic } from './running-statistics.js'
import { weightedSum } from './weighted-sum.js'

/**
 * A copy of a power-function average, with its profile and the time of its last update, in units since following began.
 * `shadow.snapshot()` makes one.
 */
export type ModelSnapshot<M> = PowerSnapshot & { readonly model: M }

/** The average to put together. */
export type PostHocTarget = PowerProfile & {
  /** When it ends. Default: with the latest snapshot. */
  readonly step?: number
  /** The fit error from which on the snapshots do not give the average: see `PostHoc`. Default 0.25. */
  readonly mostFitError?: number
}

const op = 'postHocEma'
const names = ['sigmaRel', 'gamma', 'step', 'mostFitError'] satisfies (keyof PostHocTarget)[]

/**
 * The power-function average of any width, after the training, from snapshots of others: a new model
 * `Σ wᵢ·snapshotᵢ` with the weights of `postHocWeights`, of which some may be negative. Floats are summed in f32, those of
 * f64 in f64; running statistics and integers are those of the latest snapshot. The same weights give the
 * same bits on files, by `dfdt average --sigma-rel`.
 *
 * Throws: `OptionError` without snapshots, for one model given as two snapshots, and when the snapshots do not give that
 * average: none is kept near its width or step. `ShapeError` listing where models differ.
 * Torch: ema_pytorch's `PostHocEMA(…).synthesize_ema_model(sigma_rel=…)`, which reads checkpoints; EDM2's
 * `reconstruct_phema.py`.
 * Paper: Karras et al., "Analyzing and improving the training dynamics of diffusion models", 2024, section 3.
 * @example
 * for (const shadow of shadows) if (shadow.steps % 1000 === 0) snapshots.push(shadow.snapshot())
 * const model = postHocEma(snapshots, { sigmaRel: 0.15 })
 */
export function postHocEma<M extends object>(snapshots: readonly ModelSnapshot<M>[], target: PostHocTarget): M {
  requireOptions(op, target, names)
  const latest = latestOf(snapshots)
  const { step = latest.step, mostFitError, ...profile } = target
  const { weights, fitError } = postHocWeights(snapshots, { ...profile, step })
  requireReached(op, { ...profile, step }, fitError, mostFitError)
  const used = snapshots.flatMap(({ model }, i) =>
    (weights[i] ?? 0) === 0 ? [] : [{ model, weight: weights[i] ?? 0, i }],
  )
  const result = clone(latest.model)
  const named = (i: number) => ({ names: ['the latest snapshot', `snapshot ${(used[i]?.i ?? 0) + 1}`] }) as const
  const models = used.map(({ model }) => model)
  const entries = zipAll(op, result, models, named).flatMap(([to, ...from]) => {
    if (!to || !isFloat(to.tensor.dtype) || isRunningStatistic(to.path)) return []
    return [{ target: to.tensor, sources: from.map(({ tensor }) => tensor) }]
  })
  const shares = used.map(({ weight }) => weight)
  weightedSum(entries, shares)
  return result
}

function latestOf<M extends object>(snapshots: readonly ModelSnapshot<M>[]): ModelSnapshot<M> {
  const [first, ...rest] = snapshots
  if (!first) throw refused('needs at least one snapshot, { sigmaRel, step, model }')
  const seen = new Map<M, number>()
  for (const [i, { model }] of snapshots.entries()) {
    const other = seen.get(model)
    if (other !== undefined)
      throw refused(`snapshots ${other + 1} and ${i + 1} are the same model; keep copies, shadow.snapshot()`)
    seen.set(model, i)
  }
  return rest.reduce((latest, one) => (one.step >= latest.step ? one : latest), first)
}

/** Throws: `OptionError` when snapshots do not give an average: none is kept near its width or step. */
export function requireReached(op: string, target: PowerSnapshot, error: number, most = 0.25): void {
  // A NaN is not above anything.
  if (error <= most) return
  const { sigmaRel, gamma, step } = target
  const wanted = `${sigmaRel === undefined ? `gamma ${gamma}` : `sigmaRel ${sigmaRel}`} at step ${step}`
  const remedy = 'keep snapshots nearer to its width and step, or allow more by { mostFitError }'
  const problem = `the snapshots do not give ${wanted}: the fit error is ${percent(error)}, over ${percent(most)}`
  throw new OptionError(`${op}: ${problem}; ${remedy}.`, { op })
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

const refused = (problem: string): OptionError => new OptionError(`${op}: ${problem}.`, { op })
