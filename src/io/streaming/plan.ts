import { planSafetensors, type WritePlan } from '../safetensors-layout.js'
import { elementCount, fileDTypeSize } from '../raw-tensor.js'
import { type FloatDType, isFloatDType, type Wide } from './float-bytes.js'
import type { FileTensor, ModelLayout } from './model-layout.js'
import { copyOf, type Recipe } from './recipes.js'

/** A stretch of one of the models' files. */
export interface Source {
  readonly model: number
  readonly file: number
  readonly offset: number
  readonly dtype: FloatDType
}

/** A stretch of the result: `count` elements, or bytes, from `position` of one of its files. */
interface Stretch {
  readonly shard: number
  readonly position: number
  readonly count: number
}

/** Bytes that are only copied. */
export interface CopyChunk extends Stretch {
  readonly kind: 'copy'
  readonly from: Omit<Source, 'dtype'>
}

/** Floats that are made by a recipe. */
export interface BlendChunk extends Stretch {
  readonly kind: 'blend'
  readonly sources: readonly Source[]
  readonly recipe: Recipe
  readonly wide: Wide
  readonly dtype: FloatDType
}

export type Chunk = CopyChunk | BlendChunk

/** What is made of which models. */
export interface Combination {
  readonly models: readonly ModelLayout[]
  /** How each tensor of floats is made. Equal objects are equal recipes, so their tensors can be made in one go. */
  readonly recipe: (name: string) => Recipe
  /** The model that integers and bools are copied from. */
  readonly integersFrom: number
  /** Element type of the floats of the result; that of the first model when undefined. */
  readonly dtype: FloatDType | undefined
  /** What sums are kept in at least; F64 tensors are always summed in f64. */
  readonly accumulate: Wide
  readonly metadata: Readonly<Record<string, string>>
}

/** A tensor of the result. */
export interface OutputTensor extends Pick<FileTensor, 'name' | 'dtype' | 'shape'> {
  readonly recipe: Recipe
  readonly wide: Wide
  /** The tensors it is made from, in the order of the recipe's sources. */
  readonly from: readonly FileTensor[]
}

export type OutputPlan = WritePlan<OutputTensor>

/** The files of the result, given the names of the tensors in each. */
export function planOutputs(combination: Combination, shards: readonly (readonly string[])[]): OutputPlan[] {
  const { models, metadata } = combination
  const integers = copyOf(combination.integersFrom)
  return shards.map((names) =>
    planSafetensors(
      names.flatMap((name) => {
        const tensor = models[0]?.tensors.get(name)
        return tensor ? [outputOf(combination, tensor, integers)] : []
      }),
      metadata,
    ),
  )
}

function outputOf(combination: Combination, { name, dtype, shape }: FileTensor, integers: Recipe): OutputTensor {
  const floats = isFloatDType(dtype)
  const recipe = floats ? combination.recipe(name) : integers
  const from = recipe.sources.flatMap(
    (model, i) => combination.models[model]?.tensors.get(recipe.names?.[i] ?? name) ?? [],
  )
  const out = floats ? (combination.dtype ?? dtype) : dtype
  const exact = out === 'F64' || from.some((tensor) => tensor.dtype === 'F64')
  return { name, dtype: out, shape, recipe, wide: exact ? 'f64' : combination.accumulate, from }
}

/** Adjacent tensors that are made alike, so that they can be read, made and written as one. */
interface Run {
  readonly first: OutputTensor
  readonly position: number
  count: number
}

/** The work for the shards in the order of their bytes, in chunks of at most `elements` elements. */
export function* chunksOf(outputs: readonly OutputPlan[], elements: number): Generator<Chunk> {
  for (const [shard, plan] of outputs.entries()) {
    for (const run of runsOf(plan)) {
      const { first, position, count } = run
      const copies = copiesBytes(first)
      // A copy of bytes counts bytes, up to what the floats of a chunk take.
      const most = copies ? 4 * elements : elements
      const total = copies ? count * fileDTypeSize(first.dtype) : count
      for (let done = 0; done < total; done += most) {
        yield chunkOf(first, { shard, position, done, count: Math.min(most, total - done), copies })
      }
    }
  }
}

/** Whether the result is the bytes of one file as they are. */
const copiesBytes = ({ recipe, dtype, from }: OutputTensor): boolean =>
  recipe.steps.length === 0 && from[0]?.dtype === dtype

function runsOf({ head, tensors }: OutputPlan): Run[] {
  const runs: Run[] = []
  for (const { tensor, begin } of tensors) {
    const count = elementCount(tensor.shape) ?? 0
    if (count === 0) continue
    const last = runs.at(-1)
    if (last && continues(last, tensor)) last.count += count
    else runs.push({ first: tensor, position: head.length + begin, count })
  }
  return runs
}

/** Tensors of a file lie side by side in order, so the output needs no look: only how they are made, and the inputs. */
function continues({ first, count }: Run, next: OutputTensor): boolean {
  if (first.recipe !== next.recipe || first.dtype !== next.dtype || first.wide !== next.wide) return false
  return next.from.every((tensor, i) => {
    const start = first.from[i]
    if (!start || start.dtype !== tensor.dtype || start.file !== tensor.file) return false
    return tensor.offset === start.offset + count * fileDTypeSize(start.dtype)
  })
}

interface Place {
  readonly shard: number
  readonly position: number
  readonly done: number
  readonly count: number
  readonly copies: boolean
}

function chunkOf({ recipe, from, dtype, wide }: OutputTensor, { shard, position, done, count, copies }: Place): Chunk {
  if (copies || !isFloatDType(dtype)) {
    const source = { model: recipe.sources[0] ?? 0, file: from[0]?.file ?? 0, offset: (from[0]?.offset ?? 0) + done }
    return { kind: 'copy', shard, position: position + done, count, from: source }
  }
  const sources = from.flatMap((tensor, i): Source[] => {
    if (!isFloatDType(tensor.dtype)) return []
    const offset = tensor.offset + done * fileDTypeSize(tensor.dtype)
    return [{ model: recipe.sources[i] ?? 0, file: tensor.file, offset, dtype: tensor.dtype }]
  })
  const at = position + done * fileDTypeSize(dtype)
  return { kind: 'blend', shard, position: at, count, sources, recipe, wide, dtype }
}
