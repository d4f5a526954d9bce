import { gelu as geluOp } from '../ops/elementwise/gelu.js'
import { leakyRelu as leakyReluOp } from '../ops/elementwise/leaky-relu.js'
import { relu as reluOp } from '../ops/elementwise/relu.js'
import { sigmoid as sigmoidOp } from '../ops/elementwise/sigmoid.js'
import { softplus as softplusOp } from '../ops/elementwise/softplus.js'
import { tanh as tanhOp } from '../ops/elementwise/tanh.js'
import type { Value } from '../ops/record.js'
import { recordOf, typed } from '../tensor/record.js'
import type { GELU, LeakyReLU, ReLU, Sigmoid, Softplus, Tanh } from './module.js'
import { Printed } from './table.js'

/** Layers without parameters that change each element by a function. */
abstract class Activation extends Printed {
  constructor(readonly name: string) {
    super()
  }
  abstract apply(x: Value): Value
  forward(x: unknown): Value {
    return this.apply(typed<Value>(recordOf(x)))
  }
  describe(): string {
    return `${this.name}()`
  }
}

class ReLULayer extends Activation {
  override apply(x: Value): Value {
    return reluOp(x)
  }
}
/**
 * Rectifier as a layer: `y = max(x, 0)`.
 * Shapes: `x: S → S`.  Torch: `nn.ReLU()`.
 * @example sequential(linear(784, 128), relu(), linear(128, 10))
 */
export const relu = () => new ReLULayer('relu') as unknown as ReLU

class LeakyReLULayer extends Activation {
  constructor(readonly negativeSlope: number) {
    super('leakyRelu')
  }
  override apply(x: Value): Value {
    return leakyReluOp(x, this.negativeSlope)
  }
  override describe(): string {
    return `leakyRelu(${this.negativeSlope})`
  }
}
/**
 * Leaky rectifier as a layer: `y = x` where `x > 0`, else `negativeSlope · x`.
 * Shapes: `x: S → S`.  Torch: `nn.LeakyReLU(negative_slope)`, default 0.01 too.
 * @example leakyRelu(0.2)
 */
export const leakyRelu = (negativeSlope = 0.01) => new LeakyReLULayer(negativeSlope) as unknown as LeakyReLU

class GELULayer extends Activation {
  constructor(readonly approximate: 'none' | 'tanh') {
    super('gelu')
  }
  override apply(x: Value): Value {
    return geluOp(x, { approximate: this.approximate })
  }
}
/**
 * Gaussian error linear unit as a layer: `y = x · Φ(x)`, or its tanh approximation.
 * Shapes: `x: S → S`.  Torch: `nn.GELU(approximate)`.
 * @example gelu({ approximate: 'tanh' })
 */
export const gelu = ({ approximate = 'none' }: { readonly approximate?: 'none' | 'tanh' } = {}) =>
  new GELULayer(approximate) as unknown as GELU

class TanhLayer extends Activation {
  override apply(x: Value): Value {
    return tanhOp(x)
  }
}
/**
 * Hyperbolic tangent as a layer.
 * Shapes: `x: S → S`.  Torch: `nn.Tanh()`.
 * @example sequential(linear(2, 16), tanh(), linear(16, 1))
 */
export const tanh = () => new TanhLayer('tanh') as unknown as Tanh

class SigmoidLayer extends Activation {
  override apply(x: Value): Value {
    return sigmoidOp(x)
  }
}
/**
 * Logistic function as a layer: `y = 1 / (1 + e^−x)`.
 * Shapes: `x: S → S`.  Torch: `nn.Sigmoid()`.
 * @example sequential(linear(2, 1), sigmoid())
 */
export const sigmoid = () => new SigmoidLayer('sigmoid') as unknown as Sigmoid

class SoftplusLayer extends Activation {
  override apply(x: Value): Value {
    return softplusOp(x)
  }
}
/**
 * Smooth rectifier as a layer: `y = log(1 + e^x)`.
 * Shapes: `x: S → S`.  Torch: `nn.Softplus()`.
 * @example softplus()
 */
export const softplus = () => new SoftplusLayer('softplus') as unknown as Softplus
