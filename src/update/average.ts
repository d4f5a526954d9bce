import { copyInto } from '../model/foreach.js'
import { zipAll } from '../model/compare.js'
import type { SameTree, SrcArg } from '../model/paths.js'
import { isFloat } from '../shapes/dtype.js'
import { OptionError } from '../shapes/errors.js'
import { meanOf } from './running-statistics.js'
import { type WeightedEntry, weightedSum } from './weighted-sum.js'

/** Models of one structure. */
export interface AverageOperands<A, B> {
  /** The model that becomes the mean. */
  readonly target: A
  readonly sources: readonly SrcArg<SameTree<A, B>, B>[]
}

/** How models are averaged. */
export interface AverageOptions {
  /** One for each source, not negative; only their ratios count. Default: all the same. */
  readonly weights?: readonly number[]
}

/**
 * The weighted mean of several models, in place: `target ← Σ wᵢ·sourceᵢ / Σ wᵢ`, parameters and float buffers. A running
 * variance becomes that of all the data together, `Σ wᵢ·(varᵢ + (meanᵢ − mean)²)`: within and between the models.
 * Integers, such as counters, are those of the first source. Equal models stay equal bit for bit, and a source of weight 0
 * is not read. Federated averaging, soups, local SGD.
 *
 * Throws: `ShapeError` listing every difference between the models, `OptionError` for weights that do not fit; nothing is
 * written then.
 * Torch: a loop over `state_dict`s; none pools the variances.
 * Paper: McMahan et al., "Communication-efficient learning of deep networks from decentralized data", 2017, algorithm 1.
 * @example average({ target: server, sources: workers }, { weights: workers.map(({ images }) => images) })
 */
export function average<A extends object, B extends object>(
  { target, sources }: AverageOperands<A, B>,
  { weights = sources.map(() => 1) }: AverageOptions = {},
): void {
  const shares = sharesOf(weights, sources.length)
  const used = shares.flatMap((share, i) => (share > 0 ? [{ share, i }] : []))
  const variances: NamedEntry[] = []
  const means = new Map<string, NamedEntry>()
  const floats: NamedEntry[] = []
  const named = (i: number) => ({ names: ['target', sources.length === 1 ? 'source' : `source ${i + 1}`] }) as const
  for (const [to, ...all] of zipAll('average', target, sources as readonly object[], named)) {
    const [source] = all
    if (!to || !source) continue
    const { path, role, tensor } = to
    const entry = { path, target: tensor, sources: used.flatMap(({ i }) => all[i]?.tensor ?? []) }
    if (!isFloat(tensor.dtype)) copyInto(tensor, source.tensor)
    else if (role === 'buffer' && meanOf(path)) variances.push(entry)
    else {
      floats.push(entry)
      means.set(path, entry)
    }
  }
  const list = used.map(({ share }) => share)
  weightedSum(floats, list)
  weightedSum(
    variances.map((entry) => ({ ...entry, around: means.get(meanOf(entry.path) ?? '') })),
    list,
  )
}

interface NamedEntry extends WeightedEntry {
  readonly path: string
}

function sharesOf(weights: readonly number[], count: number): number[] {
  const refuse = (message: string): never => {
    throw new OptionError(`average: ${message}.`, { op: 'average' })
  }
  if (count === 0) refuse('needs at least one source')
  if (weights.length !== count) refuse(`needs one weight for each source, got ${weights.length} for ${count}`)
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  if (!weights.every((weight) => weight >= 0) || !(total > 0 && Number.isFinite(total)))
    refuse(
      `weights are numbers from 0 of which one is above, got ${weights.join(', ')}; postHocEma sums with negative ones`,
    )
  return weights.map((weight) => weight / total)
}
