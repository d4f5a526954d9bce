import {
  batchNorm1d,
  batchNorm2d,
  check,
  conv2d,
  convert,
  ema,
  embedding,
  type Equal,
  flatten2d,
  layerNorm,
  linear,
  maxPool2d,
  ones,
  type Parameter,
  relu,
  repeated,
  residual,
  sequential,
  splitInto,
  type State,
  type Tensor,
  update,
} from '../prelude.js'

// Built-in modules are as if made with the dtype.
const plain = sequential(linear(8, 16), relu(), layerNorm(16), residual(linear(16, 16, { bias: false })))
const half = sequential(
  linear(8, 16, { dtype: 'bf16' }),
  relu(),
  layerNorm(16, { dtype: 'bf16' }),
  residual(linear(16, 16, { bias: false, dtype: 'bf16' })),
)
const converted = convert(plain, 'bf16')
check<Equal<typeof converted, typeof half>>()
check<Equal<State<typeof converted>['0.weight'], Parameter<[16, 8], 'bf16'>>>()
export const y: Tensor<[3, 16], 'bf16'> = converted.forward(ones([3, 8], { dtype: 'bf16' }))
update({ target: half, source: converted }, ema({ decay: 0.9 }))
// And back.
const back = convert(converted, 'f32')
check<Equal<typeof back, typeof plain>>()
update({ target: plain, source: back }, ema({ decay: 0.9 }))

const images = convert(
  sequential(
    conv2d(3, 8, 3, { padding: 1, bias: false }),
    batchNorm2d(8),
    relu(),
    maxPool2d(2),
    flatten2d(),
    linear(128, 2),
  ),
  'f16',
)
export const z: Tensor<[5, 2], 'f16', 'taped'> = images.forward(ones([5, 3, 8, 8], { dtype: 'f16' }).trace())
// Integers stay as they are.
check<Equal<State<typeof images>['1.num_batches_tracked']['dtype'], 'i32'>>()
check<Equal<State<typeof images>['1.running_mean']['dtype'], 'f16'>>()

// Of classes the fields are converted.
class Net {
  readonly encoder = sequential(linear(4, 8), batchNorm1d(8))
  readonly table = embedding(10, 4)
  readonly blocks = repeated(3, () => linear(8, 8))
  readonly heads = splitInto(linear(8, 2), linear(8, 1))
  readonly temperature = 0.5
  forward(x: Tensor<[2, 4]>): Tensor<[2, 8]> {
    return this.encoder.forward(x)
  }
}
const net = convert(new Net(), 'bf16')
check<Equal<typeof net.encoder, ReturnType<typeof halfEncoder>>>()
declare function halfEncoder(): typeof encoder
const encoder = sequential(linear(4, 8, { dtype: 'bf16' }), batchNorm1d(8, { dtype: 'bf16' }))
check<Equal<State<typeof net>['heads.1.bias'], Parameter<[1], 'bf16'>>>()
check<Equal<typeof net.temperature, 0.5>>()
