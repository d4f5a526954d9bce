import { linear, relu, sequential, type Tensor, zeros } from '../prelude.js'

class Net {
  inner = linear(784, 512)
  forward<B extends number>(x: Tensor<[B, 784]>) {
    return this.inner.forward(x)
  }
}
sequential(new Net(), relu()).forward(zeros([32, 28]))
