import { adam, compile, crossEntropy, linear, type Tensor } from '../prelude.js'

const model = linear(784, 10)
const optimizer = adam(model, { lr: 1e-3 })
compile((x: Tensor<[32, 784]>, y: Tensor<[32], 'i32'>) => {
  const loss = crossEntropy(model.forward(x), y)
  optimizer.step(loss.backward())
  return loss
})
