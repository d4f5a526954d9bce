import { measureDistances } from '../io/streaming/node-measure.js'
import type { ModelFiles } from '../io/streaming/node-model-files.js'
import { isFloatDType } from '../io/streaming/float-bytes.js'
import { copyOf, type Recipe, sequenceOf, sphericalOf, weightedSum } from '../io/streaming/recipes.js'
import { plural } from '../train/wording.js'
import { ema } from '../update/rules/ema.js'
import {
  gammaOf,
  type PowerSnapshot,
  postHocWeights,
  sigmaRelOf,
  snapshotMetadata,
  snapshotOf,
} from '../update/post-hoc.js'
import { isRunningStatistic } from '../update/running-statistics.js'
import { bytesProgress } from './bytes-progress.js'
import { combineFiles, type Method, shortName } from './combine-files.js'
import { type AverageFlags, rateOf } from './file-options.js'
import type { Host } from './host.js'
import { rateText } from './rate-text.js'
import { tableLines } from './table.js'
import { UsageError } from './usage-error.js'

/** `dfdt average`: one model from several of its structure, file by file. Returns the exit code. */
export async function average(paths: readonly string[], flags: AverageFlags, host: Host): Promise<number> {
  checkFlags(paths, flags)
  const integersFrom = { equal: undefined, first: 0, last: paths.length - 1 }[flags.integers]
  const method = async (models: readonly ModelFiles[], _: Host, signal: AbortSignal): Promise<Method> => {
    return { ...(await methodOf(models, flags, host, signal)), integersFrom }
  }
  return combineFiles({ op: 'average', paths, flags, inPlace: false, method }, host)
}

function checkFlags(paths: readonly string[], flags: AverageFlags): void {
  const given = plural(paths.length, 'file')
  const pairOnly = flags.alpha === undefined ? (flags.slerp === undefined ? undefined : '--slerp') : '--alpha'
  if (pairOnly && paths.length !== 2) throw new UsageError(`${pairOnly} is between two files, got ${given}`)
  for (const [name, list] of Object.entries({
    weights: flags.weights,
    'sigma-rels': flags.sigmaRels,
    steps: flags.steps,
  }))
    if (list && list.length !== paths.length)
      throw new UsageError(
        `--${name} needs one number for each file, got ${plural(list.length, 'number')} for ${given}`,
      )
  const sum = flags.weights?.reduce((a, b) => a + b, 0)
  if (sum === 0) throw new UsageError('--weights are divided by their sum, which is 0; give other weights')
  const extra = (['step', 'sigmaRels', 'steps'] as const).find((name) => flags[name] !== undefined)
  if (extra !== undefined && flags.sigmaRel === undefined)
    throw new UsageError('--step, --sigma-rels and --steps belong to --sigma-rel, the width of the average to make')
}

type Way = Omit<Method, 'integersFrom'>

async function methodOf(
  models: readonly ModelFiles[],
  flags: AverageFlags,
  host: Host,
  signal: AbortSignal,
): Promise<Way> {
  const { alpha, slerp, weights, sigmaRel } = flags
  const rate = rateOf(flags)
  const always = (recipe: Recipe) => () => recipe
  if (rate)
    return {
      title: `ema over ${plural(models.length, 'model')}, ${rateText(rate)}`,
      recipe: always(sequenceOf(ema(rate), models.length)),
    }
  if (alpha !== undefined)
    return { title: `${alpha} of the way from the first to the second model`, recipe: always(line(alpha)) }
  if (slerp !== undefined) return spherical(slerp, models, host, signal)
  if (sigmaRel !== undefined) return postHoc(sigmaRel, models, flags)
  if (weights !== undefined) return weighted(weights, models)
  return {
    title: `mean of ${plural(models.length, 'model')}`,
    recipe: always(weightedSum(models.map(() => 1 / models.length))),
  }
}

/** `(1 − share) · first + share · second`, exact at both ends and where the two are equal. */
const line = (share: number): Recipe => sequenceOf(ema({ tau: share }), 2)

function weighted(given: readonly number[], models: readonly ModelFiles[]): Way {
  const sum = given.reduce((a, b) => a + b, 0)
  const weights = given.map((weight) => weight / sum)
  const recipe = weightedSum(weights)
  const columns = [
    { head: 'model', align: 'left' },
    { head: 'weight', align: 'right' },
  ] as const
  const rows = models.map((model, i) => [shortName(model), (weights[i] ?? 0).toFixed(6)])
  return {
    title: `weighted mean of ${plural(models.length, 'model')}`,
    recipe: () => recipe,
    details: indented(tableLines(columns, rows)),
    facts: { weights },
  }
}

/** The angles are measured in a pass of their own. */
async function spherical(share: number, models: readonly ModelFiles[], host: Host, signal: AbortSignal): Promise<Way> {
  const title = `${share} of the way from the first to the second model, spherical`
  const [first, second] = models
  const straight = line(share)
  if (!first || !second || share === 0 || share === 1) return { title, recipe: () => straight }
  const pairs = [...first.tensors.values()].flatMap((tensor) => {
    const other = second.tensors.get(tensor.name)
    return other && isFloatDType(tensor.dtype) ? [{ name: tensor.name, first: tensor, second: other }] : []
  })
  const progress = bytesProgress(
    host,
    pairs.reduce((sum, pair) => sum + pair.first.byteLength + pair.second.byteLength, 0),
  )
  const distances = await measureDistances(first, second, pairs, { onRead: progress.add, signal }).finally(
    progress.clear,
  )
  const recipes = new Map(
    [...distances].map(([name, { dot, squares }]) => {
      const angle = { dot, norms: [Math.sqrt(squares.first), Math.sqrt(squares.second)] as const }
      return [name, sphericalOf(share, angle, straight)]
    }),
  )
  const lines = [...recipes.values()].filter((recipe) => recipe === straight).length
  const about = `${plural(recipes.size - lines, 'tensor')} along the arc, ${lines} along the line (nearly parallel, zero or empty)`
  return {
    title,
    recipe: (name) => recipes.get(name) ?? straight,
    details: [about],
    facts: { arcs: recipes.size - lines, lines },
  }
}

function postHoc(sigmaRel: number, models: readonly ModelFiles[], flags: AverageFlags): Way {
  const snapshots = models.map((model, i) => snapshotIn(model, flags, i))
  const target = { sigmaRel, step: flags.step ?? Math.max(...snapshots.map(({ step }) => step)) }
  const { weights, fitError, conditionNumber } = postHocWeights(snapshots, target)
  const recipe = weightedSum(weights)
  const steps = snapshots.map(({ step }) => step)
  const latest = copyOf(steps.lastIndexOf(Math.max(...steps)))
  const columns = [
    { head: 'model', align: 'left' },
    { head: 'sigma_rel', align: 'right' },
    { head: 'step', align: 'right' },
    { head: 'weight', align: 'right' },
  ] as const
  const rows = models.map((model, i) => {
    const { gamma = 0, sigmaRel: width = sigmaRelOf(gamma), step = 0 } = snapshots[i] ?? {}
    return [shortName(model), width.toFixed(4), String(step), (weights[i] ?? 0).toFixed(6)]
  })
  const fit = `fit error ${(100 * fitError).toFixed(2)} %, condition number ${conditionNumber.toPrecision(3)}`
  const poor = fitError > 0.1 ? ['the snapshots cannot give this average: keep some nearer to its width and step'] : []
  return {
    title: `post-hoc power EMA of ${plural(models.length, 'model')}, sigma_rel ${sigmaRel} at step ${target.step}`,
    recipe: (name) => (isRunningStatistic(name) ? latest : recipe),
    details: [...indented(tableLines(columns, rows)), fit, ...poor],
    facts: { weights, fitError, conditionNumber, sigmaRel, step: target.step },
    metadata: snapshotMetadata(target),
  }
}

/** What the flags say of a snapshot goes before what its file says. */
function snapshotIn(model: ModelFiles, flags: AverageFlags, i: number): PowerSnapshot {
  const found = snapshotOf(model.metadata)
  const step = flags.steps?.[i] ?? found.step
  const sigmaRel = flags.sigmaRels?.[i] ?? found.sigmaRel
  const gamma = sigmaRel === undefined ? found.gamma : gammaOf(sigmaRel)
  if (step === undefined)
    throw new UsageError(
      `${model.path} does not say its step (power_ema_step in its metadata); give --steps, one for each file`,
    )
  if (gamma === undefined)
    throw new UsageError(
      `${model.path} does not say its width (power_ema_sigma_rel in its metadata); give --sigma-rels, one for each file`,
    )
  return sigmaRel === undefined ? { gamma, step } : { sigmaRel, step }
}

const indented = (lines: readonly string[]): string[] => lines.map((text) => `  ${text}`)
