import '../../src/autodiff/fluent.js'
import '../../src/ops/fluent.js'
import { describe, expect, it } from 'vitest'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import { createWasmBackend } from '../../src/backends/wasm/node.js'
import type { FloatDType } from '../../src/shapes/dtype.js'
import { type Binary, defineOp, tensor, type Unary } from '../../src/ops/index.js'
import { Device } from '../../src/tensor/device.js'
import type { Shape, Tape, Tensor } from '../../src/tensor/tensor.js'
import { gradcheck } from '../../src/testing/gradcheck.js'

const reference = new Device(createReferenceBackend())
const wasm = new Device(createWasmBackend({ mode: 'plain', threads: 1 }))

/** The example of the docstring. */
const swish = defineOp<Unary>({
  name: 'swish',
  forward: (x) => x.div(x.neg().exp().add(1)),
  vjp: [
    (dy, [x], y) => {
      const s = x.neg().exp().add(1).recip()
      return dy.mul(y.add(s.mul(y.neg().add(1))))
    },
  ],
})

describe('an op of the user', () => {
  it('runs on every device and is differentiated as its own vjp says', () => {
    for (const device of [reference, wasm]) {
      const x = tensor([0, 1, -20], { device })
      const y = swish(x.trace())
      expect(y.dataSync()[1]).toBeCloseTo(1 / (1 + Math.exp(-1)), 6)
      expect(y.sum().backward().get(x).dataSync()[0]).toBeCloseTo(0.5, 6)
    }
    gradcheck((x) => swish(x), [tensor([-3, -0.5, 0, 2, 30], { dtype: 'f64', device: reference })])
  })
  it('may take three arguments, numbers among them, in any place', () => {
    type Blend = <S extends Shape, D extends FloatDType, T extends Tape = never>(
      a: Tensor<S, D, T> | number,
      b: Tensor<S, D, T> | number,
      weight: Tensor<S, D, T> | number,
    ) => Tensor<S, D, T>
    const blend = defineOp<Blend>({
      name: 'blend',
      forward: (a, b, weight) => a.add(weight.mul(b.sub(a))),
      vjp: [
        (dy, [, , weight]) => dy.mul(weight.neg().add(1)),
        (dy, [, , weight]) => dy.mul(weight),
        (dy, [a, b]) => dy.mul(b.sub(a)),
      ],
    })
    const [a, b, w] = [
      [1, 2],
      [5, 8],
      [0.25, 0.5],
    ].map((values) => tensor(values, { dtype: 'f64', device: reference }))
    if (!a || !b || !w) return
    expect(blend(a, b, w).arraySync()).toEqual([2, 5])
    expect(blend(0, b, 0.5).arraySync()).toEqual([2.5, 4])
    gradcheck(blend, [a, b, w])
    gradcheck((x, y) => blend(x, 3, y), [a, w])
    gradcheck((x) => blend(1, x, 0.75), [b])
  })
  it('passes numbers with each run: other numbers make no new code', () => {
    const keys = new Set<string>()
    const backend = createReferenceBackend()
    const device = new Device({
      ...backend,
      run: (kernel, buffers, scalars) => {
        if (kernel.kind === 'map') keys.add(kernel.exprs.map(({ key }) => key).join())
        backend.run(kernel, buffers, scalars)
      },
    })
    const scale = defineOp<Binary>({
      name: 'scale',
      forward: (a, b) => a.mul(b),
      vjp: [(dy, [, b]) => dy.mul(b), null],
    })
    const x = tensor([1, 2], { device })
    keys.clear()
    for (let i = 0; i < 5; i++) scale(x, i)
    expect(keys.size).toBe(1)
  })
  it('with a wrong vjp is found by gradcheck', () => {
    const wrong = defineOp<Unary>({ name: 'wrong', forward: (x) => x.sin(), vjp: [(dy, [x]) => dy.mul(x.sin())] })
    const x = tensor(
      [
        [0.5, 1],
        [2, 3],
      ],
      { dtype: 'f64', device: reference },
    )
    expect(() => gradcheck((traced) => wrong(traced), [x], { seed: 42 })).toThrow(
      /gradcheck: input 0: 4 of 4 elements of shape \[2, 2\] are not close.*seed 42/s,
    )
  })
})

describe('gradcheck', () => {
  const x = tensor([0.5, 1, 2], { dtype: 'f64', device: reference })
  const sum = defineOp<Binary>({ name: 'sum', forward: (a, b) => a.add(b), vjp: [(dy) => dy, (dy) => dy.mul(0.999)] })

  it('sees an error of a thousandth, in the second input only', () => {
    expect(() => gradcheck(sum, [x, x.mul(2)])).toThrow(/gradcheck: input 1/)
  })
  it('sees the gradient of a softmax, whose plain sum is constant', () => {
    gradcheck((a) => a.softmax(0), [x])
    const nothing = defineOp<Unary>({ name: 'nothing', forward: (a) => a.mul(1), vjp: [(dy) => dy.mul(0)] })
    expect(() => gradcheck((a) => nothing(a.softmax(0)), [x])).toThrow(/not close/)
  })
  it('does not move elements near a kink that is named', () => {
    const kinked = tensor([-1, 0, 1], { dtype: 'f64', device: reference })
    expect(() => gradcheck((a) => a.abs(), [kinked.add(1e-6)])).toThrow(/not close/)
    gradcheck((a) => a.abs(), [kinked.add(1e-6)], { avoid: [0] })
  })
  it('finds a gradient of 0 where the output does not depend on an input', () => {
    gradcheck((a, b) => a.add(b.mul(0)), [x, x.mul(2)])
  })
  it('refuses f32, nothing to check and results off the tape', () => {
    const single = tensor([1], { device: reference })
    expect(() => gradcheck((a) => a.to('f64'), [single])).toThrow(/needs inputs of f64, got f32/)
    expect(() => gradcheck((a) => a.to('f64') as never, [tensor([1], { dtype: 'i32', device: reference })])).toThrow(
      /no input of f64/,
    )
    expect(() => gradcheck((a) => a.detach() as never, [x])).toThrow(/must give a taped f64 tensor, got f64, not taped/)
  })
})
