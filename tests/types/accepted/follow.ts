// An average runs, compares and composes as its source does.
import {
  adam,
  averageFiles,
  batchNorm1d,
  check,
  type Averaged,
  clone,
  copy,
  ema,
  emaFiles,
  type Equal,
  follow,
  linear,
  postHocEma,
  relu,
  schedules,
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

// An average is of the dtype of its source, of f32 where that has two bytes, or of the one that is asked for.
const half = sequential(linear(4, 8, { dtype: 'bf16' }), relu(), batchNorm1d(8, { dtype: 'bf16' }))
const plain = sequential(linear(4, 8), relu(), batchNorm1d(8))
const wide = follow(half, ema({ decay: 0.9 }), { only: ['0.*'] })
check<Equal<typeof wide.model, Averaged<typeof plain>>>()
const kept = follow(plain, ema({ decay: 0.9 }), { except: ['*.bias'] })
check<Equal<typeof kept.model, Averaged<typeof plain>>>()
const small = follow(plain, ema({ decay: 0.9 }), { dtype: 'bf16', only: ['0.*'] })
check<Equal<typeof small.model, Averaged<typeof half>>>()
const halves = small.model.forward(zeros([5, 4], { dtype: 'bf16' }))
check<Equal<typeof halves, Tensor<[5, 8], 'bf16'>>>()
// The type of a class is left alone where nothing is converted; widening keeps what is wider than f32.
const same = follow(net, ema({ decay: 0.9 }), { dtype: 'f32' })
check<Equal<typeof same.model, Averaged<Net>>>()
class Mixed {
  readonly a = linear(2, 3, { dtype: 'f64' })
  readonly b = linear(3, 4, { dtype: 'f16' })
  forward(x: Tensor<[1, 2], 'f64'>) {
    return this.a.forward(x)
  }
}
const mixed = follow(new Mixed(), ema({ decay: 0.9 }))
check<Equal<typeof mixed.model.a, Averaged<ReturnType<typeof a>>>>()
check<Equal<typeof mixed.model.b.weight.dtype, 'f32'>>()
declare function a(): Mixed['a']

// What is put together from snapshots is what they are; schedules are functions, with a name or without.
const snapshots = [0.05, 0.1].map((sigmaRel) => ({ sigmaRel, step: 100, model: clone(average.model) }))
const between = postHocEma(snapshots, { sigmaRel: 0.07 })
check<Equal<typeof between, typeof net>>()
// The copy of an average is a model like its source, which can be trained.
adam(clone(average.model))
postHocEma([{ gamma: 6.9, step: 10, model: net }], { gamma: 5, step: 9, mostFitError: 1 })
follow(net, ema({ decay: (n) => (1 + n) / (10 + n) }))
follow(net, ema({ decay: schedules.named('mine', (n) => (1 + n) / (10 + n)) }))

const paths = ['a', 'b'] as const
void averageFiles({ sources: paths, output: 'c' })
void averageFiles({ sources: paths, output: 'c' }, { weights: [1, 2], dtype: 'bf16', integers: 'first' })
void averageFiles({ sources: paths, output: 'c' }, { sigmaRel: 0.1, steps: [1, 2] })
void emaFiles({ target: 'a', source: 'b' }, { halfLife: 10, force: true })
