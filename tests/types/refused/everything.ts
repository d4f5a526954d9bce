// Each line below a @ts-expect-error must not compile.
import {
  adam,
  assign,
  averageFiles,
  avgPool2d,
  avgPool2dOp,
  compile,
  conv2d,
  ema,
  emaFiles,
  f32,
  follow,
  freeze,
  linear,
  maxPool2d,
  maxPool2dOp,
  parameter,
  postHocEma,
  type Parameter,
  type Tensor,
  dim,
  relu,
  repeated,
  resetParameters,
  sequential,
  stateOf,
  tensor,
  update,
  zeros,
  zipTensors,
} from '../prelude.js'

const batch = dim('batch', 7)
const time = dim('time', 7)
declare let n: number
const x = zeros([2, 3])
const y = zeros([3, 4])
const i = zeros([2, 3], { dtype: 'i32' })

// @ts-expect-error
x.add(y)
// @ts-expect-error
x.add(zeros([2, 3], { dtype: 'f64' }))
// @ts-expect-error
zeros([batch, 3]).add(zeros([time, 3]))
// @ts-expect-error
x.lt(y)
// @ts-expect-error
x.matmul(x)
// @ts-expect-error
x.sum(2)
// @ts-expect-error
x.sum([0, 2])
// @ts-expect-error
x.softmax(-3)
// @ts-expect-error
x.sum().sum(0)
// @ts-expect-error
x.reshape([4, 2])
// @ts-expect-error
x.reshape([4, -1])
// @ts-expect-error
x.reshape([-1, -1])
// @ts-expect-error
x.permute(0)
// @ts-expect-error
x.permute(0, 0)
// @ts-expect-error
x.slice([[0, 3]])
// @ts-expect-error
x.slice([[-1, 2]])
// @ts-expect-error
x.concat(zeros([3, 4]), 1)
// @ts-expect-error
zeros([2]).broadcastTo([2, 3])
// @ts-expect-error
x.backward()
// @ts-expect-error
x.sum().backward()
// @ts-expect-error
x.trace().backward()
// @ts-expect-error
void x.item()
// @ts-expect-error
i.exp()
// @ts-expect-error
i.mean()
// @ts-expect-error
x.gather(0, x)
// @ts-expect-error
tensor([[1, 2], [3]])
// @ts-expect-error
tensor([[1, 2], 3])
// @ts-expect-error
export const stored: Tensor<[2, 3]> = x.trace()
// @ts-expect-error
export const weight: Parameter<[2, 3]> = x
// @ts-expect-error
export const trained: Parameter<[2, 3]> = x.trace()
// @ts-expect-error
parameter(x.trace())
// @ts-expect-error
parameter(i)
// @ts-expect-error
export const narrowed: Tensor<[2, 3]> = zeros([n, 3])
// @ts-expect-error
export const named: Tensor<[typeof batch]> = zeros([time])

const feedForward = <const E extends number>(e: E) => sequential(linear(e, 8), relu(), linear(8, e))
// @ts-expect-error
sequential(feedForward(64), linear(32, 1), relu())
class NoTape {
  l = linear(8, 8)
  forward<B extends number>(v: Tensor<[B, 8]>) {
    return this.l.forward(v)
  }
}
sequential(new NoTape(), relu()).forward(zeros([2, 8]))
// @ts-expect-error
sequential(new NoTape(), relu()).forward(zeros([2, 8]).trace())
// @ts-expect-error
sequential(linear(3, 4), 5)

const a = sequential(linear(784, 512), relu(), linear(512, 10))
const c = sequential(linear(784, 256), relu(), linear(256, 10))
const d = sequential(linear(784, 512), relu(), linear(512, 10), relu(), linear(10, 10))
// @ts-expect-error
update({ target: a, source: c }, ema({ tau: 0.005 }))
// @ts-expect-error
update({ target: a, source: d }, ema({ tau: 0.005 }))
// @ts-expect-error
update({ target: d, source: a }, ema({ tau: 0.005 }))
// @ts-expect-error
ema({ tau: 0.005, decay: 0.9 })
// @ts-expect-error
ema({})
// @ts-expect-error
ema(0.999)
// @ts-expect-error
freeze(a, '0.wieght')
// @ts-expect-error
freeze(a, '*.wieght')
// @ts-expect-error
freeze(a, '1.*')
const deep = { forward: (v: Tensor<[8]>) => v, blocks: repeated(2, () => linear(8, 8)) }
// @ts-expect-error
freeze(deep, 'block.*')

const follower = follow(sequential(linear(4, 8), linear(8, 2)), ema({ decay: 0.9 }))
const slopes = zeros([5, 4]).trace().sum().backward()
// @ts-expect-error
slopes.get(follower.model.layers[0].weight)
// @ts-expect-error
adam(follower.model)
// @ts-expect-error
adam(follower)
// @ts-expect-error
update({ target: sequential(linear(4, 8)), source: follower.model }, ema({ decay: 0.9 }))
// @ts-expect-error
follow(linear(4, 8), ema({ decay: 0.9 }), { only: ['wieght'] })
// @ts-expect-error
update({ target: linear(4, 8), source: linear(4, 8) }, ema({ decay: (n) => n / 10 }))
// @ts-expect-error
follow(linear(4, 8), ema({ decay: 0.9 }), { dtype: 'i32' })

// the walk
// @ts-expect-error
zipTensors(linear(3, 4), linear(3, 5))
// @ts-expect-error
zipTensors(linear(3, 4), linear(3, 4), sequential(linear(3, 4)))
// @ts-expect-error
assign(stateOf(linear(3, 4)).weight, zeros([3, 4]))
// @ts-expect-error
assign(zeros([3, 4]), zeros([3, 4]))
// @ts-expect-error
assign(stateOf(linear(3, 4)).weight, zeros([4, 3]).trace())
// @ts-expect-error
stateOf(linear(3, 4)).wait
// @ts-expect-error
resetParameters(linear(3, 4), 'head.*')

// Arguments of a stated signature, and their fields
const stated = compile([{ x: f32(2, 4) }, f32()], ({ x }, k) => x.sum().mul(k))
// @ts-expect-error
stated({ x: new Int32Array(8) }, 1)
// @ts-expect-error
stated({ y: new Float32Array(8) }, 1)
// @ts-expect-error
stated({ x: zeros([4, 2]) }, 1)
// @ts-expect-error
stated({ x: zeros([2, 4]) }, true)
// @ts-expect-error
compile([[2, 4]], (x: unknown) => x)

// Files and snapshots
// @ts-expect-error
void averageFiles({ sources: ['a', 'b'], output: 'c' }, { alpha: 0.5, slerp: 0.5 })
// @ts-expect-error
void averageFiles({ sources: ['a', 'b'], output: 'c' }, { dtype: 'F32' })
// @ts-expect-error
void averageFiles({ sources: ['a', 'b'] }, { alpha: 0.5 })
// @ts-expect-error
void emaFiles({ target: 'a', source: 'b' }, {})
// @ts-expect-error
void emaFiles({ target: 'a', source: 'b' }, { decay: 0.5, tau: 0.5 })
// @ts-expect-error
postHocEma([{ sigmaRel: 0.1, model: linear(2, 2) }], { sigmaRel: 0.1 })
// @ts-expect-error
postHocEma([{ sigmaRel: 0.1, step: 1, model: linear(2, 2) }], {})

// Groups and paddings that do not fit, wherever what is wrong is known.
// @ts-expect-error
conv2d(4, 15, 3, { groups: 2, bias: false })
// @ts-expect-error
conv2d(3, 15, 3, { groups: 2 })
// @ts-expect-error
conv2d(64, 96, 3, { padding: 1, groups: 64 })
export const windows = <const K extends number>(k: K) => [
  // @ts-expect-error
  conv2d(3, k, 3, { groups: 2 }),
  // @ts-expect-error
  maxPool2d(3, { padding: 2, stride: k }),
]
// @ts-expect-error
avgPool2d(10, { padding: 6, countIncludePad: false })
// @ts-expect-error
maxPool2dOp(zeros([1, 8, 8]), 2, { padding: 2 })
// @ts-expect-error
avgPool2dOp(zeros([1, 8, 8]), 3, { padding: 2 })
