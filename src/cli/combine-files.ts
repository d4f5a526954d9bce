import { basename, dirname, join } from 'node:path'
import { requireSameStructure } from '../io/streaming/compare-structures.js'
import { combine } from '../io/streaming/node-combine.js'
import { unequalIntegers } from '../io/streaming/node-measure.js'
import { ModelFiles } from '../io/streaming/node-model-files.js'
import { OutputFiles } from '../io/streaming/node-output-files.js'
import { type Combination, type OutputPlan, type OutputTensor, planOutputs } from '../io/streaming/plan.js'
import type { Recipe } from '../io/streaming/recipes.js'
import { shardIndexText } from '../io/streaming/shard-index.js'
import { withoutSnapshot } from '../update/post-hoc.js'
import { duration, plural } from '../train/wording.js'
import { bytesText } from './bytes.js'
import { bytesProgress } from './bytes-progress.js'
import type { OutputFlags } from './file-options.js'
import type { Host } from './host.js'
import { type OutputPaths, outputPaths, requireFree } from './output-paths.js'
import { UsageError } from './usage-error.js'

/** What a command makes of its models. */
export interface Request {
  /** `average` or `ema`. */
  readonly op: string
  readonly paths: readonly string[]
  readonly flags: OutputFlags
  /** Whether the result may take the place of the first model without `--force`. */
  readonly inPlace: boolean
  /** Asked once the models are open and known to have one structure. */
  readonly method: (models: readonly ModelFiles[], host: Host, signal: AbortSignal) => Promise<Method>
}

/** How the tensors of the result are made. */
export interface Method {
  /** Said to people and kept in the metadata of the result: `mean of 3 models`. */
  readonly title: string
  readonly recipe: (name: string) => Recipe
  /** The model that integers and bools come from; all must agree when undefined. */
  readonly integersFrom: number | undefined
  /** What the metadata of the result says besides that of the first model. */
  readonly metadata?: Readonly<Record<string, string>>
  /** Whether the result is to take many small steps, which 16 bits lose. */
  readonly small?: boolean
  /** More for people to read. */
  readonly details?: readonly string[]
  /** More for programs to read. */
  readonly facts?: Readonly<Record<string, unknown>>
}

/** The note in the metadata of the result. */
const note = 'dfdt'

/** Opens the models, makes the result and says what was done. Returns the exit code. */
export async function combineFiles(request: Request, host: Host): Promise<number> {
  const abort = new AbortController()
  let exitCode = 0
  const stopListening = host.onInterrupt((code) => {
    exitCode = code
    abort.abort()
  })
  const models: ModelFiles[] = []
  try {
    for (const path of request.paths) models.push(ModelFiles.open(path))
    await run(request, models, host, abort.signal)
    return 0
  } catch (error) {
    if (!abort.signal.aborted || error !== abort.signal.reason) throw error
    host.stderr.write('Stopped; nothing was written.\n')
    return exitCode
  } finally {
    for (const model of models) model.close()
    stopListening()
  }
}

async function run(request: Request, models: readonly ModelFiles[], host: Host, signal: AbortSignal): Promise<void> {
  const { op, flags } = request
  const [first] = models
  if (!first) return
  requireSameStructure(op, models)
  const paths = outputPaths(flags.output, first)
  const all = [...paths.files, ...(paths.index === undefined ? [] : [paths.index])]
  requireFree(all, flags.force === true, request.inPlace ? filesOf(first) : [])
  const method = await request.method(models, host, signal)
  if (method.integersFrom === undefined) await requireEqualIntegers(op, models, signal)
  const combination: Combination = {
    models,
    recipe: method.recipe,
    integersFrom: method.integersFrom ?? 0,
    dtype: flags.dtype,
    accumulate: flags.accumulate,
    metadata: { ...withoutSnapshot(first.metadata), ...method.metadata, [note]: method.title },
  }
  const plans = planOutputs(combination, paths.tensors)
  const begin = performance.now()
  const written = await write(models, plans, paths, { flags, host, signal })
  tell(request, method, { ...written, plans, seconds: (performance.now() - begin) / 1000 }, host)
}

/** All files of a model, its index among them. */
function filesOf({ path, files, index }: ModelFiles): readonly string[] {
  if (index !== undefined) return [index, ...files.map((name) => join(dirname(index), name))]
  return files.length > 0 ? files : [path]
}

interface Surroundings {
  readonly flags: OutputFlags
  readonly host: Host
  readonly signal: AbortSignal
}

async function write(
  models: readonly ModelFiles[],
  plans: readonly OutputPlan[],
  { files, index, names }: OutputPaths,
  { flags, host, signal }: Surroundings,
): Promise<{ readonly bytes: number; readonly infinite: number }> {
  const indexBytes = new TextEncoder().encode(index === undefined ? '' : indexText(plans, names))
  const wanted = files.map((path, i) => ({ path, byteLength: plans[i]?.byteLength ?? 0 }))
  if (index !== undefined) wanted.push({ path: index, byteLength: indexBytes.length })
  const bytes = wanted.reduce((sum, { byteLength }) => sum + byteLength, 0)
  const device = await host.openDevice({ threads: flags.threads })
  const progress = bytesProgress(host, bytes)
  const output = OutputFiles.create(wanted)
  try {
    const infinite = await combine(models, plans, output, device, { onWritten: progress.add, signal })
    if (index !== undefined) await output.write(files.length, indexBytes, 0)
    for (const model of models) model.requireUnchanged()
    await output.commit(signal)
    return { bytes, infinite }
  } finally {
    progress.clear()
    await output.discard()
    await device.close()
  }
}

function indexText(plans: readonly OutputPlan[], names: readonly string[]): string {
  const shardOf = plans.flatMap(({ tensors }, i) =>
    tensors.map(({ tensor }): [string, string] => [tensor.name, names[i] ?? '']),
  )
  const bytes = plans.reduce((sum, { byteLength, head }) => sum + byteLength - head.length, 0)
  return shardIndexText(new Map(shardOf), bytes)
}

async function requireEqualIntegers(op: string, models: readonly ModelFiles[], signal: AbortSignal): Promise<void> {
  const unequal = await unequalIntegers(models, signal)
  if (unequal.length === 0) return
  const list = unequal.slice(0, 20).map((name) => `\n  "${name}" (${models[0]?.tensors.get(name)?.dtype})`)
  const more = unequal.length > 20 ? `\n  and ${unequal.length - 20} more` : ''
  throw new UsageError(
    `${op}: integers are copied, never averaged, and these differ between the files; ` +
      `say whose to take with --integers first or --integers last:${list.join('')}${more}`,
  )
}

interface Outcome {
  /** Infinite numbers of F16. */
  readonly infinite: number
  readonly plans: readonly OutputPlan[]
  readonly bytes: number
  readonly seconds: number
}

function tell({ flags }: Request, method: Method, { plans, bytes, infinite, seconds }: Outcome, host: Host): void {
  const tensors = plans.flatMap((plan) => plan.tensors.map(({ tensor }) => tensor))
  const dtypes = [...new Set(tensors.map(({ dtype }) => dtype))]
  const people = flags.json ? host.stderr : host.stdout
  const shards = plans.length > 1 ? `${plural(plans.length, 'shard')}, ` : ''
  // Of small files it would tell how long the process takes to start.
  const speed = seconds > 0.5 ? `, ${bytesText(bytes / seconds)}/s` : ''
  const lines = [
    method.title,
    ...(method.details ?? []),
    `${flags.output}: ${shards}${[plural(tensors.length, 'tensor'), ...dtypes].join(' ')}, ${bytesText(bytes)} ` +
      `in ${duration(seconds)}${speed}`,
  ]
  people.write(`${lines.join('\n')}\n`)
  for (const warning of warnings(method, tensors, infinite)) host.stderr.write(`warning: ${warning}\n`)
  if (!flags.json) return
  const facts = { output: flags.output, title: method.title, ...method.facts }
  host.stdout.write(`${JSON.stringify({ ...facts, tensors: tensors.length, bytes, seconds })}\n`)
}

function warnings({ small }: Method, tensors: readonly OutputTensor[], infinite: number): string[] {
  const narrow = tensors.filter(({ dtype, recipe }) => /^B?F16$/.test(dtype) && recipe.steps.length > 0)
  const stalls =
    `${plural(narrow.length, 'tensor')} of the average ${narrow.length === 1 ? 'is' : 'are'} in 16 bits, where steps this small round to nothing; ` +
    'keep it in 32 with --dtype f32'
  const overflow =
    `${plural(infinite, 'number')} of the result ${infinite === 1 ? 'is' : 'are'} infinite, F16 ends at 65504; ` +
    'use --dtype bf16 or --dtype f32'
  return [...(small && narrow.length > 0 ? [stalls] : []), ...(infinite > 0 ? [overflow] : [])]
}

/** How a model is called in a table. */
export const shortName = ({ path }: ModelFiles): string => basename(path)
