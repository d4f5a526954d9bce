import { dirname } from 'node:path'
import { type ConstantRate, rateOf, weightsOf } from '../../update/rate.js'
import { ema } from '../../update/rules/ema.js'
import {
  combineFiles,
  requireFilesOptions,
  requirePaths,
  type WriteFilesOptions,
  type WrittenFiles,
} from './node-combine-files.js'
import { sequenceOf } from './recipes.js'
import { indexSuffix } from './shard-index.js'

/** Two saved models of one structure, each a file, the index of a sharded model, or a directory that holds one of these. */
export interface EmaFilesOperands {
  /** The average so far. */
  readonly target: string
  /** The model that it learns from. */
  readonly source: string
  /** The `.safetensors` file to write, or a directory. Default: the target, in place. */
  readonly output?: string
}

/** A sharded model is written into the directory of its index. */
const placeOf = (target: string): string => (String(target).endsWith(indexSuffix) ? dirname(target) : target)

const op = 'emaFiles'
const rates = ['decay', 'tau', 'halfLife', 'timeConstant'] as const

/**
 * One step of an exponential moving average from file to file, `decay·target + (1 − decay)·source`: the floats are those
 * of `update(…, ema(…))` on loaded models, bit for bit, buffers included; integers and bools are the source's. Models are
 * not loaded, and the result appears whole or not at all, so it may take the target's place.
 *
 * Throws: `OptionError` for a rate out of range, and another file that exists, without `force`; `ShapeError` listing every
 * difference between the models; `FormatError` naming a file that is missing or damaged, or cannot be written. Nothing is
 * left behind then.
 * Torch: none; `AveragedModel` holds both models in memory.
 * @example await emaFiles({ target: 'average.safetensors', source: 'step-9000.safetensors' }, { decay: 0.99 })
 */
export async function emaFiles(
  { target, source, output = placeOf(target) }: EmaFilesOperands,
  options: ConstantRate & WriteFilesOptions,
): Promise<WrittenFiles> {
  requireFilesOptions(op, options, rates)
  requirePaths(op, { target, source, output })
  const given = Object.entries(options).filter(([name]) => rates.some((rate) => rate === name))
  const rate = Object.fromEntries(given) as unknown as ConstantRate
  const small = weightsOf(op, rate).tau < 0.1
  const recipe = sequenceOf(ema(rate), 2)
  const method = () => ({ title: `ema, ${rateOf(op, rate).text}`, recipe: () => recipe, integersFrom: 1, small })
  return combineFiles({ op, paths: [target, source], output, options, inPlace: true, method })
}
