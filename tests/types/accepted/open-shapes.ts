// Tensors of unknown rank, as gradients are written on: every operation works and gives unknown sizes.
import {
  type Arg,
  type FloatDType,
  is,
  type Matmul,
  type Res,
  type Shape,
  type Tape,
  type Tensor,
  zeros,
} from '../prelude.js'

type Open = Tensor<number[], FloatDType>
declare const o: Open
declare const known: Tensor<[3, 4], FloatDType>
declare const taped: Tensor<number[], FloatDType, 'taped'>
declare const n: number
declare const ns: number[]
const x = zeros([2, 3])
const i = zeros([2], { dtype: 'i32' })

is<Open>()(o.add(o).sub(o).mul(2).div(o).neg().exp().log().sqrt().relu(), true)
is<Tensor<number[], 'bool'>>()(o.gt(0), true)
is<Open>()(o.matmul(o), true)
is<Open>()(o.matmul(known), true)
is<Open>()(known.matmul(o), true)
is<Tensor<[], FloatDType>>()(o.sum(), true)
is<Open>()(o.sum(n), true)
is<Open>()(o.mean(ns), true)
is<Open>()(o.max([0, 1]), true)
is<Open>()(o.min(-1), true)
is<Tensor<number[], 'i32'>>()(o.argmax(-1), true)
is<Tensor<number[], 'i32'>>()(o.argmax(n), true)
is<Open>()(o.softmax(n), true)
is<Open>()(o.reshape(ns), true)
is<Tensor<[2, 3], FloatDType>>()(o.reshape([2, 3]), true)
is<Tensor<[number, 3], FloatDType>>()(o.reshape([-1, 3]), true)
is<Tensor<number[]>>()(x.reshape(ns), true)
is<Open>()(o.permute(...ns), true)
is<Open>()(o.permute(1, 0), true)
is<Tensor<number[]>>()(x.permute(...ns), true)
is<Open>()(o.broadcastTo(ns), true)
is<Tensor<[2, 3], FloatDType>>()(o.broadcastTo([2, 3]), true)
is<Tensor<number[]>>()(x.broadcastTo(ns), true)
is<Open>()(o.flatten(), true)
is<Open>()(o.flatten(n), true)
is<Open>()(o.slice([[0, 2]]), true)
is<Open>()(o.slice([[n, n]] as [number, number][]), true)
is<Tensor<number[]>>()(x.slice([[n, n]] as [number, number][]), true)
is<Open>()(o.select(0, 0), true)
is<Open>()(o.concat(o, 0), true)
is<Open>()(o.concat(o, n), true)
is<Open>()(o.gather(0, i), true)
is<Open>()(o.gather(n, zeros(ns, { dtype: 'i32' })), true)
is<Promise<number>>()(o.item(), true)
taped.backward()

// only the last size known
declare const last: Tensor<[...number[], 784]>
is<Tensor<number[]>>()(last.sum(-1), true)
is<Tensor<number[]>>()(last.matmul(zeros([784, 10])), true)
is<Tensor<number[]>>()(last.flatten(), true)
is<Tensor<number[]>>()(last.permute(1, 0), true)
is<Tensor<[...number[], 784]>>()(last.softmax(-1), true)

// the function form of an operation has the same checks
export function matmul<
  A extends Shape,
  B extends Shape,
  D extends FloatDType,
  T extends Tape = never,
  T2 extends Tape = never,
>(a: Tensor<A, D, T>, b: Arg<Matmul<A, B>, Tensor<B, D, T2>>): Res<Matmul<A, B>, D, T | T2> {
  return a.matmul(b)
}
is<Tensor<[2, 4]>>()(matmul(x, zeros([3, 4])), true)
is<Open>()(matmul(o, o), true)
// @ts-expect-error
matmul(x, x)
