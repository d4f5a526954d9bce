import {
  add,
  avgPool2d,
  clamp,
  compile,
  conv2d,
  defineOp,
  dropout,
  manualSeed,
  maxPool2d,
  normal,
  ones,
  tensor,
  zeros,
} from 'dfdt'
import { batches } from 'dfdt/data'
import { clone, linear } from 'dfdt/nn'
import { adam } from 'dfdt/optim'
import { ema, update } from 'dfdt/update'
import { describe, expect, test } from 'vitest'
import { DTypeError, OptionError, ShapeError } from '../../src/tensor/errors.js'

/** Calls that the types refuse, or cannot see: a sentence of ours, never one of the engine. */
const untyped = (value: unknown): never => value as never

describe('wrong calls', () => {
  test('numbers outside the range of an integer tensor', () => {
    const u32 = tensor([5], { dtype: 'u32' })
    const i32 = tensor([2147483647], { dtype: 'i32' })
    expect(() => u32.add(-1)).toThrow(DTypeError)
    expect(() => u32.eq(-1)).toThrow(/-1 is not a value of u32; convert the tensor with \.to\('i32'\)/)
    expect(() => i32.lt(3e9)).toThrow(/3000000000 is not a value of i32; convert the tensor with \.to\('f32'\)/)
    expect(u32.sub(1).arraySync()).toEqual([4])
    expect(i32.ge(-2147483648).arraySync()).toEqual([1])
  })

  test('values that a dtype does not hold', () => {
    expect(() => tensor([Number.NaN], { dtype: 'i32' })).toThrow(/NaN is not a value of i32/)
    expect(() => tensor([3e9], { dtype: 'i32' })).toThrow(DTypeError)
    expect(() => tensor([-1], { dtype: 'u32' })).toThrow(DTypeError)
    expect(tensor([3e9], { dtype: 'u32' }).arraySync()).toEqual([3e9])
    expect(() => tensor(untyped(['a']))).toThrow(/a is not a number/)
    expect(() => tensor(untyped(undefined))).toThrow(DTypeError)
    expect(() => tensor(untyped(new Uint8ClampedArray(3)), [3])).toThrow(/a Uint8ClampedArray has no dtype of its own/)
    expect(tensor(untyped(new Uint8ClampedArray([0, 255])), [2], untyped({ dtype: 'f32' })).arraySync()).toEqual([
      0, 255,
    ])
  })

  test('options and arguments of calls without types', () => {
    const model = linear(2, 1)
    expect(() => adam(model, untyped({ betas: [0.9, 0.9] }))).toThrow(
      /adam: there is no option betas; the options are lr, beta1/,
    )
    expect(() => adam(model, untyped(1e-3))).toThrow(/write \{ lr: 0\.001 \}/)
    expect(() => adam(untyped(undefined))).toThrow(/the first argument is the model to train, got undefined/)
    expect(() => update(untyped({ target: model, source: clone(model) }), untyped(undefined))).toThrow(OptionError)
    expect(() => update(untyped(model), untyped(model))).toThrow(/update: needs two models and a rule/)
    expect(() => ema(untyped({ decay: 0.9, buffers: 'copy' }))).toThrow(
      'ema: there is no option buffers; what is not the rate goes to update(…) and follow(…), after the rule.',
    )
    const other = { target: clone(model), source: model }
    expect(() => update(untyped(other), ema({ decay: 0.9 }), untyped({ buffers: 'foo' }))).toThrow(
      `update: buffers is one of 'copy', 'blend', 'skip', 'recompute', got "foo".`,
    )
    expect(() => dropout(ones([2]).trace(), untyped(0.1))).toThrow(/write \{ p: 0\.1 \}/)
    expect(() => clamp(ones([2]))).toThrow(OptionError)
    const [images, filters] = [ones([1, 1, 4, 4]), ones([1, 1, 2, 2])]
    expect(() => conv2d(images, filters, undefined, untyped({ pad: 1 }))).toThrow(/no option "pad"; there are stride/)
    expect(() => conv2d(images, filters, undefined, untyped(2))).toThrow('conv2d: options are an object, got 2.')
    const pools: ((...args: never[]) => unknown)[] = [maxPool2d, avgPool2d]
    for (const pool of pools)
      expect(() => pool(untyped(images), untyped(2), untyped({ ceilMode: true }))).toThrow(
        'Pool2d: there is no option "ceilMode"',
      )
    expect(() => [...batches(untyped(undefined), 2)]).toThrow(OptionError)
    expect(() => manualSeed(1.5)).toThrow('manualSeed: a seed is a whole number from 0, got 1.5.')
    expect(() => manualSeed(-1)).toThrow(OptionError)
  })

  test('shapes, dtypes and arguments', () => {
    expect(() => zeros(untyped(3))).toThrow(ShapeError)
    expect(() => zeros(untyped(3))).toThrow('zeros: a shape is a list of sizes, got 3; write [3].')
    expect(() => tensor([1], { dtype: untyped('float32') })).toThrow(/there is no dtype "float32"; use one of f64, f32/)
    expect(() => ones([2]).to(untyped('f8'))).toThrow(DTypeError)
    expect(() => normal([2], { dtype: untyped('i32') })).toThrow(DTypeError)
    expect(() => add(ones([2]), ...(untyped([]) as [number]))).toThrow('add: needs 2 arguments, got 1.')
    expect(() => ema(untyped(0.9))).toThrow(/got the number 0\.9; write \{ decay: 0\.9 \} or \{ tau: 0\.9 \}/)
    expect(() => defineOp({ name: 'twice', forward: (x) => x.mul(2), vjp: untyped(() => []) })).toThrow(OptionError)
    expect(() => compile(untyped([]))).toThrow(/needs a function, alone or after a signature/)
  })
})
