import { linear, type Tensor } from '../prelude.js'

export class Net {
  inner = linear(784, 512)
  forward<B extends number>(x: Tensor<[B, 785]>) {
    return this.inner.forward(x)
  }
}
