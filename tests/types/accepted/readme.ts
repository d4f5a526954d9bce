// The program of the first page.
import {
  adam,
  clone,
  compile,
  crossEntropy,
  ema,
  is,
  linear,
  relu,
  sequential,
  type Tensor,
  update,
  zeros,
} from '../prelude.js'

const student = sequential(linear(784, 512), relu(), linear(512, 128), relu(), linear(128, 10))
const teacher = clone(student)
const optimizer = adam(student, { lr: 1e-3 })
const body = (x: Tensor<[32, 784]>, y: Tensor<[32], 'i32'>) => {
  const loss = crossEntropy(student.forward(x.trace()), y)
  optimizer.step(loss.backward())
  update({ target: teacher, source: student }, ema({ decay: 0.999 }))
  return loss
}
const step = compile(body)
const [images, labels] = [zeros([32, 784]), zeros([32], { dtype: 'i32' })]
is<Tensor<[]>>()(step(images, labels), true)
is<Tensor<[], 'f32', 'taped'>>()(body(images, labels), true)
is<Promise<number>>()(step(images, labels).item(), true)
