import { defineOp, exp, mul, setDefaultDevice, sum, tensor, type Unary, withoutTape } from 'dfdt'
import { buffer, freeze, linear, parameter, relu, sequential, unfreeze } from 'dfdt/nn'
import { sgd } from 'dfdt/optim'
import { copy, ema, update } from 'dfdt/update'
import { beforeEach, describe, expect, test } from 'vitest'
import { DisposedError, GradientError, ShapeError } from '../../src/tensor/errors.js'
import { assertClose } from '../../src/testing/close.js'
import { devices } from '../devices.js'

describe.each(devices)('backward on $name', ({ make }) => {
  beforeEach(() => setDefaultDevice(make()))

  test('gives the gradient of a parameter and, on demand, of the traced input', () => {
    const w = parameter(tensor([2, 3]))
    const x = tensor([5, 7])
    const gradients = mul(x.trace(), w).sum().backward()
    expect(gradients.get(w).arraySync()).toEqual([5, 7])
    expect(gradients.get(x).arraySync()).toEqual([2, 3])
  })

  test('an input is found by the tensor, by what trace() gave, and by another trace of it', () => {
    const x = tensor([5, 7])
    const traced = x.trace()
    const gradients = traced.square().sum().backward()
    expect(gradients.get(traced).arraySync()).toEqual([10, 14])
    expect(gradients.get(x).arraySync()).toEqual([10, 14])
    expect(gradients.get(x.trace()).arraySync()).toEqual([10, 14])
  })

  test('what is computed from parameters alone joins the tape that it meets', () => {
    const w = parameter(tensor([2, 3]))
    const x = tensor([5, 7])
    const gradients = x
      .trace()
      .mul(exp(w).mul(2))
      .add(w.broadcastTo([1, 2]).reshape([2]))
      .sum()
      .backward()
    assertClose(gradients.get(w).arraySync(), [10 * Math.exp(2) + 1, 14 * Math.exp(3) + 1])
    assertClose(gradients.get(x).arraySync(), [2 * Math.exp(2), 2 * Math.exp(3)])
    // Data took part, the parameter is frozen, or it was detached: a constant, as a teacher's output is.
    const constant = (scale: typeof x) => x.trace().mul(scale).sum().backward()
    expect(() => constant(x.mul(w)).get(w)).toThrow(GradientError)
    expect(() => constant(exp(w).detach()).get(w)).toThrow(GradientError)
    freeze({ w })
    expect(() => constant(exp(w)).get(w)).toThrow(GradientError)
  })

  test('what was computed from parameters alone is used up with its tape', () => {
    const w = parameter(tensor([2, 3]))
    const x = tensor([5, 7])
    const scale = exp(w)
    x.trace().mul(scale).sum().backward().dispose()
    expect(() => x.trace().mul(scale)).toThrow(/backward\(\) .*used up/)
  })

  test('a tensor that was traced twice collects both gradients', () => {
    const x = tensor([5, 7])
    const gradients = x.trace().mul(2).add(x.trace().mul(3)).sum().backward()
    expect(gradients.get(x).arraySync()).toEqual([5, 5])
  })

  test('trace() leaves what is on a tape where it is', () => {
    const w = parameter(tensor([2, 3]))
    const hidden = mul(tensor([1, 1]).trace(), w)
    const gradients = hidden.trace().square().sum().backward()
    expect(gradients.get(w).arraySync()).toEqual([4, 6])
  })

  test.each([
    ['x + x', (x: Vector) => x.add(x), [2, 2]],
    ['x - x', (x: Vector) => x.sub(x), [0, 0]],
    ['x * x', (x: Vector) => x.mul(x), [10, 14]],
    ['x / x', (x: Vector) => x.div(x), [0, 0]],
    ['x * x * x', (x: Vector) => x.mul(x).mul(x), [75, 147]],
    ['x + (x + x)', (x: Vector) => x.add(x.add(x)), [3, 3]],
  ])('%s', (_, run, expected) => {
    const x = tensor([5, 7])
    const w = parameter(x)
    const gradients = run(x.trace()).sum().backward()
    assertClose(gradients.get(x).arraySync(), expected, { rtol: 1e-6, atol: 1e-6 })
    assertClose(run(w.trace()).sum().backward().get(w).arraySync(), expected, { rtol: 1e-6, atol: 1e-6 })
  })

  test('a diamond: paths that part and meet are summed', () => {
    const x = tensor([0.5, -1])
    const w = parameter(tensor([2, 3]))
    const root = x.trace().mul(w)
    const [left, right] = [root.exp(), root.square()]
    const gradients = left.mul(right).add(left).sum().backward()
    // d/dr (e^r (r² + 1)) = e^r (r + 1)²
    const slope = [1, -3].map((r) => Math.exp(r) * (r + 1) ** 2)
    assertClose(gradients.get(w).arraySync(), [0.5 * (slope[0] ?? 0), -(slope[1] ?? 0)], { rtol: 1e-5 })
    assertClose(gradients.get(x).arraySync(), [2 * (slope[0] ?? 0), 3 * (slope[1] ?? 0)], { rtol: 1e-5 })
  })

  test('a parameter that is used twice, in different ops', () => {
    const w = parameter(tensor([2, 3]))
    const x = tensor([5, 7])
    const gradients = x.trace().mul(w).add(x.trace().mul(w).mul(w)).sum().backward()
    expect(gradients.get(w).arraySync()).toEqual([5 + 2 * 5 * 2, 7 + 2 * 7 * 3])
  })

  test('a layer that is used twice', () => {
    const layer = linear(1, 1, { bias: false })
    const [w = 0] = layer.weight.dataSync()
    const x = tensor([[3]])
    const gradients = layer.forward(layer.forward(x.trace())).sum().backward()
    assertClose(gradients.get(layer.weight).arraySync(), [[2 * w * 3]], { rtol: 1e-6 })
  })

  test('a traced parameter: a loss of parameters alone', () => {
    const model = linear(2, 1)
    const { weight } = model
    const before = weight.dataSync()
    const optimizer = sgd({ weight: model.weight, forward: () => undefined }, { lr: 0.25 })
    optimizer.step(weight.trace().square().sum().backward())
    assertClose(
      weight.dataSync(),
      before.map((w) => w - 0.25 * 2 * w),
    )
    expect(sum(weight.trace()).backward().get(weight).arraySync()).toEqual([[1, 1]])
    // Both ways to the parameter at once.
    const x = tensor([1, 1])
    const w = parameter(tensor([2, 3]))
    const both = x.trace().mul(w).add(w.trace().mul(10)).sum().backward()
    expect(both.get(w).arraySync()).toEqual([11, 11])
  })

  test('a frozen parameter has a gradient only when it is traced itself', () => {
    const w = parameter(tensor([2, 3]))
    const model = { w, forward: () => undefined }
    freeze(model)
    expect(w.trace().square().sum().backward().get(w).arraySync()).toEqual([4, 6])
    unfreeze(model)
    expect(w.trace().square().sum().backward().get(w).arraySync()).toEqual([4, 6])
  })

  test('frozen parameters take no gradient but let it through', () => {
    const model = sequential(linear(2, 3), linear(3, 1))
    freeze(model, '1.*')
    const gradients = model
      .forward(tensor([[1, 2]]).trace())
      .sum()
      .backward()
    expect(gradients.get(model.layers[0].bias).arraySync()).toEqual(model.layers[1].weight.arraySync()[0])
    expect(() => gradients.get(model.layers[1].weight)).toThrow(GradientError)
    expect(() => gradients.get(model.layers[1].weight)).toThrow(/frozen/)
  })

  test('buffers and detached tensors take none', () => {
    const w = parameter(tensor([2, 3]))
    const b = buffer(tensor([10, 20]))
    const x = tensor([5, 7])
    const y = x.trace().mul(w)
    const gradients = y.mul(y.detach()).mul(b).sum().backward()
    expect(gradients.get(w).arraySync()).toEqual([5 * 10 * 10, 7 * 21 * 20])
    // @ts-expect-error in types, too
    expect(() => gradients.get(b)).toThrow(/neither a parameter nor was it traced/)
  })

  test('what no tape was recording has no gradient', () => {
    const w = parameter(tensor([2, 3]))
    const other = parameter(tensor([1, 1]))
    const [x, y] = [tensor([5, 7]), tensor([1, 2])]
    const hidden = x.trace().mul(w)
    const gradients = hidden.add(y).sum().backward()
    expect(() => gradients.get(y)).toThrow(GradientError)
    expect(() => gradients.get(y)).toThrow(
      'no gradient for this f32 tensor of shape [2]: it is neither a parameter nor was it traced',
    )
    expect(() => gradients.get(other)).toThrow('the loss does not depend on it')
    expect(() => gradients.get(tensor([1]).trace())).toThrow('the loss does not depend on it')
    expect(() => gradients.get(hidden)).toThrow('it is an intermediate result')
    expect(gradients.get(x).arraySync()).toEqual([2, 3])
  })

  test('nothing is recorded in withoutTape', () => {
    const y = withoutTape(() => tensor([1, 2]).trace().exp().sum())
    // @ts-expect-error the type cannot know about withoutTape's inside, the run time does
    expect(() => y.detach().backward()).toThrow(GradientError)
    expect(() => y.backward()).toThrow(/call .trace\(\)/)
  })

  test('the loss must be a taped scalar', () => {
    const x = tensor([1, 2])
    // @ts-expect-error not a scalar
    expect(() => x.trace().backward()).toThrow(ShapeError)
    // @ts-expect-error not taped
    expect(() => x.sum().backward()).toThrow(GradientError)
    const s = tensor(3)
    expect(s.trace().backward().get(s).itemSync()).toBe(1)
    expect(s.itemSync()).toBe(3)
  })

  describe('uses up the tape', () => {
    test('a second backward is an error', () => {
      const x = tensor([1, 2])
      const loss = x.trace().exp().sum()
      loss.backward()
      expect(() => loss.backward()).toThrow(GradientError)
      expect(() => loss.backward()).toThrow(
        'already used up by an earlier backward(); compute the loss again, or pass { retain: true }',
      )
    })

    test('so is computing on with what was on it', () => {
      const x = tensor([1, 2])
      const traced = x.trace()
      const loss = traced.exp().sum()
      loss.backward()
      expect(() => loss.mul(2)).toThrow(GradientError)
      expect(() => traced.mul(2)).toThrow(/already used up; call .trace\(\) on the input again/)
      expect(x.trace().mul(2).sum().backward().get(x).arraySync()).toEqual([2, 2])
    })

    test('intermediates are released, the loss, the input and the parameters stay', async () => {
      const w = parameter(tensor([2, 3]))
      const x = tensor([5, 7])
      const hidden = x.trace().mul(w)
      const loss = hidden.square().sum()
      const gradients = loss.backward()
      gradients.get(x)
      expect(() => hidden.dataSync()).toThrow(DisposedError)
      expect(() => hidden.dataSync()).toThrow('read it before, or pass { retain: true }')
      await expect(hidden.array()).rejects.toThrow(DisposedError)
      expect(String(hidden)).toBe('f32 tensor of shape [2] (released)')
      expect(loss.itemSync()).toBe(541)
      expect(await loss.item()).toBe(541)
      expect(loss.detach().mul(2).itemSync()).toBe(1082)
      expect(x.arraySync()).toEqual([5, 7])
      expect(w.arraySync()).toEqual([2, 3])
    })

    test('device memory of intermediates is back at once', () => {
      const device = make()
      setDefaultDevice(device)
      const w = parameter(tensor([2, 3]))
      const x = tensor([5, 7])
      const { used } = device.memory()
      x.trace().mul(w).exp().square().sum().backward().dispose()
      expect(device.memory().used).toBe(used)
      const gradients = x.trace().mul(w).exp().square().sum().backward()
      gradients.get(x)
      gradients.dispose()
      expect(device.memory().used).toBe(used)
      expect(() => gradients.get(w)).toThrow('These gradients are gone: dispose() was called')
    })

    test('retain keeps the tape and the intermediates', () => {
      const w = parameter(tensor([2, 3]))
      const x = tensor([5, 7])
      const hidden = x.trace().mul(w)
      const loss = hidden.square().sum()
      const first = loss.backward({ retain: true })
      expect(hidden.arraySync()).toEqual([10, 21])
      const second = loss.backward()
      expect(first.get(w).arraySync()).toEqual([100, 294])
      expect(second.get(w).arraySync()).toEqual([100, 294])
      expect(second.get(x).arraySync()).toEqual([40, 126])
      expect(() => hidden.dataSync()).toThrow(DisposedError)
    })

    test('two losses on one tape: the first retains', () => {
      const x = tensor([5, 7])
      const hidden = x.trace().square()
      const [a, b] = [hidden.sum(), hidden.mul(2).sum()]
      expect(a.backward({ retain: true }).get(x).arraySync()).toEqual([10, 14])
      expect(b.backward().get(x).arraySync()).toEqual([20, 28])
      expect(() => a.backward()).toThrow(GradientError)
    })
  })

  describe('accumulate', () => {
    test('adds to the gradients of an earlier backward and takes them over', () => {
      const w = parameter(tensor([2, 3]))
      const lossOf = (x: readonly [number, number]) => tensor(x).trace().mul(w).sum()
      const first = lossOf([5, 7]).backward()
      const both = lossOf([10, 20]).backward({ accumulate: first })
      expect(both.get(w).arraySync()).toEqual([15, 27])
      expect(() => first.get(w)).toThrow(GradientError)
      expect(() => first.get(w)).toThrow('a later backward({ accumulate }) took them over')
      const all = lossOf([100, 100]).backward({ accumulate: both })
      expect(all.get(w).arraySync()).toEqual([115, 127])
    })

    test('also over losses that use different parameters', () => {
      const [v, w] = [parameter(tensor([2, 3])), parameter(tensor([4, 5]))]
      const x = tensor([5, 7])
      const first = x.trace().mul(v).sum().backward()
      const both = x.trace().mul(w).sum().backward({ accumulate: first })
      expect([both.get(v).arraySync(), both.get(w).arraySync()]).toEqual([
        [5, 7],
        [5, 7],
      ])
    })

    test('an error leaves the earlier gradients as they were', () => {
      const w = parameter(tensor([2, 3]))
      const first = tensor([5, 7]).trace().mul(w).sum().backward()
      const loss = tensor([5, 7]).trace().mul(w).sum()
      loss.backward()
      expect(() => loss.backward({ accumulate: first })).toThrow(GradientError)
      expect(first.get(w).arraySync()).toEqual([5, 7])
    })
  })

  describe('a value that was changed in place between forward and backward is an error', () => {
    test('by an optimizer', () => {
      const w = parameter(tensor([2, 3]))
      const model = { w, forward: () => undefined }
      const optimizer = sgd(model, { lr: 0.1 })
      const [a, b] = [tensor([1, 1]), tensor([1, 1])]
      const first = a.trace().mul(w).sum()
      const second = b.trace().mul(w).sum()
      optimizer.step(first.backward())
      expect(() => second.backward()).toThrow(GradientError)
      expect(() => second.backward()).toThrow(
        /parameter of shape \[2\] that mul had used was changed in place since; call backward\(\) before/,
      )
      // The tape was not used up, and the error comes again instead of a wrong number.
      expect(() => second.backward()).toThrow(/changed in place/)
    })

    test('by update(), even when the changed parameter takes no gradient itself', () => {
      const [target, source] = [linear(2, 1), linear(2, 1)]
      freeze(target)
      const x = tensor([[1, 2]])
      const loss = target.forward(x.trace()).sum()
      update({ target, source }, copy())
      expect(() => loss.backward()).toThrow(/changed in place/)
      const again = target.forward(x.trace()).sum()
      update({ target, source }, ema({ decay: 1 }))
      expect(again.backward().get(x).arraySync()).toEqual(source.weight.arraySync())
    })

    test('but not when only another branch of the tape had used it', () => {
      const [v, w] = [parameter(tensor([2, 3])), parameter(tensor([4, 5]))]
      const hidden = tensor([1, 1]).trace()
      const [a, b] = [hidden.mul(v).sum(), hidden.mul(w).sum()]
      sgd({ v, forward: () => undefined }, { lr: 0.1 }).step(a.backward({ retain: true }))
      expect(b.backward().get(w).arraySync()).toEqual([1, 1])
    })

    test('nor when an input gradient is asked for later', () => {
      const w = parameter(tensor([2, 3]))
      const x = tensor([1, 1])
      const gradients = x.trace().mul(w).sum().backward()
      const twin = parameter(tensor([9, 9]))
      update({ target: { w, forward: () => 0 }, source: { w: twin, forward: () => 0 } }, copy())
      expect(() => gradients.get(x)).toThrow(/changed in place/)
    })
  })

  test('tapes of two inputs merge, also of tapes that are merged already', () => {
    const [a, b, c, d] = [tensor([1, 2]), tensor([3, 4]), tensor([5, 6]), tensor([7, 8])]
    const ab = a.trace().mul(b.trace())
    const cd = c.trace().mul(d.trace())
    const late = a.trace().exp()
    const gradients = ab.mul(cd).add(late).sum().backward()
    expect(gradients.get(b).arraySync()).toEqual([35, 96])
    expect(gradients.get(c).arraySync()).toEqual([21, 64])
    assertClose(gradients.get(a).arraySync(), [105 + Math.E, 192 + Math.E ** 2])
    expect(() => ab.dataSync()).toThrow(DisposedError)
  })

  test('a custom op has the gradient that it states', () => {
    const cube = defineOp<Unary>({
      name: 'cube',
      forward: (x) => x.mul(x).mul(x),
      // Deliberately not the derivative: the factor 7 shows that this is what runs.
      vjp: [(dy, [x]) => dy.mul(x.mul(x)).mul(7)],
    })
    const w = parameter(tensor([2, 3]))
    const gradients = exp(tensor([0, 0]).trace())
      .mul(cube(w.trace()))
      .sum()
      .backward()
    assertClose(gradients.get(w).arraySync(), [28, 63])
    expect(cube(tensor([2])).arraySync()).toEqual([8])
  })

  test('a model trained on a loss that leaves some of it out', () => {
    const model = sequential(linear(2, 3), relu(), linear(3, 1))
    const x = tensor([[1, 2]])
    const gradients = model.layers[0].forward(x.trace()).sum().backward()
    expect(gradients.get(model.layers[0].bias).arraySync()).toEqual([1, 1, 1])
    expect(() => gradients.get(model.layers[2].bias)).toThrow('the loss does not depend on it')
  })
})

type Vector = import('dfdt').Tensor<[2], 'f32', 'taped'>
