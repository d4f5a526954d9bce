/** A whole-model moving average: 12 bytes a parameter, two reads and a write. */
import { compile, normal, scope, type Tensor } from 'dfdt'
import { parameter } from 'dfdt/nn'
import { ema, update } from 'dfdt/update'
import { elements, resnet50 } from './resnet50.js'
import type { Workload } from './workload.js'

/** An MLP of ten layers, 784 inputs and 304 wide: 20 tensors, 983 450 parameters, which fit in a large cache. */
const tenLayers: readonly number[][] = Array.from({ length: 10 }, (_, layer) => {
  const outputs = layer === 9 ? 10 : 304
  return [[outputs, layer === 0 ? 784 : 304], [outputs]]
}).flat()

/**
 * A model that is nothing but its tensors, one after another in memory: the values come from one tensor made before,
 * so that nothing else is allocated in between.
 */
export class Weights {
  readonly tensors

  constructor(shapes: readonly number[][]) {
    const values: Tensor<[number]> = normal([Math.max(...shapes.map(elements))])
    this.tensors = shapes.map((shape) => scope(() => parameter(values.slice([[0, elements(shape)]]).reshape(shape))))
    values.dispose()
  }

  forward(): void {}
}

function prepare(shapes: readonly number[][], eager: boolean): () => void {
  const source = new Weights(shapes)
  const target = new Weights(shapes)
  const rule = ema({ decay: 0.995 })
  const follow = () => update({ target, source }, rule)
  return eager ? follow : compile(follow)
}

const row = (name: string, shapes: readonly number[][]): Workload => ({
  name,
  unit: 'GB/s',
  work: (12 * shapes.reduce((sum, shape) => sum + elements(shape), 0)) / 1e9,
  prepare: ({ eager }) => prepare(shapes, eager),
})

export const emaWorkloads: readonly Workload[] = [row('ema-1m', tenLayers), row('ema-25m', resnet50)]
