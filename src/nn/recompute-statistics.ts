import { copyInto } from '../model/foreach.js'
import { partsOf, tensorsOf } from '../model/walk.js'
import { arithmeticOf } from '../shapes/dtype.js'
import { CaptureError, OptionError } from '../shapes/errors.js'
import { fillTensor } from '../tensor/fill.js'
import { emptyTensor, TensorRecord } from '../tensor/record.js'
import { scope } from '../tensor/scope.js'
import { evaluating, evaluationDepth } from './evaluating.js'

/** Running statistics of a layer. */
export interface Running {
  readonly running_mean: TensorRecord
  readonly running_var: TensorRecord
  readonly num_batches_tracked: TensorRecord
  /** Weight of the next batch. */
  readonly momentum: number
}

const names = ['running_mean', 'running_var', 'num_batches_tracked'] as const

/** New statistics for the layers of a model: plain averages, kept beside the layers in f32 at least until all is seen. */
class Collection {
  readonly #seen = new Map<Running, { readonly statistics: Omit<Running, 'momentum'>; readonly batches: number }>()

  get layers(): readonly Running[] {
    return [...this.#seen.keys()]
  }

  /** What takes in the next batch in the layer's place. */
  next(layer: Running): Running {
    const { statistics, batches } = this.#seen.get(layer) ?? { statistics: standIn(layer), batches: 0 }
    this.#seen.set(layer, { statistics, batches: batches + 1 })
    return { ...statistics, momentum: 1 / (batches + 1) }
  }

  /** Gives the layers what was collected. */
  settle(): void {
    for (const [layer, { statistics }] of this.#seen) for (const name of names) copyInto(layer[name], statistics[name])
  }

  dispose(): void {
    for (const { statistics } of this.#seen.values()) for (const name of names) statistics[name].dispose()
  }
}

function standIn(layer: Running): Omit<Running, 'momentum'> {
  const made = (name: (typeof names)[number]): TensorRecord => {
    const { device, dtype, shape } = layer[name]
    const tensor = emptyTensor(device, arithmeticOf(dtype), shape, 'buffer')
    fillTensor(tensor, 0)
    return tensor
  }
  return {
    running_mean: made('running_mean'),
    running_var: made('running_var'),
    num_batches_tracked: made('num_batches_tracked'),
  }
}

let current: Collection | undefined

/** Runs `body` as at evaluation, except that layers with running statistics use and collect those of the batch. */
function collecting(collection: Collection, body: () => void): void {
  const outer = current
  current = collection
  try {
    evaluating(body)
  } finally {
    current = outer
  }
}

/** Where a layer's statistics go while they are collected; what the model itself runs as `inference` keeps its own. */
export const collected = (layer: Running): Running | undefined =>
  evaluationDepth() === 1 ? current?.next(layer) : undefined

/**
 * Finds the running statistics of batch norm anew, for weights that were averaged and not trained: one pass over
 * `batches` with `forward`, in which batch norm normalises by the batch; then
 * `running ← Σ batch statistics / number of batches`, with the unbiased variance, and the count of batches.
 * Everything else acts as at evaluation, dropout too, as it will when the statistics are used. Nothing is written before
 * the pass is over, sums are f32 at least, and layers that did not run keep what they have, as do those that the model
 * runs as `inference(…)`. A model without batch norm is left alone.
 *
 * Shapes: any that the model takes, and batches may differ in size.  Gradient: none.
 * Throws: `OptionError` when there are no batches, `forward` returns a promise, or runs no batch norm of the model
 * (compiled functions keep to what they were captured as); `ShapeError` for batches of one value a feature.
 * Torch: `swa_utils.update_bn(loader, model)`, which leaves dropout on and resets layers that do not run.
 * @example await recomputeStatistics(teacher.model, batches({ images }, 256), (x) => teacher.model.forward(x.images))
 */
export async function recomputeStatistics<B>(
  model: object,
  batches: Iterable<B> | AsyncIterable<B>,
  forward: (batch: B) => unknown,
): Promise<void> {
  const first = tensorsOf(model)[0]
  if (first?.tensor.device.recorder)
    throw new CaptureError('compile: statistics are recomputed outside compiled functions, over many batches.')
  const layers = layersOf(model)
  if (layers.size === 0) return
  const collection = new Collection()
  try {
    let count = 0
    for await (const batch of batches) {
      count++
      scope(() => collecting(collection, () => requireDone(forward(batch))))
    }
    if (count === 0) refuse('there were no batches')
    if (!collection.layers.some((layer) => layers.has(layer)))
      refuse('forward has run no batch norm of the model; call model.forward(batch) in it, not a compiled function')
    collection.settle()
  } finally {
    collection.dispose()
  }
}

function refuse(message: string): never {
  throw new OptionError(`recomputeStatistics: ${message}.`, { op: 'recomputeStatistics' })
}

function requireDone(result: unknown): void {
  if (!(result instanceof Promise)) return
  // What it goes on with is gone; that it fails is what the error below says.
  result.catch(() => undefined)
  refuse('forward returned a promise; call model.forward(batch), which returns at once')
}

/** The parts of a model that have running statistics. */
function layersOf(model: object): Set<object> {
  const found = new Set<object>()
  const visit = (node: object): void => {
    if (node instanceof TensorRecord) return
    if ('running_mean' in node) found.add(node)
    for (const [, part] of partsOf(node)) visit(part)
  }
  visit(model)
  return found
}
