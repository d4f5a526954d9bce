import {
  type Buffer,
  type Dim,
  dim,
  type Gradients,
  is,
  type Parameter,
  type Shape,
  type Tape,
  type Tensor,
  tensor,
  zeros,
} from '../prelude.js'

const batch = dim('batch', 7)
const length = dim('length', 7)
declare const n: number
const x = zeros([2, 3])
const y = zeros([3, 4])

// creation
is<Tensor<[2, 3]>>()(x, true)
is<Tensor<[2, 3]>>()(
  tensor([
    [1, 2, 3],
    [4, 5, 6],
  ]),
  true,
)
is<Tensor<[1, 2, 2]>>()(
  tensor([
    [
      [1, 2],
      [3, 4],
    ],
  ]),
  true,
)
is<Tensor<[3]>>()(tensor([1, 2, 3]), true)
is<Tensor<[0]>>()(tensor([]), true)
is<Tensor<[2], 'bool'>>()(tensor([true, false]), true)
is<Tensor<[2, 1], 'bool'>>()(tensor([[true], [false]]), true)
is<Tensor<[], 'bool'>>()(tensor(true), true)
is<Tensor<[2], 'i32'>>()(tensor([1, 2], { dtype: 'i32' }), true)
is<Tensor<[number]>>()(tensor([1, 2, 3] as number[]), true)
is<Tensor<[number, number]>>()(tensor([[1]] as number[][]), true)
is<Tensor<[]>>()(tensor(1), true)
is<Tensor<[2, 3], 'f64'>>()(zeros([2, 3], { dtype: 'f64' }), true)
is<Tensor<[Dim<'batch'>, 3]>>()(zeros([batch, 3]), true)
is<Tensor<[number, 3]>>()(zeros([n, 3]), true)
is<Tensor<[0, 3]>>()(zeros([0, 3]), true)

// reading
is<[2, 3]>()(x.shape, true)
is<2>()(x.rank, true)
is<'none'>()(x.tape, true)
is<'taped'>()(x.trace().tape, true)
is<Promise<number>>()(x.sum().item(), true)
is<number>()(zeros([1, 1]).itemSync(), true)
is<number>()(zeros([n]).itemSync(), true)
is<number>()(zeros([batch, 1]).itemSync(), true)
is<number[][]>()(x.arraySync(), true)
is<number>()(x.sum().arraySync(), true)
is<Promise<number[][][]>>()(zeros([2, n, 4]).array(), true)
is<Int32Array>()(x.argmax(0).dataSync(), true)
is<Promise<Float32Array>>()(x.data(), true)

// elementwise, tape
is<Tensor<[2, 3]>>()(x.add(x), true)
is<Tensor<[2, 3]>>()(x.add(2).sub(x).mul(0.5).div(x), true)
is<Tensor<[2, 3], 'f32', 'taped'>>()(x.add(x.trace()), true)
is<Tensor<[2, 3], 'f32', 'taped'>>()(x.trace().add(x), true)
is<Tensor<[2, 3]>>()(x.trace().detach(), true)
is<Tensor<[2, 3]>>()(x.neg().pow(2).square().sqrt().exp().log().abs().relu().tanh().sigmoid(), true)
is<Tensor<[2, 3], 'bool'>>()(x.trace().lt(x), true)
is<Tensor<[2, 3], 'bool'>>()(x.eq(0), true)
is<Tensor<[2, 3], 'f32', 'taped'>>()(x.trace().softmax(-1).logSoftmax(0), true)
is<Tensor<[2, 3], 'f64', 'taped'>>()(x.trace().to('f64'), true)
is<Tensor<[2, 3], 'i32'>>()(x.trace().to('i32'), true)

// matmul: every combination of ranks
is<Tensor<[]>>()(zeros([3]).matmul(zeros([3])), true)
is<Tensor<[3]>>()(zeros([2]).matmul(x), true)
is<Tensor<[2]>>()(x.matmul(zeros([3])), true)
is<Tensor<[2, 4]>>()(x.matmul(y), true)
is<Tensor<[8, 2, 16]>>()(zeros([8, 2, 32]).matmul(zeros([32, 16])), true)
is<Tensor<[8, 4, 2, 16]>>()(zeros([8, 4, 2, 32]).matmul(zeros([32, 16])), true)
is<Tensor<[8, 2, 16]>>()(zeros([8, 2, 32]).matmul(zeros([8, 32, 16])), true)
is<Tensor<[8, 4, 2, 16]>>()(zeros([8, 4, 2, 32]).matmul(zeros([8, 4, 32, 16])), true)
is<Tensor<[Dim<'batch'>, 4]>>()(zeros([batch, 3]).matmul(y), true)
is<Tensor<[2, 4], 'f32', 'taped'>>()(x.matmul(y.trace()), true)

// reductions
is<Tensor<[]>>()(x.sum(), true)
is<Tensor<[3]>>()(x.sum(0), true)
is<Tensor<[2]>>()(x.mean(-1), true)
is<Tensor<[4]>>()(zeros([2, 4, 3]).max([0, -1]), true)
is<Tensor<[2, 4, 3]>>()(zeros([2, 4, 3]).min([]), true)
is<Tensor<[2], 'i32'>>()(x.trace().argmax(-1), true)
is<Tensor<[1, 2, 3, 4, 5]>>()(zeros([1, 2, 3, 4, 5, 6]).sum(-1), true)

// movement
is<Tensor<[4, 2, 3]>>()(zeros([2, 3, 4]).permute(2, 0, 1), true)
is<Tensor<[6]>>()(x.reshape([6]), true)
is<Tensor<[3, 2]>>()(x.reshape([3, -1]), true)
is<Tensor<[]>>()(zeros([1, 1]).reshape([]), true)
is<Tensor<[Dim<'batch'>, 784]>>()(zeros([batch, 28, 28]).reshape([batch, 784]), true)
is<Tensor<[number, 28]>>()(zeros([n, 28]).reshape([-1, 28]), true)
is<Tensor<[2, number]>>()(x.reshape([2, n]), true)
is<Tensor<[Dim<'length'>, 4]>>()(zeros([batch, 4]).reshape([length, 4]), true)
is<Tensor<[Dim<'batch'>, 784]>>()(zeros([batch, 28, 28]).flatten(), true)
is<Tensor<[32, 25088]>>()(zeros([32, 512, 7, 7]).flatten(), true)
is<Tensor<[24]>>()(zeros([2, 3, 4]).flatten(0), true)
is<Tensor<[2, 3, 20]>>()(zeros([2, 3, 4, 5]).flatten(2), true)
is<Tensor<[5]>>()(zeros([5]).flatten(), true)
is<Tensor<[1]>>()(tensor(1).flatten(), true)
is<Tensor<[2, 7]>>()(x.concat(zeros([2, 4]), 1), true)
is<Tensor<[2, 7]>>()(x.concat(zeros([2, 4]), -1), true)
is<Tensor<[number, 3]>>()(x.concat(zeros([n, 3]), 0), true)
is<Tensor<[1, 3]>>()(x.slice([[0, 1]]), true)
is<Tensor<[2, 2]>>()(x.slice([null, [1, 3]]), true)
is<Tensor<[0, 3]>>()(x.slice([[1, 1]]), true)
is<Tensor<[number, 3]>>()(x.slice([[0, n]]), true)
is<Tensor<[2]>>()(x.select(1, 0), true)
is<Tensor<[2]>>()(x.select(1, zeros([2], { dtype: 'i32' })), true)
is<Tensor<[2]>>()(x.select(-1, zeros([2], { dtype: 'u32' })), true)
is<Tensor<[2, 4]>>()(zeros([2, 3, 4]).select(1, zeros([2], { dtype: 'i32' })), true)
is<Tensor<[5, 16]>>()(zeros([1000, 16]).gather(0, zeros([5], { dtype: 'i32' })), true)
is<Tensor<[2, 4, 5]>>()(x.gather(-1, zeros([4, 5], { dtype: 'u32' })), true)
is<Tensor<[2, 3]>>()(zeros([3]).broadcastTo([2, 3]), true)
is<Tensor<[2, 3]>>()(zeros([2, 1]).broadcastTo([2, 3]), true)
is<Tensor<[4, 2, 3]>>()(x.broadcastTo([4, 2, 3]), true)
is<Tensor<[2, 3]>>()(tensor(1).broadcastTo([2, 3]), true)
is<Tensor<[Dim<'batch'>, 3]>>()(zeros([3]).broadcastTo([batch, 3]), true)
is<Tensor<[32, 3]>>()(zeros([n, 3]).realize([32, 3]), true)
is<Tensor<[2]>>()(
  x.pipe((t) => t.sum(1)),
  true,
)

// backward
is<Gradients>()(x.trace().mean().backward({ retain: true }), true)
declare const w: Parameter<[2, 3]>
is<Tensor<[2, 3]>>()(x.trace().mean().backward().get(w), true)

// forgetting a size, a role or both is a subtype
export const forgotten: Tensor<[number, 3]> = x
export const unnamed: Tensor<[number, 3]> = zeros([batch, 3])
export const plain: Tensor<[2, 3]> = w
export const some: Tensor<number[]> = x
declare const running: Buffer<[3]>
export const state: Tensor<[3]> = running

// generic code resolves
export function normalize<B extends number, T extends Tape>(v: Tensor<[B, 512], 'f32', T>, m: Tensor<[512, 10]>) {
  return v.add(v).mul(2).matmul(m).relu().softmax(-1).exp()
}
is<Tensor<[32, 10], 'f32', 'taped'>>()(normalize(zeros([32, 512]).trace(), zeros([512, 10])), true)
export function lastAxis<L extends Shape, T extends Tape>(
  v: Tensor<[...L, 10], 'f32', T>,
): Tensor<[...L, 10], 'f32', T> {
  return v.softmax(-1).add(v)
}
is<Tensor<[2, 5, 10]>>()(lastAxis(zeros([2, 5, 10])), true)

// values whose type is not known
is<Tensor<number[]>>()(tensor(JSON.parse('[[1, 2]]')), true)
is<Tensor<number[], 'i32'>>()(tensor(JSON.parse('[[1, 2]]'), { dtype: 'i32' }), true)
