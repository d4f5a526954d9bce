import { ShapeError } from '../../shapes/errors.js'
import { isFloatDType } from './float-bytes.js'
import type { FileTensor, ModelLayout } from './model-layout.js'

const mostListed = 40

/**
 * Refuses models that cannot be combined, before anything is written.
 *
 * Throws: `ShapeError` listing every tensor that one of them lacks or has too many, that has another shape, or whose
 * elements cannot be averaged with those of the first.
 */
export function requireSameStructure(op: string, models: readonly ModelLayout[]): void {
  const [first, ...others] = models
  if (!first) return
  const problems = [
    ...[...first.tensors.values()].flatMap((tensor) => unusable(tensor)),
    ...others.flatMap((other) => differences(first, other)),
  ]
  if (problems.length === 0) return
  const more = problems.length > mostListed ? [`and ${problems.length - mostListed} more differences`] : []
  const list = [...problems.slice(0, mostListed), ...more].map((problem) => `\n  ${problem}`).join('')
  const message = `${op}: the files do not hold the same model; nothing was written:${list}`
  throw new ShapeError(message, { op, path: first.path })
}

/** `F32 [2, 3]`, for messages. */
export const described = ({ dtype, shape }: Pick<FileTensor, 'dtype' | 'shape'>): string =>
  `${dtype} [${shape.join(', ')}]`

function unusable(tensor: FileTensor): string[] {
  if (!/^[FC]\d/.test(tensor.dtype) || isFloatDType(tensor.dtype)) return []
  return [`"${tensor.name}" is ${tensor.dtype}, which cannot be averaged; convert it to BF16, F16, F32 or F64 first`]
}

function differences(first: ModelLayout, other: ModelLayout): string[] {
  const missing: string[] = []
  const changed: string[] = []
  for (const [name, tensor] of first.tensors) {
    const found = other.tensors.get(name)
    if (!found) missing.push(`${other.path} has no "${name}" (${described(tensor)})`)
    else if (found.shape.join() !== tensor.shape.join() || !alike(tensor, found))
      changed.push(`"${name}" is ${described(tensor)} in ${first.path} but ${described(found)} in ${other.path}`)
  }
  const extra = [...other.tensors.values()]
    .filter(({ name }) => !first.tensors.has(name))
    .map((tensor) => `${other.path} has "${tensor.name}" (${described(tensor)}), which ${first.path} has not`)
  return [...missing, ...extra, ...changed]
}

/** Floats meet floats of any width; what is only copied must have one type. */
const alike = (a: FileTensor, b: FileTensor): boolean =>
  a.dtype === b.dtype || (isFloatDType(a.dtype) && isFloatDType(b.dtype))
