import { CHILDREN } from '../model/module.js'
import type { Module, SequentialFactory } from './module.js'
import { Printed } from './table.js'

class Sequential extends Printed {
  readonly layers: readonly Module[]

  constructor(layers: readonly Module[]) {
    super()
    this.layers = layers
  }

  get [CHILDREN](): readonly Module[] {
    return this.layers
  }

  forward(x: unknown): unknown {
    return this.layers.reduce((value, layer) => layer.forward(value), x)
  }

  describe(): string {
    return `sequential of ${this.layers.length}`
  }
}

/**
 * Modules one after another: `y = layer_n(… layer_0(x))`.
 *
 * Shapes are checked when the model is built, as far as layers say what they take, and again in `forward`.
 * Parameter paths begin with the layer's index: `0.weight`.
 * Torch: `nn.Sequential`.
 * @example sequential(linear(784, 128), relu(), linear(128, 10))
 */
export const sequential = ((...layers: readonly Module[]) => new Sequential(layers)) as unknown as SequentialFactory
