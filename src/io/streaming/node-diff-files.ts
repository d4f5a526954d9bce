import type { FileDType } from '../raw-tensor.js'
import { cosineOf, type Distance, joinDistance, noDistance, relativeDistance } from './distance.js'
import { isFloatDType } from './float-bytes.js'
import type { FileTensor } from './model-layout.js'
import { type ComparedTensor, measureDistances } from './node-measure.js'
import type { ReadFilesOptions } from './files-progress.js'
import { ModelFiles } from './node-model-files.js'
import { requireOptions } from '../../update/options.js'
import { requirePaths } from './node-combine-files.js'

/** How far two stretches of numbers are apart; sums in f64 over the elements that are finite in both. */
export interface Apart {
  readonly elements: number
  /** Elements whose values are not equal; two NaN are. */
  readonly differing: number
  /** Elements that are NaN or infinite, in the first and in the second. */
  readonly nonFinite: readonly [number, number]
  /** `‖a − b‖`. */
  readonly distance: number
  /** `‖a − b‖ / ‖a‖`: 0 for equal ones, infinite against zeros. */
  readonly relative: number
  /** Largest `|a − b|`. */
  readonly largest: number
  /** Of the angle between them; NaN when one is zero. */
  readonly cosine: number
  /** `‖a‖` and `‖b‖`. */
  readonly norms: readonly [number, number]
}

/** Two tensors of one name and shape. */
export interface TensorDifference extends Apart {
  readonly name: string
  readonly dtypes: readonly [FileDType, FileDType]
  readonly shape: readonly number[]
}

/** What cannot be compared: only one model has it, or the shapes differ. */
export interface UnmatchedTensor {
  readonly name: string
  readonly first?: Pick<FileTensor, 'dtype' | 'shape'>
  readonly second?: Pick<FileTensor, 'dtype' | 'shape'>
}

/** How far two models are apart. */
export interface FilesDifference {
  /** In the order of the first model. */
  readonly tensors: readonly TensorDifference[]
  readonly unmatched: readonly UnmatchedTensor[]
  /** All floats of both together. */
  readonly floats: Apart
}

/**
 * How far two saved models are apart, tensor by tensor, and all floats together. Models are not loaded: both are read
 * once, a piece at a time. Their dtypes may differ; 8-bit floats and complex numbers are compared by their bytes.
 *
 * Throws: `FormatError` naming a file that is missing or damaged.
 * Torch: none; a loop of `torch.dist` over two `state_dict`s.
 * @example const { floats } = await diffFiles('student.safetensors', 'teacher.safetensors')
 */
export async function diffFiles(
  first: string,
  second: string,
  options: ReadFilesOptions = {},
): Promise<FilesDifference> {
  requirePaths('diffFiles', { 'the first': first, 'the second': second })
  requireOptions('diffFiles', options, ['onProgress', 'signal'])
  const models: ModelFiles[] = []
  try {
    const open = (path: string): ModelFiles => {
      const model = ModelFiles.open(path)
      models.push(model)
      return model
    }
    return await compare(open(first), open(second), options)
  } finally {
    for (const model of models) model.close()
  }
}

async function compare(first: ModelFiles, second: ModelFiles, options: ReadFilesOptions): Promise<FilesDifference> {
  const pairs: ComparedTensor[] = []
  const unmatched: UnmatchedTensor[] = []
  const headOf = ({ dtype, shape }: FileTensor) => ({ dtype, shape })
  for (const tensor of first.tensors.values()) {
    const { name } = tensor
    const other = second.tensors.get(name)
    if (other && other.shape.join() === tensor.shape.join()) pairs.push({ name, first: tensor, second: other })
    else unmatched.push({ name, first: headOf(tensor), ...(other && { second: headOf(other) }) })
  }
  for (const tensor of second.tensors.values())
    if (!first.tensors.has(tensor.name)) unmatched.push({ name: tensor.name, second: headOf(tensor) })
  const distances = await measureDistances(first, second, pairs, options)
  const floats = noDistance()
  const tensors = pairs.map((pair): TensorDifference => {
    const distance = distances.get(pair.name) ?? noDistance()
    const dtypes = [pair.first.dtype, pair.second.dtype] as const
    if (dtypes.every(isFloatDType)) joinDistance(floats, distance)
    return { name: pair.name, dtypes, shape: pair.first.shape, ...apart(distance) }
  })
  return { tensors, unmatched, floats: apart(floats) }
}

function apart(distance: Distance): Apart {
  const { elements, differing, largest, nonFinite, squares } = distance
  return {
    elements,
    differing,
    nonFinite,
    distance: Math.sqrt(squares.difference),
    relative: relativeDistance(distance),
    largest,
    cosine: cosineOf(distance),
    norms: [Math.sqrt(squares.first), Math.sqrt(squares.second)],
  }
}
