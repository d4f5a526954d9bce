import '../../src/autodiff/fluent.js'
import '../../src/ops/fluent.js'
import { beforeAll, expect, it } from 'vitest'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import * as d from '../../src/ops/index.js'
import type { DType } from '../../src/shapes/dtype.js'
import { Device, setDefaultDevice } from '../../src/tensor/device.js'
import type { Shape, Tape, Tensor } from '../../src/tensor/tensor.js'

/**
 * Types against run time: the compiler checks that a tensor has exactly the stated shape, dtype and tape state in its
 * type, the test that it has them in fact.
 */

beforeAll(() => setDefaultDevice(new Device(createReferenceBackend())))

type Probe<A> = <X>() => X extends A ? 1 : 2
type Same<A, B> = Probe<A> extends Probe<B> ? true : false

function is<const N extends readonly number[], D2 extends DType = 'f32', T2 extends 'taped' | 'none' = 'none'>(
  shape: N,
  dtype: D2 = 'f32' as D2,
  tape: T2 = 'none' as T2,
) {
  return <S extends Shape, D extends DType, T extends Tape>(
    x: Tensor<S, D, T>,
    _matches: Same<[S, D, T], [Mutable<N>, D2, T2 extends 'taped' ? 'taped' : never]>,
  ): void => {
    expect(x.shape).toEqual(shape)
    expect(x.dtype).toBe(dtype)
    expect(x.tape).toBe(tape)
  }
}
type Mutable<N> = { -readonly [K in keyof N]: N[K] }

const x = () => d.zeros([2, 3])
const traced = () => x().trace()
const ids = () => d.zeros([4], { dtype: 'i32' })

it('creation', () => {
  is([2, 3])(
    d.tensor([
      [1, 2, 3],
      [4, 5, 6],
    ]),
    true,
  )
  is([])(d.tensor(5), true)
  is([2], 'bool')(d.tensor([true, false]), true)
  is([2], 'i32')(d.tensor([1, 2], { dtype: 'i32' }), true)
  is([2, 2], 'i32')(d.tensor(Int32Array.of(1, 2, 3, 4), [2, 2]), true)
  is([2, 1], 'f64')(d.tensor(Float64Array.of(1, 2), [2, 1]), true)
  is([2, 3], 'f64')(d.full([2, 3], 7, { dtype: 'f64' }), true)
  is([2, 3])(d.ones([2, 3]), true)
  is([2, 3])(d.zerosLike(traced()), true)
  is([4], 'i32')(d.onesLike(ids()), true)
  is([5])(d.arange(5), true)
  is([5])(d.linspace(0, 1, 5), true)
  is([3, 3])(d.eye(3), true)
  is([2, 2], 'f64')(d.uniform([2, 2], { dtype: 'f64' }), true)
  is([2, 2])(d.normal([2, 2], { std: 2 }), true)
  const ranged: Tensor<[number]> = d.arange(5, { start: 1 })
  expect(ranged.shape).toEqual([4])
})

it('elementwise', () => {
  is([2, 3], 'f32', 'taped')(d.add(x(), traced()), true)
  is([2, 3], 'f32', 'taped')(d.sub(1, traced()), true)
  is([2, 3])(d.div(x(), 2), true)
  is([4], 'i32')(d.mul(ids(), ids()), true)
  is([2, 3], 'f32', 'taped')(d.pow(2, traced()), true)
  is([2, 3], 'f32', 'taped')(d.exp(traced()), true)
  is([2, 3], 'bool')(d.gt(traced(), 0), true)
  is([2, 3], 'bool')(d.isNan(x()), true)
  is([2, 3], 'f32', 'taped')(d.where(x().gt(0), traced(), 0), true)
  is([2, 3], 'f32', 'taped')(d.where(x().gt(0), 0, traced()), true)
  is([2, 3])(d.where(x().gt(0), 0, 1), true)
  is([2, 3], 'f64', 'taped')(d.cast(traced(), 'f64'), true)
  is([2, 3], 'i32')(d.cast(traced(), 'i32'), true)
  is([2, 3], 'f32', 'taped')(d.clamp(traced(), { min: 0 }), true)
  is([2, 3])(d.gelu(x(), { approximate: 'tanh' }), true)
})

it('reductions and norms', () => {
  is([])(d.sum(x()), true)
  is([2], 'f32', 'taped')(d.mean(traced(), -1), true)
  is([])(d.variance(x(), [0, 1]), true)
  is([3])(d.std(x(), 0, { correction: 0 }), true)
  is([2])(d.logSumExp(x(), 1), true)
  is([2], 'i32')(d.argmax(traced(), 1), true)
  is([2, 3], 'f32', 'taped')(d.softmax(traced(), -1), true)
  is([2, 3], 'f32', 'taped')(d.layerNorm(traced(), d.ones([3]), d.zeros([3])), true)
  const { output, mean } = d.batchNormTraining(traced(), d.ones([3]), d.zeros([3]))
  is([2, 3], 'f32', 'taped')(output, true)
  is([3])(mean, true)
  is([2, 3])(d.batchNorm(x(), mean, mean, d.ones([3]), d.zeros([3])), true)
  is([2, 3], 'f32', 'taped')(d.dropout(traced(), { p: 0.1 }), true)
})

it('movement', () => {
  is([3, 2])(d.reshape(x(), [3, 2]), true)
  is([6])(d.reshape(x(), [-1]), true)
  is([3, 2], 'f32', 'taped')(d.permute(traced(), 1, 0), true)
  is([4, 2, 3])(d.broadcastTo(x(), [4, 2, 3]), true)
  is([2, 12])(d.flatten(d.zeros([2, 3, 4])), true)
  is([1, 3])(d.slice(x(), [[1, 2]]), true)
  is([2])(d.select(x(), 1, 0), true)
  is([2], 'f32', 'taped')(d.select(traced(), 1, d.zeros([2], { dtype: 'i32' })), true)
  is([2, 5], 'f32', 'taped')(d.concat([x(), d.zeros([2, 2]).trace()], 1), true)
  is([6, 3])(d.concat([x(), x(), x()], 0), true)
  is([2, 2, 3])(d.stack([x(), x()]), true)
  is([2, 3, 3], 'f32', 'taped')(d.stack([traced(), traced(), traced()], 2), true)
  is([5, 4])(
    d.pad(x(), [
      [1, 2],
      [0, 1],
    ]),
    true,
  )
  is([2, 4], 'f32', 'taped')(d.pad(traced(), [null, [1, 0]], 9), true)
  const open = d.zeros([2, 3]) as Tensor<[number, 3]>
  is([2, 3])(d.realize(open, [2, 3]), true)
})

it('matrices and indices', () => {
  is([2, 4], 'f32', 'taped')(d.matmul(traced(), d.zeros([3, 4])), true)
  is([])(d.matmul(d.zeros([3]), d.zeros([3])), true)
  is([7, 2, 4])(d.matmul(d.zeros([7, 2, 3]), d.zeros([3, 4])), true)
  is([2, 5], 'f32', 'taped')(d.linear(traced(), d.zeros([5, 3]), d.zeros([5])), true)
  is([4, 3], 'f32', 'taped')(d.gather(traced(), 0, ids()), true)
  is([2, 4, 1])(d.gather(x(), 1, d.zeros([4, 1], { dtype: 'u32' })), true)
  is([2, 3], 'f32', 'taped')(d.scatterAdd(x(), 1, ids(), d.zeros([2, 4]).trace()), true)
  is([4, 8])(d.embedding(ids(), d.zeros([10, 8])), true)
  is([4, 8], 'f32', 'taped')(d.embedding(ids().trace(), d.zeros([10, 8])), true)
  is([4, 10])(d.oneHot(ids(), 10), true)
})

it('images', () => {
  const image = () => d.zeros([2, 3, 9, 8])
  is([2, 4, 7, 4])(d.conv2d(image(), d.zeros([4, 3, 3, 5])), true)
  is(
    [2, 4, 5, 4],
    'f32',
    'taped',
  )(d.conv2d(image().trace(), d.zeros([4, 3, 3, 3]), d.zeros([4]), { stride: 2, padding: 1 }), true)
  is(
    [2, 6, 5, 4],
    'f32',
    'taped',
  )(d.conv2d(image(), d.zeros([6, 1, 3, 3]).trace(), undefined, { groups: 3, dilation: 2 }), true)
  is([3, 4, 4])(d.maxPool2d(d.zeros([3, 9, 8]), 2), true)
  is([2, 3, 5, 4], 'f32', 'taped')(d.maxPool2d(image().trace(), 3, { stride: 2, padding: 1 }), true)
  is([2, 3, 8, 7])(d.avgPool2d(image(), 2, { stride: 1 }), true)
  is([2, 3])(d.avgPoolGlobal(image()), true)
  is([2, 3], 'f32', 'taped')(d.maxPoolGlobal(image().trace()), true)
  is([2, 216])(d.flatten2d(image()), true)
})

it('losses', () => {
  const logits = () => d.zeros([4, 10]).trace()
  is([], 'f32', 'taped')(d.crossEntropy(logits(), ids()), true)
  is([4], 'f32', 'taped')(d.crossEntropy(logits(), ids(), { reduction: 'none' }), true)
  is([], 'f32', 'taped')(d.crossEntropy(logits(), d.zeros([4, 10]), { labelSmoothing: 0.1 }), true)
  is([], 'f32', 'taped')(d.mse(traced(), x()), true)
  is([2, 3])(d.mae(x(), x(), { reduction: 'none' }), true)
  is([], 'f32', 'taped')(d.huber(x(), traced(), { delta: 2 }), true)
  is([])(d.bceWithLogits(x(), x(), { reduction: 'sum' }), true)
  is([])(d.klDiv(x(), x()), true)
})

it('methods', () => {
  is([2, 3], 'f32', 'taped')(traced().add(x()).mul(2).sub(x()).div(3).neg(), true)
  is([], 'f32', 'taped')(traced().relu().tanh().sigmoid().square().mean(), true)
  is([3, 1, 2])(d.zeros([1, 2, 3]).permute(2, 0, 1), true)
  is([2], 'i32')(x().argmax(1), true)
  is([4, 3])(x().concat(x(), 0), true)
  is([2, 3], 'f64')(x().to('f64'), true)
  is([6])(
    x().pipe((y) => d.reshape(y, [6])),
    true,
  )
})

it('mistakes do not compile', () => {
  const mistakes = [
    // @ts-expect-error inner dimensions differ
    () => d.matmul(x(), x()),
    // @ts-expect-error shapes differ
    () => d.add(x(), d.zeros([3, 2])),
    // @ts-expect-error dtypes differ
    () => d.add(x(), ids()),
    // @ts-expect-error no such axis
    () => d.sum(x(), 2),
    // @ts-expect-error floats only
    () => d.exp(ids()),
    // @ts-expect-error indices are integers
    () => d.gather(x(), 0, d.zeros([4])),
    // @ts-expect-error one index for each row
    () => d.select(x(), 1, ids()),
    // @ts-expect-error sizes outside the axis differ
    () => d.concat([x(), d.zeros([3, 2])], 0),
    // @ts-expect-error stacked tensors have one shape
    () => d.stack([x(), d.zeros([3, 2])]),
    // @ts-expect-error negative padding
    () => d.pad(x(), [[-1, 0]]),
    // @ts-expect-error more paddings than axes
    () => d.pad(x(), [null, null, [1, 1]]),
    // @ts-expect-error the last dimensions differ
    () => d.layerNorm(x(), d.ones([2]), d.zeros([2])),
    // @ts-expect-error channels differ
    () => d.batchNormTraining(x(), d.ones([2]), d.zeros([2])),
    // @ts-expect-error channels differ
    () => d.conv2d(d.zeros([2, 8, 8]), d.zeros([4, 3, 3, 3])),
    // @ts-expect-error the window is larger than the image
    () => d.maxPool2d(d.zeros([1, 2, 8]), 3),
    // @ts-expect-error no images
    () => d.flatten2d(x()),
    // @ts-expect-error one class for each row
    () => d.crossEntropy(x(), ids()),
    // @ts-expect-error the source has another shape
    () => d.scatterAdd(x(), 1, ids(), d.zeros([2, 3])),
    // @ts-expect-error the condition is bool
    () => d.where(x(), 1, 2),
    // @ts-expect-error ragged
    () => d.tensor([[1, 2], [3]]),
    // @ts-expect-error zeros are f32 unless stated, whatever is expected of them
    () => d.select(x(), 1, d.zeros([2])),
    // @ts-expect-error likewise
    () => d.crossEntropy(d.zeros([4, 10]), d.tensor([1, 2, 3, 4])),
  ]
  // Types are erased: what the compiler refuses, the run time refuses too.
  for (const mistake of mistakes) expect(mistake).toThrow()
})
