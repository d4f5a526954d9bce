import { isFloat } from '../shapes/dtype.js'
import { ShapeError } from '../shapes/errors.js'
import { type ModelTensor, tensorsOf } from './walk.js'

/** The same place in two models. */
export interface TensorPair {
  readonly path: string
  readonly target: ModelTensor
  readonly source: ModelTensor
}

const show = ({ tensor }: ModelTensor) => `[${tensor.shape.join(', ')}] ${tensor.dtype}`

/**
 * Walks two models together, tied tensors once. Everything that differs is listed in one error before
 * anything is written: missing and extra tensors, shapes, dtypes, devices, ties, shared memory. Under `any float`,
 * floats may differ in precision.
 *
 * Throws: `ShapeError` listing every difference.
 */
export function zipModels(
  op: string,
  target: object,
  source: object,
  dtypes: 'same' | 'any float' = 'same',
): TensorPair[] {
  const targets = tensorsOf(target)
  const sources = new Map(tensorsOf(source).map((entry) => [entry.path, entry]))
  const owners = new Map([...sources.values()].map((entry) => [entry.tensor.storage, entry]))
  const problems: string[] = []
  const pairs: TensorPair[] = []
  for (const entry of targets) {
    const other = sources.get(entry.path)
    sources.delete(entry.path)
    if (!other) {
      problems.push(`source has no ${entry.role} "${entry.path}" ${show(entry)}`)
      continue
    }
    const owner = owners.get(entry.tensor.storage)
    const problem = difference(entry, other, dtypes) ?? (owner && elsewhere(owner))
    if (problem) problems.push(`${entry.role} "${entry.path}" ${problem}`)
    else if (entry.tiedTo === undefined) pairs.push({ path: entry.path, target: entry, source: other })
  }
  for (const extra of sources.values()) problems.push(`source has extra ${extra.role} "${extra.path}" ${show(extra)}`)
  if (problems.length === 0) return pairs
  const count = problems.length === 1 ? 'one difference' : `${problems.length} differences`
  throw new ShapeError(
    `${op}: target and source must have the same structure; ${count}, nothing was written:\n  ${problems.join('\n  ')}`,
    { op },
  )
}

const elsewhere = ({ path }: ModelTensor) =>
  `of target is the memory of "${path}" in source; make the target with clone(source)`

function difference(target: ModelTensor, source: ModelTensor, dtypes: 'same' | 'any float'): string | undefined {
  const [t, s] = [target.tensor, source.tensor]
  if (target.role !== source.role) return `is a ${target.role} in target but a ${source.role} in source`
  const alike = dtypes === 'any float' && isFloat(t.dtype) && isFloat(s.dtype) && t.shape.join() === s.shape.join()
  if (!alike && show(target) !== show(source)) return `is ${show(target)} in target but ${show(source)} in source`
  if (t.device !== s.device) return `is on ${t.device.name} in target but on ${s.device.name} in source`
  if (t.storage === s.storage) return 'is the same memory in target and source; make the target with clone(source)'
  const [a, b] = [target.tiedTo ?? 'untied', source.tiedTo ?? 'untied']
  return a === b ? undefined : `is tied differently: to ${a} in target, to ${b} in source`
}
