import {
  batchNorm1d,
  type Buffer,
  type Buffers,
  check,
  ema,
  type Equal,
  freeze,
  linear,
  type ParamPath,
  paramsOf,
  type Params,
  type Parameter,
  type PathPattern,
  relu,
  repeated,
  residual,
  sequential,
  splitInto,
  type Tensor,
  update,
} from '../prelude.js'

const a = sequential(linear(784, 512), relu(), linear(512, 10))
const b = sequential(linear(784, 512), relu(), linear(512, 10))
check<Equal<ParamPath<typeof a>, '0.weight' | '0.bias' | '2.weight' | '2.bias'>>()
check<
  Equal<
    PathPattern<typeof a>,
    '0.weight' | '0.bias' | '2.weight' | '2.bias' | '0.*' | '2.*' | '*.weight' | '*.bias' | '*'
  >
>()
check<Equal<ParamPath<ReturnType<typeof unbiased>>, 'weight'>>()
declare function unbiased(): typeof single
const single = linear(3, 4, { bias: false })

class Net {
  encoder = sequential(linear(784, 64), relu(), residual(linear(64, 64)))
  blocks = repeated(6, () => linear(64, 64))
  heads = splitInto(linear(64, 10), linear(64, 1))
  scale!: Parameter<[64]>
  note = 'x'
  get self(): string {
    return this.note
  }
  forward<B extends number>(x: Tensor<[B, 784]>) {
    return this.heads.forward(this.blocks.forward(this.encoder.forward(x)))
  }
  describe(): string {
    return this.note
  }
}
class Net2 extends Net {
  extra = 3
}
const one = new Net()
const two = new Net()
const params = paramsOf(one)
export const w: Parameter<[64, 784]> = params['encoder.0.weight']
export const w2: Parameter<[64, 64]> = params['encoder.2.block.weight']
export const w3: Parameter<[64, 64]> | undefined = params['blocks.5.weight']
export const w4: Parameter<[1, 64]> = params['heads.1.weight']
export const w5: Parameter<[64]> = params.scale

// arrays of a user's class keep their name, as PyTorch's ModuleList does
class Two {
  encoders = [linear(4, 4), linear(4, 4)]
  decoders: [ReturnType<typeof make43>, ReturnType<typeof make31>] = [make43(), make31()]
  forward(x: Tensor<[4]>) {
    return x
  }
}
function make43() {
  return linear(4, 3)
}
function make31() {
  return linear(3, 1)
}
check<
  Equal<
    ParamPath<Two>,
    | `encoders.${number}.weight`
    | `encoders.${number}.bias`
    | 'decoders.0.weight'
    | 'decoders.0.bias'
    | 'decoders.1.weight'
    | 'decoders.1.bias'
  >
>()
check<Equal<Params<Two>['decoders.1.weight'], Parameter<[1, 3]>>>()

// buffers are not parameters
const normed = sequential(linear(4, 8), batchNorm1d(8))
check<Equal<ParamPath<typeof normed>, '0.weight' | '0.bias' | '1.weight' | '1.bias'>>()
check<Equal<keyof Buffers<typeof normed>, '1.running_mean' | '1.running_var' | '1.num_batches_tracked'>>()
check<Equal<Buffers<typeof normed>['1.num_batches_tracked'], Buffer<[], 'i32'>>>()
check<Equal<keyof Buffers<typeof a>, never>>()

update({ target: a, source: b }, ema({ tau: 0.005 }))
update({ target: a, source: b }, ema({ halfLife: 100 }))
freeze(a, '0.weight', '2.*', '*.bias')
freeze(normed, '1.running_mean', '*.running_var')
freeze(
  one,
  'encoder.*',
  'encoder.2.*',
  'encoder.2.block.weight',
  'heads.0.*',
  'blocks.3.weight',
  'blocks.*',
  'scale',
  '*',
)
update({ target: one, source: two }, ema({ tau: 0.1 }))
update({ target: one, source: new Net2() }, ema({ tau: 0.1 }))

// Of a model whose type says nothing of its tensors, any string: what it matches is seen when it runs.
declare const unknown: object
declare const patterns: string[]
check<Equal<PathPattern<object>, string>>()
freeze(unknown, 'head.*', ...patterns)
update({ target: unknown, source: unknown }, ema({ decay: 0.9 }), { only: patterns })
