import { partsOf, tensorsOf } from '../model/walk.js'
import { CaptureError, OptionError } from '../shapes/errors.js'
import { TensorRecord } from '../tensor/record.js'
import { scope } from '../tensor/scope.js'
import { Collection, collecting } from './collecting.js'

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
