import { dirname, join } from 'node:path'
import { DeviceError, OptionError } from '../../shapes/errors.js'
import { type Device, newDevice } from '../../tensor/device.js'
import { requireFunction, requireOneOf, requireOptions, written } from '../../update/options.js'
import { withoutSnapshot } from '../../update/post-hoc.js'
import type { FileDType } from '../raw-tensor.js'
import { plural } from '../wording.js'
import { requireSameStructure } from './compare-structures.js'
import type { ReadFilesOptions } from './files-progress.js'
import type { FloatDType as FileFloat, Wide } from './float-bytes.js'
import { combine } from './node-combine.js'
import { unequalIntegers } from './node-measure.js'
import { ModelFiles } from './node-model-files.js'
import { OutputFiles } from './node-output-files.js'
import { type OutputPaths, outputPaths, requireFree } from './node-output-paths.js'
import { type Combination, type OutputPlan, type OutputTensor, planOutputs } from './plan.js'
import type { Recipe } from './recipes.js'
import { shardIndexText } from './shard-index.js'

/** How a result is written. */
export interface WriteFilesOptions extends ReadFilesOptions {
  /** Of the floats of the result. Default: of each tensor what the first file has. */
  readonly dtype?: 'f16' | 'bf16' | 'f32' | 'f64'
  /** What sums are kept in; f64 tensors always in f64. Default `f32`. */
  readonly accumulate?: 'f32' | 'f64'
  /** Replaces files that exist, those of the models themselves included. Default false: they are refused. */
  readonly force?: boolean
  /**
   * What computes: a device in WebAssembly that nothing else uses before the promise settles, because memory that grows
   * moves under files that are being read. Default: one on all cores, made for this and closed then.
   */
  readonly device?: Device
}

/** What was written. */
export interface WrittenFiles {
  /** What it is, as its metadata say under `dfdt`: `mean of 3 models`. */
  readonly title: string
  /** The file, or the shards in order. */
  readonly files: readonly string[]
  /** The index over the shards. */
  readonly index?: string
  readonly tensors: number
  /** In the order they were met. */
  readonly dtypes: readonly FileDType[]
  readonly bytes: number
  readonly seconds: number
  /** Sentences on what was lost: steps that 16 bits round to nothing, numbers that f16 cannot hold. */
  readonly warnings: readonly string[]
}

/** The names of what `WriteFilesOptions` say. */
const writing = [
  ...(['dtype', 'accumulate', 'force', 'device'] as const satisfies (keyof WriteFilesOptions)[]),
  ...(['onProgress', 'signal'] as const satisfies (keyof ReadFilesOptions)[]),
]

/** What is made of which models. */
export interface FilesRequest {
  /** The function that was called. */
  readonly op: string
  readonly paths: readonly string[]
  readonly output: string
  readonly options: WriteFilesOptions
  /** Whether the result may take the place of the first model without `force`. */
  readonly inPlace: boolean
  /** Asked once the models are open and known to have one structure. */
  readonly method: (models: readonly ModelFiles[]) => Promise<Method> | Method
}

/** How the tensors of the result are made. */
export interface Method {
  /** Kept in the metadata of the result: `mean of 3 models`. */
  readonly title: string
  readonly recipe: (name: string) => Recipe
  /** The model that integers and bools come from; all must agree when undefined. */
  readonly integersFrom: number | undefined
  /** What the metadata of the result says besides that of the first model. */
  readonly metadata?: Readonly<Record<string, string>>
  /** Whether the result is to take many small steps, which 16 bits lose. */
  readonly small?: boolean
}

/** The note in the metadata of the result. */
const note = 'dfdt'

/** What callers without types may get wrong. */
export function requireFilesOptions(op: string, options: WriteFilesOptions, more: readonly string[]): void {
  requireOptions(op, options, [...more, ...writing])
  requireOneOf(op, '{ dtype }', options.dtype, Object.keys(fileFloats))
  requireOneOf(op, '{ accumulate }', options.accumulate, ['f32', 'f64'] satisfies Wide[])
  requireFunction(op, '{ onProgress }', options.onProgress)
}

/** Throws: `OptionError` unless these are paths. */
export function requirePaths(op: string, paths: Readonly<Record<string, unknown>>): void {
  for (const [name, path] of Object.entries(paths))
    if (typeof path !== 'string' || path === '')
      throw new OptionError(`${op}: ${name} is the path of a model, got ${written(path)}.`, { op })
}

/** Opens the models, makes the result and says what was done. */
export async function combineFiles(request: FilesRequest): Promise<WrittenFiles> {
  const models: ModelFiles[] = []
  try {
    for (const path of request.paths) models.push(ModelFiles.open(path))
    return await run(request, models)
  } finally {
    for (const model of models) model.close()
  }
}

const fileFloats = { f16: 'F16', bf16: 'BF16', f32: 'F32', f64: 'F64' } as const satisfies Record<string, FileFloat>

async function run(request: FilesRequest, models: readonly ModelFiles[]): Promise<WrittenFiles> {
  const { op, options, output } = request
  const [first] = models
  if (!first) throw new OptionError(`${op}: needs at least one file.`, { op })
  requireSameStructure(op, models)
  const paths = outputPaths(op, output, first)
  const all = [...paths.files, ...(paths.index === undefined ? [] : [paths.index])]
  requireFree(op, all, options.force === true, request.inPlace ? filesOf(first) : [])
  const method = await request.method(models)
  if (method.integersFrom === undefined) await requireEqualIntegers(op, models, options.signal)
  const combination: Combination = {
    models,
    recipe: method.recipe,
    integersFrom: method.integersFrom ?? 0,
    dtype: options.dtype && fileFloats[options.dtype],
    accumulate: options.accumulate ?? 'f32',
    metadata: { ...withoutSnapshot(first.metadata), ...method.metadata, [note]: method.title },
  }
  const plans = planOutputs(combination, paths.tensors)
  const begin = performance.now()
  const { bytes, infinite } = await write(models, plans, paths, options)
  const tensors = plans.flatMap((plan) => plan.tensors.map(({ tensor }) => tensor))
  return {
    title: method.title,
    files: paths.files,
    ...(paths.index !== undefined && { index: paths.index }),
    tensors: tensors.length,
    dtypes: [...new Set(tensors.map(({ dtype }) => dtype))],
    bytes,
    seconds: (performance.now() - begin) / 1000,
    warnings: warnings(method, tensors, infinite),
  }
}

/** All files of a model, its index among them. */
function filesOf({ path, files, index }: ModelFiles): readonly string[] {
  if (index !== undefined) return [index, ...files.map((name) => join(dirname(index), name))]
  return files.length > 0 ? files : [path]
}

async function write(
  models: readonly ModelFiles[],
  plans: readonly OutputPlan[],
  { files, index, names }: OutputPaths,
  { device: given, onProgress, signal }: WriteFilesOptions,
): Promise<{ readonly bytes: number; readonly infinite: number }> {
  // Asked before anything is opened for writing.
  if (given && !given.backend.view)
    throw new DeviceError(`Files are combined on a device whose memory the host sees, which ${given.name} is not.`)
  const indexBytes = new TextEncoder().encode(index === undefined ? '' : indexText(plans, names))
  const wanted = files.map((path, i) => ({ path, byteLength: plans[i]?.byteLength ?? 0 }))
  if (index !== undefined) wanted.push({ path: index, byteLength: indexBytes.length })
  const total = wanted.reduce((sum, { byteLength }) => sum + byteLength, 0)
  let done = 0
  const onWritten = (bytes: number): void => {
    done += bytes
    onProgress?.({ pass: 'write', done, total })
  }
  const output = OutputFiles.create(wanted)
  const device = given ?? newDevice()
  try {
    const infinite = await combine(models, plans, output, device, { onWritten, signal })
    if (index !== undefined) await output.write(files.length, indexBytes, 0)
    for (const model of models) model.requireUnchanged()
    await output.commit(signal)
    return { bytes: total, infinite }
  } finally {
    await output.discard()
    if (!given) await device.close()
  }
}

function indexText(plans: readonly OutputPlan[], names: readonly string[]): string {
  const shardOf = plans.flatMap(({ tensors }, i) =>
    tensors.map(({ tensor }): [string, string] => [tensor.name, names[i] ?? '']),
  )
  const bytes = plans.reduce((sum, { byteLength, head }) => sum + byteLength - head.length, 0)
  return shardIndexText(new Map(shardOf), bytes)
}

async function requireEqualIntegers(
  op: string,
  models: readonly ModelFiles[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const unequal = await unequalIntegers(models, signal)
  if (unequal.length === 0) return
  const list = unequal.slice(0, 20).map((name) => `\n  "${name}" (${models[0]?.tensors.get(name)?.dtype})`)
  const more = unequal.length > 20 ? `\n  and ${unequal.length - 20} more` : ''
  throw new OptionError(
    `${op}: integers are copied, never averaged, and these differ between the files; ` +
      `say whose to take with { integers: 'first' } or { integers: 'last' }:${list.join('')}${more}`,
    { op },
  )
}

function warnings({ small }: Method, tensors: readonly OutputTensor[], infinite: number): string[] {
  const narrow = tensors.filter(({ dtype, recipe }) => /^B?F16$/.test(dtype) && recipe.steps.length > 0)
  const stalls =
    `${plural(narrow.length, 'tensor')} of the average ${narrow.length === 1 ? 'is' : 'are'} in 16 bits, where steps this small round to nothing; ` +
    "keep it in 32 with { dtype: 'f32' }"
  const overflow =
    `${plural(infinite, 'number')} of the result ${infinite === 1 ? 'is' : 'are'} infinite, F16 ends at 65504; ` +
    "use { dtype: 'bf16' } or { dtype: 'f32' }"
  return [...(small && narrow.length > 0 ? [stalls] : []), ...(infinite > 0 ? [overflow] : [])]
}
