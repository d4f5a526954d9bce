// An average runs, compares and composes as its source does.
import {
  batchNorm1d,
  check,
  copy,
  ema,
  type Equal,
  follow,
  linear,
  relu,
  sequential,
  type Tensor,
  update,
  zeros,
} from '../prelude.js'

class Net {
  readonly body = sequential(linear(4, 8), relu(), batchNorm1d(8), linear(8, 2))
  readonly head = linear(2, 3)
  forward(x: Tensor<[number, 4]>) {
    return this.head.forward(this.body.forward(x))
  }
}
const net = new Net()
const average = follow(net, ema({ decay: 0.9 }), { only: ['body.*'] })
const scores = average.model.forward(zeros([5, 4]))
check<Equal<typeof scores, Tensor<[number, 3]>>>()

const mlp = sequential(linear(4, 8), relu(), linear(8, 2))
const teacher = follow(mlp, ema({ decay: (n) => (1 + n) / (10 + n) }), { except: ['*.bias'], every: 10 })
const y = teacher.model.forward(zeros([5, 4]))
check<Equal<typeof y, Tensor<[5, 2]>>>()
const traced = teacher.model.forward(zeros([5, 4]).trace())
check<Equal<typeof traced, Tensor<[5, 2], 'f32', 'taped'>>>()
update({ target: mlp, source: teacher.model }, copy())
const composed = sequential(teacher.model, linear(2, 7)).forward(zeros([5, 4]))
check<Equal<typeof composed, Tensor<[5, 7]>>>()
teacher.evaluateWith((model) => model.layers[0].weight.dispose())
