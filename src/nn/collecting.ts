import { copyInto } from '../model/foreach.js'
import { arithmeticOf } from '../shapes/dtype.js'
import { fillTensor } from '../tensor/fill.js'
import { emptyTensor, type TensorRecord } from '../tensor/record.js'
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
export class Collection {
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
export function collecting(collection: Collection, body: () => void): void {
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
