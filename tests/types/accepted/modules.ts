import {
  addInto,
  type Apply,
  batchNorm1d,
  type Dim,
  dim,
  dropout,
  embedding,
  flatten,
  type Fn,
  type IN,
  type Input,
  is,
  layerNorm,
  type Linear,
  linear,
  type Mul,
  type OUT,
  type ReLU,
  relu,
  repeated,
  residual,
  type Result,
  type Sequential,
  sequential,
  splitInto,
  tanh,
  type Tape,
  type Tensor,
  zeros,
} from '../prelude.js'

const batch = dim('batch', 7)
declare const n: number
const mlp = sequential(linear(784, 512), relu(), linear(512, 128), relu(), linear(128, 10))
is<Sequential<[Linear<784, 512>, ReLU, Linear<512, 128>, ReLU, Linear<128, 10>]>>()(mlp, true)
is<Tensor<[32, 10]>>()(mlp.forward(zeros([32, 784])), true)
is<Tensor<[10]>>()(mlp.forward(zeros([784])), true)
is<Tensor<[Dim<'batch'>, 5, 10], 'f32', 'taped'>>()(mlp.forward(zeros([batch, 5, 784]).trace()), true)
is<Tensor<[number, 10]>>()(mlp.forward(zeros([n, 784])), true)

// layers
is<Tensor<[32, 10], 'f64'>>()(linear(4, 10, { dtype: 'f64' }).forward(zeros([32, 4], { dtype: 'f64' })), true)
is<Tensor<[32, 10]>>()(sequential(linear(4, 10, { bias: false }), tanh()).forward(zeros([32, 4])), true)
is<Tensor<[32, 512]>>()(sequential(linear(784, 512), batchNorm1d(512), relu()).forward(zeros([32, 784])), true)
is<Tensor<[8, 4, 5]>>()(batchNorm1d(4).forward(zeros([8, 4, 5])), true)
is<Tensor<[8, 4], 'f32', 'taped'>>()(batchNorm1d(4).forward(zeros([8, 4]).trace()), true)
is<Tensor<[32, 10]>>()(sequential(flatten(), linear(784, 10)).forward(zeros([32, 1, 28, 28])), true)
is<Tensor<[2, 3]>>()(dropout(0.5).forward(zeros([2, 3])), true)
is<Tensor<[32, 16, 64]>>()(
  sequential(embedding(1000, 64), layerNorm(64)).forward(zeros([32, 16], { dtype: 'i32' })),
  true,
)
is<Tensor<[5, 64]>>()(embedding(10, 64).forward(zeros([5], { dtype: 'u32' })), true)

// plain classes
class Mlp {
  l1 = linear(784, 512)
  norm = layerNorm(512)
  l2 = linear(512, 10)
  forward<B extends number, T extends Tape>(x: Tensor<[B, 784], 'f32', T>) {
    return this.l2.forward(this.norm.forward(this.l1.forward(x).relu()))
  }
}
class AnyLead {
  trunk = sequential(linear(784, 512), relu(), linear(512, 512))
  l2 = linear(512, 10)
  forward<L extends number[], T extends Tape>(x: Tensor<[...L, 784], 'f32', T>) {
    return this.l2.forward(this.trunk.forward(x).relu())
  }
}
class Normed {
  trunk = sequential(linear(784, 64), batchNorm1d(64), relu(), linear(64, 10))
  forward<B extends number, T extends Tape>(x: Tensor<[B, 784], 'f32', T>) {
    return this.trunk.forward(x)
  }
}
is<Tensor<[32, 10]>>()(new Mlp().forward(zeros([32, 784])), true)
is<Tensor<[32, 4, 10]>>()(new AnyLead().forward(zeros([32, 4, 784])), true)
is<Tensor<[32, 10]>>()(new Normed().forward(zeros([32, 784])), true)
is<Tensor<[32, 2]>>()(sequential(new Normed(), linear(10, 2)).forward(zeros([32, 784])), true)
const nested = sequential(new Mlp(), relu(), linear(10, 2))
is<Tensor<[32, 2]>>()(nested.forward(zeros([32, 784])), true)
is<Tensor<[Dim<'batch'>, 2], 'f32', 'taped'>>()(nested.forward(zeros([batch, 784]).trace()), true)
is<Tensor<[32, 7, 2]>>()(sequential(new AnyLead(), relu(), linear(10, 2)).forward(zeros([32, 7, 784])), true)

// combinators
is<Tensor<[32, 512]>>()(residual(sequential(linear(512, 64), relu(), linear(64, 512))).forward(zeros([32, 512])), true)
is<[Tensor<[32, 10]>, Tensor<[32, 1]>]>()(splitInto(linear(64, 10), linear(64, 1)).forward(zeros([32, 64])), true)
is<Tensor<[32, 512]>>()(repeated(12, () => residual(linear(512, 512))).forward(zeros([32, 512])), true)
is<Tensor<[32, 7]>>()(sequential(addInto(linear(4, 7), linear(4, 7)), relu()).forward(zeros([32, 4])), true)

// the guess about plain classes is confirmed by assignability: a transposing forward falls back to [number, number]
class Transpose {
  forward<A extends number, C extends number>(x: Tensor<[A, C]>): Tensor<[C, A]> {
    return x.permute(1, 0) as unknown as Tensor<[C, A]>
  }
}
is<Tensor<[number, number]>>()(sequential(new Transpose(), relu()).forward(zeros([2, 3])), true)
class TwoLead {
  l = linear(8, 4)
  forward<A extends number, C extends number, T extends Tape>(x: Tensor<[A, C, 8], 'f32', T>) {
    return this.l.forward(x)
  }
}
is<Tensor<[2, 3, 4]>>()(sequential(new TwoLead(), relu()).forward(zeros([2, 3, 8])), true)

// a module of the user's that computes its shape
class Double implements Fn {
  declare readonly [IN]: unknown
  declare readonly [OUT]: this[IN] extends Tensor<infer S, infer D, infer T>
    ? S extends [...infer L extends number[], infer K]
      ? Tensor<[...L, Mul<2, K>], D, T>
      : 'Double: scalar input'
    : never
  forward<X>(x: Input<Apply<this, X>, X>): Result<Apply<this, X>> {
    return x as unknown as Result<Apply<this, X>>
  }
}
is<Tensor<[2, 6]>>()(sequential(new Double(), relu(), linear(6, 6)).forward(zeros([2, 3])), true)

// blocks of generic size
const feedForward = <const E extends number>(e: E) => residual(sequential(linear(e, 256), relu(), linear(256, e)))
class Encoder<const E extends number> {
  inner
  norm
  constructor(e: E) {
    this.inner = feedForward(e)
    this.norm = layerNorm(e)
  }
  forward<L extends number[], T extends Tape>(x: Tensor<[...L, E], 'f32', T>) {
    return this.norm.forward(x).relu()
  }
}
is<Tensor<[2, 9, 64]>>()(sequential(feedForward(64), feedForward(64), new Encoder(64)).forward(zeros([2, 9, 64])), true)
