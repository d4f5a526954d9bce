import { linear, relu, sequential, type Tensor } from '../prelude.js'

class Net {
  inner = linear(784, 512)
  forward<B extends number>(x: Tensor<[B, 784]>) {
    return this.inner.forward(x)
  }
}
sequential(new Net(), relu(), linear(256, 10))
