import {
  addInto,
  avgPool2d,
  avgPool2dOp,
  avgPoolGlobal,
  avgPoolGlobalOp,
  batchNorm2d,
  check,
  type Conv2d,
  type ConvDim,
  conv2d,
  conv2dOp,
  type Dim,
  dim,
  type Equal,
  flatten2d,
  flatten2dOp,
  is,
  linear,
  maxPool2d,
  maxPool2dOp,
  maxPoolGlobal,
  type Parameter,
  paramsOf,
  relu,
  residual,
  sequential,
  type Tape,
  tanh,
  type Tensor,
  type UnbiasedConv2d,
  zeros,
} from '../prelude.js'

// floor((H + 2P - D(K - 1) - 1) / S) + 1, never where the window does not fit
check<Equal<ConvDim<28, 3, 1, 1, 1>, 28>>()
check<Equal<ConvDim<28, 3, 1, 0, 1>, 26>>()
check<Equal<ConvDim<224, 7, 2, 3, 1>, 112>>()
check<Equal<ConvDim<113, 3, 2, 0, 1>, 56>>()
check<Equal<ConvDim<32, 3, 1, 2, 2>, 32>>()
check<Equal<ConvDim<7, 2, 3, 1, 1>, 3>>()
check<Equal<ConvDim<5, 5, 1, 0, 1>, 1>>()
check<Equal<ConvDim<4, 5, 1, 0, 1>, never>>()
check<Equal<ConvDim<0, 1, 1, 0, 1>, never>>()
check<Equal<ConvDim<1, 3, 2, 1, 1>, 1>>()
check<Equal<ConvDim<2, 9, 1, 4, 1>, 2>>()
check<Equal<ConvDim<number, 3, 1, 1, 1>, number>>()
check<Equal<ConvDim<28, number, 1, 1, 1>, number>>()

const batch = dim('batch', 7)
declare const n: number
const images = zeros([32, 3, 32, 32])

// layers
is<Conv2d<3, 16, 3, 2, 1>>()(conv2d(3, 16, 3, { stride: 2, padding: 1 }), true)
is<Conv2d<3, 16, 5>>()(conv2d(3, 16, 5), true)
is<UnbiasedConv2d<3, 16, 3, 1, 1>>()(conv2d(3, 16, 3, { padding: 1, bias: false }), true)
is<Conv2d<4, 6, 3, 1, 0, 1, 2, 'f64'>>()(conv2d(4, 6, 3, { groups: 2, dtype: 'f64' }), true)
is<Parameter<[16, 3, 3, 3]>>()(conv2d(3, 16, 3).weight, true)
is<Parameter<[6, 2, 3, 3]>>()(conv2d(4, 6, 3, { groups: 2 }).weight, true)
is<Parameter<[8, 1, 3, 3]>>()(conv2d(8, 8, 3, { groups: 8 }).weight, true)
is<Tensor<[32, 16, 16, 16]>>()(conv2d(3, 16, 3, { stride: 2, padding: 1 }).forward(images), true)
is<Tensor<[3, 28, 28]>>()(conv2d(1, 3, 5, { padding: 2 }).forward(zeros([1, 28, 28])), true)
is<Tensor<[2, 4, 8, 6, 4]>>()(conv2d(3, 8, 3).forward(zeros([2, 4, 3, 8, 6])), true)
is<Tensor<[number, 16, 30, 30], 'f32', 'taped'>>()(conv2d(3, 16, 3).forward(zeros([n, 3, 32, 32]).trace()), true)
is<Tensor<[Dim<'batch'>, 16, 30, number]>>()(conv2d(3, 16, 3).forward(zeros([batch, 3, 32, n])), true)
is<Tensor<[32, 3, 16, 16]>>()(maxPool2d(2).forward(images), true)
is<Tensor<[32, 3, 16, 16], 'f32', 'taped'>>()(maxPool2d(3, { stride: 2, padding: 1 }).forward(images.trace()), true)
is<Tensor<[32, 3, 31, 31]>>()(avgPool2d(2, { stride: 1 }).forward(images), true)
is<Tensor<[32, 3]>>()(avgPoolGlobal().forward(images), true)
is<Tensor<[32, 3]>>()(maxPoolGlobal().forward(images), true)
is<Tensor<[32, 3072]>>()(flatten2d().forward(images), true)
is<Tensor<[32, 3, 32, 32], 'f32', 'taped'>>()(batchNorm2d(3).forward(images.trace()), true)

// models
const cnn = sequential(
  ...([conv2d(1, 16, 3, { padding: 1 }), relu(), maxPool2d(2)] as const),
  ...([conv2d(16, 32, 3, { padding: 1 }), relu(), maxPool2d(2)] as const),
  ...([flatten2d(), linear(1568, 10)] as const),
)
is<Tensor<[32, 10], 'f32', 'taped'>>()(cnn.forward(zeros([32, 1, 28, 28]).trace()), true)
is<Tensor<[number, 10]>>()(cnn.forward(zeros([n, 1, 28, 28])), true)
is<Parameter<[32, 16, 3, 3]>>()(paramsOf(cnn)['3.weight'], true)
const block = residual(sequential(conv2d(3, 3, 3, { padding: 1 }), batchNorm2d(3), relu()))
is<Tensor<[32, 3, 32, 32]>>()(block.forward(images), true)
const down = addInto(
  sequential(conv2d(3, 8, 3, { stride: 2, padding: 1 }), batchNorm2d(8)),
  sequential(conv2d(3, 8, 1, { stride: 2, bias: false }), batchNorm2d(8)),
)
is<Tensor<[32, 8, 16, 16]>>()(sequential(down, relu()).forward(images), true)
is<Tensor<[32, 8, 9, 9]>>()(down.forward(zeros([32, 3, 17, 17])), true)

class Cnn {
  stem = sequential(conv2d(3, 16, 3, { stride: 2, padding: 1 }), batchNorm2d(16), relu(), maxPool2d(2), flatten2d())
  head = linear(1024, 10)
  forward<B extends number, T extends Tape>(x: Tensor<[B, 3, 32, 32], 'f32', T>) {
    return this.head.forward(this.stem.forward(x))
  }
}
is<Tensor<[32, 10]>>()(new Cnn().forward(images), true)
is<Tensor<[32, 5], 'f32', 'taped'>>()(sequential(new Cnn(), tanh(), linear(10, 5)).forward(images.trace()), true)

// ops
const weight = zeros([8, 3, 3, 5])
is<Tensor<[32, 8, 30, 28]>>()(conv2dOp(images, weight), true)
is<Tensor<[32, 8, 15, 14], 'f32', 'taped'>>()(conv2dOp(images.trace(), weight, zeros([8]), { stride: 2 }), true)
is<Tensor<[32, 6, 32, 32]>>()(conv2dOp(images, zeros([6, 1, 3, 3]), undefined, { groups: 3, padding: 1 }), true)
is<Tensor<[32, 3, 16, 16]>>()(maxPool2dOp(images, 2), true)
is<Tensor<[32, 3, 17, 17]>>()(avgPool2dOp(images, 2, { padding: 1, countIncludePad: false }), true)
is<Tensor<[32, 3]>>()(avgPoolGlobalOp(images), true)
is<Tensor<[32, 3072]>>()(flatten2dOp(images), true)

// Groups and paddings of sizes that are not known, or type parameters, may fit.
export const unknown = [
  ...([conv2d(n, 16, 3, { groups: n }), conv2d(8, 16, 3, { groups: n }), conv2d(8, 16, 3, { groups: 8 })] as const),
  ...([maxPool2d(n, { padding: 2 }), maxPool2d(3, { padding: n }), maxPool2d(4, { padding: 2 })] as const),
]
const depthwise = <const C extends number>(c: C) => conv2d(c, c, 3, { padding: 1, groups: c })
const halves = <const I extends number, const O extends number>(i: I, o: O) => conv2d(i, o, 1, { groups: 2 })
const still = <const K extends number, const P extends number>(k: K, p: P) =>
  sequential(maxPool2d(k, { stride: 1, padding: 1 }), avgPool2d(3, { stride: 1, padding: p }))
is<Tensor<[32, 3, 32, 32]>>()(depthwise(3).forward(images), true)
is<Tensor<[2, 6, 8, 8]>>()(halves(4, 6).forward(zeros([2, 4, 8, 8])), true)
is<Tensor<[32, 3, 32, 32]>>()(still(3, 1).forward(images), true)
