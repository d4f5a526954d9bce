import { isFloat } from '../shapes/dtype.js'
import { ShapeError } from '../shapes/errors.js'
import { type ModelTensor, tensorsOf, untied } from './walk.js'

/** The same place in two models. */
export interface TensorPair {
  readonly path: string
  readonly target: ModelTensor
  readonly source: ModelTensor
}

const show = ({ tensor }: ModelTensor) => `[${tensor.shape.join(', ')}] ${tensor.dtype}`

/** What two models may differ in, and what they are called. */
interface Comparison {
  /** Under `any float`, floats may differ in precision. */
  readonly dtypes?: 'same' | 'any float'
  /** Whether tensors of both may be the same memory: where nothing is written. Default `refused`. */
  readonly memory?: 'refused' | 'shared'
  readonly names?: readonly [target: string, source: string]
}

/**
 * Walks two models together, tied tensors once. Everything that differs is listed in one error before
 * anything is written: missing and extra tensors, shapes, dtypes, devices, ties, shared memory.
 *
 * Throws: `ShapeError` listing every difference.
 */
export function zipModels(op: string, target: object, source: object, comparison: Comparison = {}): TensorPair[] {
  const { memory = 'refused', names: [here, there] = ['target', 'source'] } = comparison
  const targets = tensorsOf(target)
  const sources = new Map(tensorsOf(source).map((entry) => [entry.path, entry]))
  const owners = new Map([...sources.values()].map((entry) => [entry.tensor.storage, entry]))
  const problems: string[] = []
  const pairs: TensorPair[] = []
  const sharing = (entry: ModelTensor, other: ModelTensor): string | undefined => {
    const owner = owners.get(entry.tensor.storage)
    if (memory === 'shared' || !owner) return undefined
    const where =
      owner === other
        ? `is the same memory in ${here} and ${there}`
        : `of ${here} is the memory of "${owner.path}" in ${there}`
    return `${where}; make the ${here} with clone(${there})`
  }
  for (const entry of targets) {
    const other = sources.get(entry.path)
    sources.delete(entry.path)
    if (!other) {
      problems.push(`${there} has no ${entry.role} "${entry.path}" ${show(entry)}`)
      continue
    }
    const problem = difference(entry, other, comparison) ?? sharing(entry, other)
    if (problem) problems.push(`${entry.role} "${entry.path}" ${problem}`)
    else if (entry.tiedTo === undefined) pairs.push({ path: entry.path, target: entry, source: other })
  }
  for (const extra of sources.values()) problems.push(`${there} has extra ${extra.role} "${extra.path}" ${show(extra)}`)
  if (problems.length === 0) return pairs
  const count = problems.length === 1 ? 'one difference' : `${problems.length} differences`
  const written = memory === 'shared' ? '' : ', nothing was written'
  throw new ShapeError(
    `${op}: ${here} and ${there} must have the same structure; ${count}${written}:\n  ${problems.join('\n  ')}`,
    { op },
  )
}

function difference(
  target: ModelTensor,
  source: ModelTensor,
  { dtypes = 'same', names: [here, there] = ['target', 'source'] }: Comparison,
): string | undefined {
  const [t, s] = [target.tensor, source.tensor]
  if (target.role !== source.role) return `is a ${target.role} in ${here} but a ${source.role} in ${there}`
  const alike = dtypes === 'any float' && isFloat(t.dtype) && isFloat(s.dtype) && t.shape.join() === s.shape.join()
  if (!alike && show(target) !== show(source)) return `is ${show(target)} in ${here} but ${show(source)} in ${there}`
  if (t.device !== s.device) return `is on ${t.device.name} in ${here} but on ${s.device.name} in ${there}`
  const [a, b] = [target.tiedTo ?? 'untied', source.tiedTo ?? 'untied']
  return a === b ? undefined : `is tied differently: to ${a} in ${here}, to ${b} in ${there}`
}

/**
 * Walks any number of models together: for each path of the first, tied tensors once, what all of them have there.
 *
 * Throws: `ShapeError`, as `zipModels`, of the first model that differs.
 */
export function zipAll(
  op: string,
  first: object,
  others: readonly object[],
  comparison: (i: number) => Comparison,
): ModelTensor[][] {
  const pairs = others.map((other, i) => zipModels(op, first, other, comparison(i)))
  return untied(tensorsOf(first)).map((entry, i) => [entry, ...pairs.flatMap((pair) => pair[i]?.source ?? [])])
}
