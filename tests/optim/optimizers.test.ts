import { defaultDevice, ones, setDefaultDevice, tensor } from 'dfdt'
import { clone, freeze, linear, parameter, relu, sequential, unfreeze } from 'dfdt/nn'
import { adam, defineOptimizer, sgd } from 'dfdt/optim'
import { ema, follow } from 'dfdt/update'
import { beforeAll, describe, expect, test } from 'vitest'
import { GradientError, OptionError } from '../../src/tensor/errors.js'
import { assertClose } from '../../src/testing/close.js'
import { devices } from '../devices.js'
import { type OptimizerName, optimizers, rows } from './table.js'

const names = Object.keys(optimizers) as OptimizerName[]

describe.each(devices)('on $name', ({ make }) => {
  beforeAll(() => setDefaultDevice(make()))

  const x = () => tensor([[1, 2]])
  const network = () => sequential(linear(2, 3), relu(), linear(3, 1))
  type Network = ReturnType<typeof network>
  const lossOf = (model: Network) => model.forward(x().trace()).square().sum()
  const valuesOf = (model: Network) =>
    [0, 2].flatMap((i) => {
      const layer = i === 0 ? model.layers[0] : model.layers[2]
      return [...layer.weight.dataSync(), ...layer.bias.dataSync()]
    })

  test('two optimizers share the gradients of one backward, when the first keeps them', () => {
    const model = network()
    const before = valuesOf(model)
    const [body, head] = [sgd(model.layers[0]), adam(model.layers[2])]
    const gradients = lossOf(model).backward()
    body.step(gradients, { retain: true })
    head.step(gradients)
    expect(valuesOf(model).filter((value, i) => value !== before[i]).length).toBeGreaterThan(3)
    expect(() => body.step(gradients)).toThrow(/adam\.step\(\) has used them; pass \{ retain: true \}/)
  })

  test('console.log of gradients says what they are of', () => {
    const gradients = lossOf(network()).backward()
    expect(String(gradients)).toBe('Gradients of 4 tensors: [1, 3] [1] [3, 2] [3]')
    gradients.dispose()
    expect(String(gradients)).toBe('Gradients (gone: dispose() was called)')
  })

  describe.each(names)('%s', (name) => {
    const make = (model: object, options: object = {}) => optimizers[name](model, options)
    const { stateful, wrong } = rows[name]

    test('lowers the loss, counts steps and releases the gradients', () => {
      const model = sequential(linear(2, 3), linear(3, 1))
      const loss = () => model.forward(x().trace()).sub(5).square().sum()
      const optimizer = make(model, { lr: 1e-3 })
      const before = loss().itemSync()
      for (let i = 0; i < 20; i++) optimizer.step(loss().backward())
      expect(loss().itemSync()).toBeLessThan(before)
      expect(optimizer.steps).toBe(20)
      expect(optimizer.name).toBe(name)
      const gradients = loss().backward()
      optimizer.step(gradients)
      expect(() => gradients.get(model.layers[0].bias)).toThrow(
        `These gradients are gone: ${name}.step() has used them`,
      )
      expect(() => optimizer.step(gradients)).toThrow(GradientError)
      expect(optimizer.steps).toBe(21)
    })

    test('names each parameter without a gradient, before anything is written', () => {
      const model = network()
      const optimizer = make(model, stateful)
      const before = valuesOf(model)
      const gradients = model.layers[0].forward(x().trace()).sum().backward()
      expect(() => optimizer.step(gradients)).toThrow(GradientError)
      expect(() => optimizer.step(gradients)).toThrow(
        `${name}.step: parameters "2.weight", "2.bias" have no gradient; use them in the loss, or take them out of training`,
      )
      expect(valuesOf(model)).toEqual(before)
      expect(optimizer.steps).toBe(0)
      // The gradients are still there, and are enough once the rest is frozen.
      freeze(model, '2.*')
      optimizer.step(gradients)
      expect(valuesOf(model).slice(0, 9)).not.toEqual(before.slice(0, 9))
      expect(valuesOf(model).slice(9)).toEqual(before.slice(9))
    })

    test('leaves frozen parameters alone, and takes them up when they are unfrozen', () => {
      const model = network()
      freeze(model, '0.*')
      const optimizer = make(model, stateful)
      const before = valuesOf(model)
      optimizer.step(lossOf(model).backward())
      expect(valuesOf(model).slice(0, 9)).toEqual(before.slice(0, 9))
      expect(valuesOf(model).slice(9)).not.toEqual(before.slice(9))
      unfreeze(model)
      optimizer.step(
        model
          .forward(x().trace())
          .add(model.layers[0].weight.trace().sum().broadcastTo([1, 1]))
          .sum()
          .backward(),
      )
      expect(valuesOf(model).slice(0, 6)).not.toEqual(before.slice(0, 6))
    })

    test('updates a tied parameter once', () => {
      const tied = sequential(linear(2, 2, { bias: false }), linear(2, 2, { bias: false }))
      const shared = parameter(
        tensor([
          [1, 2],
          [3, 4],
        ]),
      )
      const one = { a: { weight: shared, forward: () => 0 }, b: { weight: shared, forward: () => 0 }, forward: () => 0 }
      const alone = parameter(
        tensor([
          [1, 2],
          [3, 4],
        ]),
      )
      make(one, stateful).step(shared.trace().square().sum().backward())
      make({ alone, forward: () => 0 }, stateful).step(alone.trace().square().sum().backward())
      expect(shared.arraySync()).toEqual(alone.arraySync())
      expect(tied.layers).toHaveLength(2)
    })

    test('two of them on one model keep a state each', () => {
      const model = network()
      const twin = clone(model)
      const [first, second] = [make(model, stateful), make(model, stateful)]
      const alone = make(twin, stateful)
      first.step(lossOf(model).backward())
      alone.step(lossOf(twin).backward())
      expect(valuesOf(model)).toEqual(valuesOf(twin))
      // A second step of one optimizer is not the first step of another.
      second.step(lossOf(model).backward())
      alone.step(lossOf(twin).backward())
      expect([first.steps, second.steps, alone.steps]).toEqual([1, 1, 2])
      expect(valuesOf(model)).not.toEqual(valuesOf(twin))
    })

    test('two of them share a model by halves', () => {
      const model = network()
      const twin = clone(model)
      const head = make(model.layers[2], stateful)
      const body = make(model.layers[0], stateful)
      const whole = make(twin, stateful)
      for (let i = 0; i < 3; i++) {
        // Each takes the gradients of its own half.
        const [forHead, forBody] = [lossOf(model).backward(), lossOf(model).backward()]
        head.step(forHead)
        body.step(forBody)
        whole.step(lossOf(twin).backward())
      }
      expect(valuesOf(model)).toEqual(valuesOf(twin))
    })

    test('a learning rate may be a function of the step, or changed between steps', () => {
      const [scheduled, changed] = [network(), network()]
      const twin = clone(scheduled)
      const seen: number[] = []
      const optimizer = make(scheduled, {
        ...stateful,
        lr: (step: number) => {
          seen.push(step)
          return 0.1 / step
        },
      })
      const manual = make(twin, { ...stateful, lr: 0.1 })
      for (let step = 1; step <= 3; step++) {
        expect(optimizer.lr).toBe(0.1 / step)
        manual.options.lr = 0.1 / step
        optimizer.step(lossOf(scheduled).backward())
        manual.step(lossOf(twin).backward())
      }
      expect(valuesOf(scheduled)).toEqual(valuesOf(twin))
      expect([...new Set(seen)]).toEqual([1, 2, 3])
      expect(() => make(changed, { lr: () => Number.NaN })).toThrow(OptionError)
      expect(() => Object.assign(manual, { lr: 0.2 })).toThrow(OptionError)
      expect(() => Object.assign(manual, { lr: 0.2 })).toThrow('write optimizer.options.lr = … instead')
      expect(manual.lr).toBe(0.1 / 3)
      optimizer.options.lr = -1
      const before = valuesOf(scheduled)
      expect(() => optimizer.step(lossOf(scheduled).backward())).toThrow('lr must be at least 0, got -1')
      expect(valuesOf(scheduled)).toEqual(before)
    })

    test('a learning rate of 0 changes nothing', () => {
      const model = network()
      const before = valuesOf(model)
      make(model, { ...stateful, lr: 0 }).step(lossOf(model).backward())
      expect(valuesOf(model)).toEqual(before)
    })

    test.each<readonly [options: object, message: string]>([
      [{ lr: -1 }, 'lr must be at least 0, got -1'],
      [{ lr: Number.NaN }, 'lr must be at least 0, got NaN'],
      ...wrong,
    ])('refuses %o', (options, message) => {
      const model = network()
      expect(() => make(model, options)).toThrow(OptionError)
      expect(() => make(model, options)).toThrow(`${name}: ${message}.`)
      const optimizer = make(model, stateful)
      const before = valuesOf(model)
      Object.assign(optimizer.options, stateful, options)
      expect(() => optimizer.step(lossOf(model).backward())).toThrow(OptionError)
      expect(valuesOf(model)).toEqual(before)
      expect(optimizer.steps).toBe(0)
    })

    test('refuses a model without trainable parameters, and what backward() did not return', () => {
      const model = network()
      freeze(model)
      expect(() => make(model)).toThrow('the model has no trainable parameters; unfreeze some')
      expect(() => make(relu())).toThrow(OptionError)
      unfreeze(model)
      // @ts-expect-error not gradients
      expect(() => make(model).step(lossOf(model))).toThrow('Expected the gradients that loss.backward() returned')
    })
  })

  test('a state that was not awaited is refused', () => {
    const [optimizer, shadow] = [adam(network()), follow(network(), ema({ decay: 0.5 }))]
    expect(() => optimizer.load(optimizer.state() as never)).toThrow(OptionError)
    expect(() => optimizer.load(optimizer.state() as never)).toThrow('await it: load(await optimizer.state()).')
    expect(() => shadow.load(shadow.state() as never)).toThrow('await it: load(await shadow.state()).')
  })

  test('an option that asks for more state after the first step is refused', () => {
    const model = network()
    const optimizer = sgd(model, { lr: 0.1 })
    optimizer.step(lossOf(model).backward())
    optimizer.options.momentum = 0.9
    const before = valuesOf(model)
    expect(() => optimizer.step(lossOf(model).backward())).toThrow(OptionError)
    expect(() => optimizer.step(lossOf(model).backward())).toThrow(
      'sgd: these options keep other state (v) than those it was made with',
    )
    expect(valuesOf(model)).toEqual(before)
  })

  test('parameters of two dtypes are updated in one step, where there are two', () => {
    const device = defaultDevice()
    if (!device.backend.supports('f64')) return
    const model = {
      a: parameter(tensor([1, 2])),
      b: parameter(tensor([3, 4], { dtype: 'f64' })),
      forward: () => undefined,
    }
    const loss = model.a.trace().square().sum().to('f64').add(model.b.trace().square().sum())
    adam(model, { lr: 0.1 }).step(loss.backward())
    assertClose(model.a.dataSync(), [0.9, 1.9])
    assertClose(model.b.dataSync(), [2.9, 3.9])
  })

  test("a user's own optimizer is an expression", () => {
    const signed = defineOptimizer({
      name: 'signed',
      defaults: { lr: 0.5 as number },
      state: () => ['count' as const],
      initial: () => 10,
      scalars: ({ lr }) => ({ lr }),
      update: ({ p, g, count }, { lr }) => ({ p: p.sub(g.gt(0).select(lr, lr.neg())), count: count.add(1) }),
    })
    const w = parameter(tensor([1, -1]))
    const optimizer = signed({ w, forward: () => undefined }, { lr: 0.25 })
    optimizer.step(w.trace().square().sum().backward())
    expect(w.arraySync()).toEqual([0.75, -0.75])
  })

  test('a gradient that arrives as a view is applied whole', () => {
    const w = parameter(ones([2, 3]))
    sgd({ w, forward: () => undefined }, { lr: 1 }).step(
      tensor([
        [1, 2],
        [3, 4],
        [5, 6],
      ])
        .trace()
        .mul(w.trace().permute(1, 0))
        .sum()
        .backward(),
    )
    expect(w.arraySync()).toEqual([
      [0, -2, -4],
      [-1, -3, -5],
    ])
  })
})
