import { compile, linear, type Tensor, zeros } from '../prelude.js'

const model = linear(784, 10)
const predict = compile((x: Tensor<[32, 784]>) => model.forward(x))
predict(zeros([64, 784]))
