import '../../src/autodiff/fluent.js'
import '../../src/ops/fluent.js'
import { beforeAll, describe, expect, it } from 'vitest'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import { createWasmBackend } from '../../src/backends/wasm/node.js'
import * as d from '../../src/ops/index.js'
import { Device, setDefaultDevice } from '../../src/tensor/device.js'
import { scope } from '../../src/tensor/scope.js'
import { assertClose } from '../../src/testing/close.js'
import type { AnyX } from './cases.js'
import { makeInputs, run, table } from './table.js'

const device = new Device(createReferenceBackend())
beforeAll(() => setDefaultDevice(device))

describe("where another system's result is wrong, ours is not", () => {
  const loss = (y: AnyX): AnyX => y.exp().mean()
  const f64 = (values: number[]) => d.tensor(values, { dtype: 'f64' })

  it('gelu: the derivative of e^gelu at −2 … 2', () => {
    const x = f64([-2, -1, 0, 1, 2])
    const right = [-0.0162881, -0.0142185, 0.1, 0.5025466, 1.5324311]
    assertClose(loss(d.gelu(x.trace())).backward().get(x).dataSync(), right, { rtol: 0, atol: 5e-8 })
  })
  it('two slices of one tensor add their gradients', () => {
    const x = d.tensor([1, 2, 3])
    const traced = x.trace()
    const y = traced.slice([[0, 2]]).add(traced.slice([[1, 3]]))
    expect(y.sum().backward().get(x).arraySync()).toEqual([1, 2, 1])
  })
  it('x · x and x + x: both operands are the same tensor', () => {
    const x = d.tensor([1, -3])
    const traced = x.trace()
    expect(traced.mul(traced).add(traced.add(traced)).sum().backward().get(x).arraySync()).toEqual([4, -4])
  })
  it('ties of max share the gradient', () => {
    const x = d.tensor([2, 2, 1])
    expect(x.trace().max().backward().get(x).arraySync()).toEqual([0.5, 0.5, 0])
  })
  it('x⁰ at 0 has the slope 0', () => {
    const x = d.tensor([0, 1])
    expect(x.trace().pow(0).sum().backward().get(x).arraySync()).toEqual([0, 0])
  })
  it('the divergence from a probability of 0 is finite, and so are its gradients', () => {
    const [x, p] = [d.tensor([[-1, -0.5]]), d.tensor([[0, 1]])]
    const y = d.klDiv(x.trace(), p.trace())
    expect(y.itemSync()).toBeCloseTo(0.5, 6)
    const gradients = y.backward()
    expect(gradients.get(x).arraySync()).toEqual([[-0, -1]])
    expect(gradients.get(p).arraySync()).toEqual([[0, 1.5]])
  })
  it('logSumExp of a row of −∞ has a gradient of 0', () => {
    const x = d.tensor([
      [-Infinity, -Infinity],
      [0, 0],
    ])
    expect(
      d
        .logSumExp(x.trace(), 1)
        .slice([[0, 2]])
        .sum()
        .backward()
        .get(x)
        .arraySync(),
    ).toEqual([
      [0, 0],
      [0.5, 0.5],
    ])
  })
  it('gelu by tanh is sound where x² is infinite', () => {
    const x = d.tensor([1e30, -1e30])
    const y = d.gelu(x.trace(), { approximate: 'tanh' })
    expect(y.dataSync()[0]).toBe(Math.fround(1e30))
    expect(y.sum().backward().get(x).arraySync()).toEqual([1, 0])
  })
  it('crossEntropy takes an impossible class with probability 0', () => {
    const x = d.tensor([[0, -Infinity, 0]])
    const y = d.crossEntropy(x.trace(), d.tensor([[0.5, 0, 0.5]]))
    expect(y.itemSync()).toBeCloseTo(Math.LN2, 6)
    assertClose(y.backward().get(x).dataSync(), [0, 0, 0], { atol: 1e-7 })
  })
})

it('cast between floats stays on the tape and casts the gradient back', () => {
  const x = d.tensor([1, 2])
  const y = d.cast(x.trace(), 'f64')
  expect([y.dtype, y.tape]).toEqual(['f64', 'taped'])
  const dx = y.mul(0.1).sum().backward().get(x)
  expect([dx.dtype, dx.arraySync()]).toEqual(['f32', [Math.fround(0.1), Math.fround(0.1)]])
  const untaped = d.tensor([1])
  expect(d.cast(untaped, 'f32')).toBe(untaped)
  expect(d.cast(d.tensor([Number.NaN, 1e20, -1e20]), 'i32').arraySync()).toEqual([0, 2 ** 31 - 1, -(2 ** 31)])
})

it('traced indices put an embedding on their tape', () => {
  const weight = d.tensor([
    [1, 2],
    [3, 4],
  ])
  const index = d.tensor([1, 1], { dtype: 'i32' })
  const y = d.embedding(index.trace(), weight.trace())
  expect(y.sum().backward().get(weight).arraySync()).toEqual([
    [0, 0],
    [2, 2],
  ])
  expect(d.embedding(index.trace(), weight).tape).toBe('taped')
})

it('methods are the functions', () => {
  const x: AnyX = d.tensor([
    [1, 2],
    [3, 5],
  ])
  const data = (y: AnyX): unknown => [y.dtype, y.arraySync()]
  const { neg, square, sqrt, exp, log, abs, relu, tanh, sigmoid, sum, mean, max, min } = d
  const alone: Record<string, AnyX> = { neg, square, sqrt, exp, log, abs, relu, tanh, sigmoid, sum, mean, max, min }
  for (const [name, op] of Object.entries(alone)) expect(data(x[name]()), name).toEqual(data(op(x)))
  const { add, sub, mul, div, pow, eq, ne, lt, le, gt, ge } = d
  const paired: Record<string, AnyX> = { add, sub, mul, div, pow, eq, ne, lt, le, gt, ge }
  for (const [name, op] of Object.entries(paired)) expect(data(x[name](3)), name).toEqual(data(op(x, 3)))
  expect(data(x.matmul(x))).toEqual(data((d.matmul as AnyX)(x, x)))
  expect(data(x.argmax(0))).toEqual(data(d.argmax(x, 0)))
  expect(data(x.softmax(0))).toEqual(data(d.softmax(x, 0 as never)))
  expect(data(x.logSoftmax(1))).toEqual(data(d.logSoftmax(x, 1 as never)))
  expect(data(x.reshape([4]))).toEqual(['f32', [1, 2, 3, 5]])
  expect(data(x.permute(1, 0))).toEqual([
    'f32',
    [
      [1, 3],
      [2, 5],
    ],
  ])
  expect(data(x.broadcastTo([1, 2, 2]))).toEqual([
    'f32',
    [
      [
        [1, 2],
        [3, 5],
      ],
    ],
  ])
  expect(data(x.flatten(0))).toEqual(['f32', [1, 2, 3, 5]])
  expect(data(x.slice([[1, 2]]))).toEqual(['f32', [[3, 5]]])
  expect(data(x.select(1, 0))).toEqual(['f32', [1, 3]])
  expect(data(x.concat(x, 1))).toEqual([
    'f32',
    [
      [1, 2, 1, 2],
      [3, 5, 3, 5],
    ],
  ])
  expect(data(x.gather(0, d.tensor([1], { dtype: 'i32' })))).toEqual(['f32', [[3, 5]]])
  expect(data(x.to('i32'))).toEqual([
    'i32',
    [
      [1, 2],
      [3, 5],
    ],
  ])
  expect(x.realize([2, 2])).toBe(x)
  expect(x.pipe((y: AnyX) => y.shape)).toEqual([2, 2])
  expect(Object.keys(x)).not.toContain('add')
})

describe('an op leaves nothing behind', () => {
  /** Rows that call several ops, or one with several results: what they do not return is theirs, not the op's. */
  const composed = /number\)$|there and back|of a permutation|twice|realize|on the left|batchNormTraining/
  const devices = { reference: device, wasm: new Device(createWasmBackend({ mode: 'plain', threads: 1 })) }
  for (const [name, on] of Object.entries(devices)) {
    it(`on ${name}, with a tape and without: memory is that of the results, then that from before`, () => {
      for (const { row, cases } of table) {
        const [one] = cases
        if (!one) continue
        const inputs = makeInputs(on, one, 'f32')
        const before = on.memory().used
        const make = () => row.call(...inputs)
        const within = composed.test(one.name.replace(/ 0$/, '')) ? scope : <R>(fn: () => R) => fn()
        const y = within(make)
        y.dispose()
        expect(on.memory().used, `${one.name} without a tape`).toBe(before)
        if (one.dy) {
          within(() => {
            const traced = inputs.map((x, i) => (one.gradients[i] ? x.trace() : x))
            const result = row.call(...traced)
            const loss: AnyX = result.sum()
            const gradients = loss.backward()
            for (const [i, x] of inputs.entries()) if (one.gradients[i]) gradients.get(x)
            gradients.dispose()
            loss.dispose()
            result.dispose()
            for (const [i, x] of traced.entries()) if (one.gradients[i]) x.dispose()
          })
          expect(on.memory().used, `${one.name} with a tape`).toBe(before)
        }
        for (const x of inputs) x.dispose()
      }
    })
  }
})

it('run() of the table sees a wrong gradient', () => {
  const [first] = table.flatMap(({ cases }) => cases.filter(({ name }) => name === 'mul 0'))
  if (!first) throw new Error('the row of mul is gone')
  const half = d.defineOp<d.Binary>({
    name: 'half',
    forward: (a, b) => a.mul(b),
    vjp: [(dy, [, b]) => dy.mul(b), (dy) => dy],
  })
  const wrong = run(device, { ...first, row: { ...first.row, call: half as AnyX } }, 'f64')
  const [a, b] = first.gradients
  assertClose(wrong.gradients[0] ?? [], a?.values ?? [], { rtol: 1e-10 })
  expect(() => assertClose(wrong.gradients[1] ?? [], b?.values ?? [], { rtol: 1e-10 })).toThrow()
})
