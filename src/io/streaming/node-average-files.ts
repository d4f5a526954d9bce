import { OptionError } from '../../shapes/errors.js'
import { ema } from '../../update/rules/ema.js'
import { type ConstantRate, rateOf } from '../../update/rate.js'
import { gammaOf, type PowerSnapshot, postHocWeights, snapshotMetadata, snapshotOf } from '../../update/post-hoc.js'
import { requireReached } from '../../update/post-hoc-ema.js'
import { isRunningStatistic, meanOf } from '../../update/running-statistics.js'
import { requireOneOf } from '../../update/options.js'
import { hostDType } from '../raw-tensor.js'
import { plural } from '../wording.js'
import { isFloatDType } from './float-bytes.js'
import {
  combineFiles,
  requireFilesOptions,
  requirePaths,
  type WriteFilesOptions,
  type WrittenFiles,
} from './node-combine-files.js'
import { measureDistances } from './node-measure.js'
import type { ModelFiles } from './node-model-files.js'
import { copyOf, pooledVariance, type Recipe, sequenceOf, sphericalOf, weightedSum } from './recipes.js'

/** Saved models of one structure: `.safetensors` files, indices of sharded models, or directories that hold one of these. */
export interface AverageFilesOperands {
  readonly sources: readonly string[]
  /** The `.safetensors` file to write, or a directory for files named as the first model's are. */
  readonly output: string
}

interface Ways {
  /** One for each file; only their ratios count, and they may be negative. */
  readonly weights: readonly number[]
  /** `(1 − alpha)·first + alpha·second`, of two files: WiSE-FT. */
  readonly alpha: number
  /** The same along the arc between two files, tensor by tensor. */
  readonly slerp: number
  /** An exponential average over the files in their order: `decay` is kept at each. */
  readonly decay: number
  /** The same by what each file adds. */
  readonly tau: number
  /** The same by the files after which half is left. */
  readonly halfLife: number
  /** The same by the files after which 1/e is left. */
  readonly timeConstant: number
  /** The power-function average of this width, from snapshots of others: see `postHocEma`. */
  readonly sigmaRel: number
}

/** How files are averaged: by one of these ways, or evenly. */
export type AverageWay =
  | { [N in keyof Ways]: Pick<Ways, N> & { readonly [K in Exclude<keyof Ways, N>]?: never } }[keyof Ways]
  | { readonly [K in keyof Ways]?: never }

/** How files are averaged. */
export type AverageFilesOptions = AverageWay &
  WriteFilesOptions & {
    /** Whose integers and bools the result takes; `equal`, the default, refuses files that differ in them. */
    readonly integers?: 'equal' | 'first' | 'last'
    /** With `sigmaRel`: when the average ends. Default: with the latest snapshot. */
    readonly step?: number
    /** With `sigmaRel`: the widths of the files, where their metadata do not say: see `snapshotMetadata`. */
    readonly sigmaRels?: readonly number[]
    /** With `sigmaRel`: the steps of the files, where their metadata do not say. */
    readonly steps?: readonly number[]
    /** With `sigmaRel`: the fit error from which on the snapshots do not give the average. Default 0.25. */
    readonly mostFitError?: number
  }

/** What was written, and of what. */
export interface AveragedFiles extends WrittenFiles {
  /** The share of each file, where shares are what the way has. */
  readonly weights?: readonly number[]
  /** Of a power-function average: what the files are, and how well they give it. */
  readonly postHoc?: {
    readonly sigmaRel: number
    readonly step: number
    readonly snapshots: readonly PowerSnapshot[]
    readonly fitError: number
    readonly conditionNumber: number
  }
  /** Of a spherical one: tensors along the arc, and along the line, because they are nearly parallel, zero or empty. */
  readonly spherical?: { readonly arcs: number; readonly lines: number }
}

type Facts = Pick<AveragedFiles, 'weights' | 'postHoc' | 'spherical'>

const op = 'averageFiles'
const ways = ['weights', 'alpha', 'slerp', 'decay', 'tau', 'halfLife', 'timeConstant', 'sigmaRel'] as const
const withSigmaRel = ['step', 'sigmaRels', 'steps', 'mostFitError'] as const

/**
 * One saved model from several of one structure, file by file: a mean, even or weighted, a point between two, an
 * exponential average over a sequence, or a power-function average of any width. Models are not loaded: files are read
 * once, a piece at a time, so that memory stays the same however large they are, and the floats are those of `average`,
 * `ema` and `postHocEma` on loaded models, bit for bit: running variances are pooled where models are averaged. Integers
 * and bools are copied; metadata are the first file's. The result appears whole or not at all.
 *
 * Throws: `OptionError` for options that do not fit, integers that differ, and files that exist, without `force`;
 * `ShapeError` listing every difference between the models; `FormatError` naming a file that is missing or damaged, or
 * cannot be written. Nothing is left behind then.
 * Torch: none; scripts over `safetensors.torch.load_file`, which hold all models in memory.
 * @example await averageFiles({ sources: ['a.safetensors', 'b.safetensors'], output: 'mean.safetensors' })
 * @example await averageFiles({ sources: [base, tuned], output }, { alpha: 0.3, dtype: 'bf16', force: true })
 */
export async function averageFiles(
  { sources, output }: AverageFilesOperands,
  options: AverageFilesOptions = {},
): Promise<AveragedFiles> {
  requireFilesOptions(op, options, [...ways, ...withSigmaRel, 'integers'])
  requireFit(sources, options)
  requirePaths(op, { ...Object.fromEntries(sources.map((path, i) => [`source ${i + 1}`, path])), output })
  const integersFrom = { equal: undefined, first: 0, last: sources.length - 1 }[options.integers ?? 'equal']
  let facts: Facts = {}
  const written = await combineFiles({
    ...{ op, paths: sources, output, options, inPlace: false },
    method: async (models) => {
      const way = await wayOf(models, options)
      facts = way.facts ?? {}
      return { ...way, integersFrom }
    },
  })
  return { ...written, ...facts }
}

/** Throws: `OptionError` for options that do not go together, or not with so many files. */
function requireFit(sources: readonly string[], options: AverageFilesOptions): void {
  const refuse = (message: string): never => {
    throw new OptionError(`${op}: ${message}.`, { op })
  }
  if (!Array.isArray(sources) || sources.length === 0) refuse('needs at least one file')
  requireOneOf(op, '{ integers }', options.integers, ['equal', 'first', 'last'])
  const given = ways.filter((way) => options[way] !== undefined)
  if (given.length > 1) refuse(`give one of ${given.map((way) => `{ ${way} }`).join(' and ')}`)
  const files = plural(sources.length, 'file')
  for (const name of ['alpha', 'slerp'] as const) {
    const share = options[name]
    if (share === undefined) continue
    if (!(share >= 0 && share <= 1)) refuse(`{ ${name} } is a share from 0 to 1, got ${share}`)
    if (sources.length !== 2) refuse(`{ ${name} } is between two files, got ${files}`)
  }
  for (const name of ['weights', 'sigmaRels', 'steps'] as const) {
    const list = options[name]
    if (list === undefined) continue
    if (!Array.isArray(list) || !list.every(Number.isFinite)) refuse(`{ ${name} } are numbers, got ${String(list)}`)
    if (list.length !== sources.length)
      refuse(`{ ${name} } needs one number for each file, got ${plural(list.length, 'number')} for ${files}`)
  }
  if (options.weights?.reduce((a, b) => a + b, 0) === 0)
    refuse('{ weights } are divided by their sum, which is 0; give other weights')
  const extra = withSigmaRel.find((name) => options[name] !== undefined)
  if (extra !== undefined && options.sigmaRel === undefined)
    refuse('{ step }, { sigmaRels } and { steps } belong to { sigmaRel }, the width of the average to make')
}

interface Way {
  readonly title: string
  readonly recipe: (name: string) => Recipe
  readonly metadata?: Readonly<Record<string, string>>
  readonly facts?: Facts
}

async function wayOf(models: readonly ModelFiles[], options: AverageFilesOptions): Promise<Way> {
  const { alpha, slerp, weights, sigmaRel, decay, tau, halfLife, timeConstant } = options
  const always = (title: string, recipe: Recipe): Way => ({ title, recipe: () => recipe })
  const rates = Object.entries({ decay, tau, halfLife, timeConstant }).filter(([, value]) => value !== undefined)
  if (rates.length > 0) {
    const rate = Object.fromEntries(rates) as unknown as ConstantRate
    const title = `ema over ${plural(models.length, 'model')}, ${rateOf(op, rate).text}`
    return always(title, sequenceOf(ema(rate), models.length))
  }
  if (alpha !== undefined) return always(`${alpha} of the way from the first to the second model`, line(alpha))
  if (slerp !== undefined) return spherical(slerp, models, options)
  if (sigmaRel !== undefined) return postHoc(sigmaRel, models, options)
  if (weights !== undefined) {
    const sum = weights.reduce((a, b) => a + b, 0)
    const shares = weights.map((weight) => weight / sum)
    const title = `weighted mean of ${plural(models.length, 'model')}`
    return { title, recipe: meanRecipe(models, shares, options), facts: { weights: shares } }
  }
  const even = models.map(() => 1 / models.length)
  return { title: `mean of ${plural(models.length, 'model')}`, recipe: meanRecipe(models, even, options) }
}

/** Variances beside means are pooled, where no share is negative: what is extrapolated is no mean of data. */
function meanRecipe(
  models: readonly ModelFiles[],
  shares: readonly number[],
  options: AverageFilesOptions,
): Way['recipe'] {
  const plain = weightedSum(shares)
  if (shares.some((share) => share < 0)) return () => plain
  const tensors = models[0]?.tensors
  return (variance) => {
    const mean = meanOf(variance)
    const [own, beside] = [tensors?.get(variance), tensors?.get(mean ?? '')]
    if (mean === undefined || !beside || !isFloatDType(beside.dtype) || own?.shape.join() !== beside.shape.join())
      return plain
    return pooledVariance(shares, { variance, mean, stored: options.dtype ?? hostDType(beside.dtype) ?? 'f32' })
  }
}

/** `(1 − share) · first + share · second`, exact at both ends and where the two are equal. */
const line = (share: number): Recipe => sequenceOf(ema({ tau: share }), 2)

/** The angles are measured in a pass of their own. */
async function spherical(
  share: number,
  models: readonly ModelFiles[],
  { onProgress, signal }: WriteFilesOptions,
): Promise<Way> {
  const title = `${share} of the way from the first to the second model, spherical`
  const [first, second] = models
  const straight = line(share)
  if (!first || !second || share === 0 || share === 1) return { title, recipe: () => straight }
  const pairs = [...first.tensors.values()].flatMap((tensor) => {
    const other = second.tensors.get(tensor.name)
    return other && isFloatDType(tensor.dtype) ? [{ name: tensor.name, first: tensor, second: other }] : []
  })
  const distances = await measureDistances(first, second, pairs, { onProgress, signal })
  const recipes = new Map(
    [...distances].map(([name, { dot, squares }]) => {
      const angle = { dot, norms: [Math.sqrt(squares.first), Math.sqrt(squares.second)] as const }
      return [name, sphericalOf(share, angle, straight)]
    }),
  )
  const lines = [...recipes.values()].filter((recipe) => recipe === straight).length
  return {
    title,
    recipe: (name) => recipes.get(name) ?? straight,
    facts: { spherical: { arcs: recipes.size - lines, lines } },
  }
}

function postHoc(sigmaRel: number, models: readonly ModelFiles[], options: AverageFilesOptions): Way {
  const snapshots = models.map((model, i) => snapshotIn(model, options, i))
  const steps = snapshots.map(({ step }) => step)
  const last = Math.max(...steps)
  const target = { sigmaRel, step: options.step ?? last }
  const { weights, fitError, conditionNumber } = postHocWeights(snapshots, target)
  requireReached(op, target, fitError, options.mostFitError)
  const recipe = weightedSum(weights)
  const latest = copyOf(steps.lastIndexOf(last))
  return {
    title: `post-hoc power EMA of ${plural(models.length, 'model')}, sigma_rel ${sigmaRel} at step ${target.step}`,
    recipe: (name) => (isRunningStatistic(name) ? latest : recipe),
    facts: { weights, postHoc: { ...target, snapshots, fitError, conditionNumber } },
    metadata: snapshotMetadata(target),
  }
}

/** What the options say of a snapshot goes before what its file says. */
function snapshotIn(model: ModelFiles, { steps, sigmaRels }: AverageFilesOptions, i: number): PowerSnapshot {
  const found = snapshotOf(model.metadata)
  const step = steps?.[i] ?? found.step
  const sigmaRel = sigmaRels?.[i] ?? found.sigmaRel
  const gamma = sigmaRel === undefined ? found.gamma : gammaOf(sigmaRel)
  const refuse = (what: string, name: string): OptionError =>
    new OptionError(
      `${op}: ${model.path} does not say its ${what} in its metadata; give { ${name} }, one for each file.`,
      { op },
    )
  if (step === undefined) throw refuse('step (power_ema_step)', 'steps')
  if (gamma === undefined) throw refuse('width (power_ema_sigma_rel)', 'sigmaRels')
  return sigmaRel === undefined ? { gamma, step } : { sigmaRel, step }
}
