import { compile, f32, manualSeed, mse, normal, ones, setDefaultDevice, type Tensor, tensor, zeros } from 'dfdt'
import { saveModelSync } from 'dfdt/io'
import { clone, freeze, linear, parameter, relu, sequential, unfreeze } from 'dfdt/nn'
import { adam, sgd } from 'dfdt/optim'
import { copy, defineRule, ema, follow, type ShadowOptions, schedules, swa, type UpdateRule, update } from 'dfdt/update'
import { beforeEach, describe, expect, test } from 'vitest'
import { tensorsOf } from '../../src/model/walk.js'
import { NonFiniteError, OptionError } from '../../src/tensor/errors.js'
import { devices } from '../devices.js'
import { type RuleRow, rules } from './table.js'

/** Every tensor of a model by path. */
const stateOf = (model: object) =>
  Object.fromEntries(tensorsOf(model).map(({ path, tensor: t }) => [path, [...t.dataSync()]]))
class Two {
  readonly w
  constructor(value: number) {
    this.w = parameter(tensor([value, value]))
  }
  forward(): void {}
}
const scalarModel = (value: number) => new Two(value)
class Pair {
  readonly a
  readonly b
  constructor(a: readonly [number, number], b: readonly [number, number]) {
    this.a = parameter(tensor([...a]))
    this.b = parameter(tensor([...b]))
  }
  forward(): void {}
}

describe.each(devices)('follow on $name', ({ make }) => {
  beforeEach(() => setDefaultDevice(make()))

  test('draws no random number that it does not use: a training is the same with and without a shadow', () => {
    const drawn = (precision?: 'kahan' | 'stochastic') => {
      manualSeed(3)
      const source = linear(3, 4)
      if (precision === 'kahan') follow(source, ema({ decay: 0.9 }), { precision })
      if (precision === 'stochastic') follow(source, ema({ decay: 0.9 }), { precision, dtype: 'bf16' })
      return [...normal([4]).dataSync()]
    }
    expect(drawn('kahan')).toEqual(drawn())
    expect(drawn('stochastic')).not.toEqual(drawn())
  })

  test('is update with a model of its own', () => {
    manualSeed(3)
    const source = sequential(linear(3, 4), relu(), linear(4, 2))
    const shadow = follow(source, ema({ decay: 0.9 }))
    expect(stateOf(shadow.model)).toEqual(stateOf(source))
    const before = stateOf(source)
    update({ target: source, source: sequential(linear(3, 4), relu(), linear(4, 2)) }, copy())
    expect(stateOf(shadow.model)).toEqual(before)
    const other = sequential(linear(3, 4), relu(), linear(4, 2))
    update({ target: other, source: shadow.model as unknown as typeof other }, copy())
    update({ target: other, source }, ema({ decay: 0.9 }))
    shadow.update()
    expect(stateOf(shadow.model)).toEqual(stateOf(other))
    expect([shadow.updates, shadow.steps]).toEqual([1, 1])
  })

  /** A few steps of training with a shadow; its weights after each. */
  function trained(
    compiled: boolean,
    rule: () => UpdateRule,
    options: ShadowOptions<never>,
    between?: (i: number) => void,
  ) {
    manualSeed(1)
    const model = sequential(linear(2, 8), relu(), linear(8, 1))
    const optimizer = adam(model, { lr: 0.05 })
    const shadow = follow(model, rule(), options)
    const body = (x: Tensor<[4, 2]>) => {
      const loss = mse(model.forward(x.trace()), zeros([4, 1]))
      optimizer.step(loss.backward())
      shadow.update({ samples: 4 })
      return loss
    }
    const run = compiled ? compile([f32(4, 2)], body) : body
    const weights: unknown[] = []
    for (let i = 0; i < 12; i++) {
      const loss = run(normal([4, 2])).itemSync()
      shadow.observe({ loss, epoch: i })
      between?.(i)
      if (i % 3 === 2) weights.push(stateOf(shadow.model))
    }
    return { weights, updates: shadow.updates, metrics: options.metrics ? shadow.metrics() : undefined }
  }

  const cases: Record<string, RuleRow> = {
    ...rules,
    'a schedule': { rule: () => ema({ decay: (n) => (1 + n) / (10 + n) }) },
    'every 3': { rule: () => ema({ halfLife: 5 }), options: { every: 3 } },
    'after 4': { rule: () => ema({ decay: 0.9 }), options: { after: 4 } },
    'after 4, keeping': { rule: () => ema({ decay: 0.9 }), options: { after: 4, before: 'keep' } },
    'a condition': {
      rule: () => ema({ decay: 0.9 }),
      options: { when: ({ step, last }) => step % 2 === 0 && last.loss !== 0 },
    },
    samples: { rule: () => ema({ halfLife: 20 }), options: { unit: 'sample' } },
    sigmaRel: { rule: () => ema({ sigmaRel: 0.1 }) },
    kahan: { rule: () => ema({ decay: 0.999999 }), options: { precision: 'kahan' } },
    'skip elements': { rule: () => ema({ decay: 0.9 }), options: { nonFinite: 'skipElement' } },
    'skip tensors': { rule: () => ema({ decay: 0.9 }), options: { nonFinite: 'skipTensor' } },
    'skip all': { rule: () => ema({ decay: 0.9 }), options: { nonFinite: 'skipAll' } },
    'no errors': { rule: () => ema({ decay: 0.9 }), options: { nonFinite: 'error' } },
    metrics: { rule: () => ema({ decay: 0.9 }), options: { metrics: true } },
    lazy: { rule: () => ema({ decay: 0.9 }), options: { lazy: true } },
    'a half-life that grows': { rule: () => ema({ halfLife: schedules.shareOfRun(0.3) }) },
    debias: { rule: () => ema({ decay: schedules.debias(0.9) }) },
    momentum: {
      rule: () =>
        defineRule({
          name: 'momentum',
          state: { velocity: 'zeros' },
          scalars: { rate: (n) => 1 / (n + 2) },
          measures: { largest: { combine: 'max', of: ({ target, source }) => source.sub(target).abs() } },
          next: ({ target, source, velocity }, { rate }, { largest }) => {
            const next = velocity.mul(0.5).add(source.sub(target).div(largest.add(1)))
            return { target: rate.fma(next, target), velocity: next }
          },
        }),
    },
  }

  test.each(Object.entries(cases))('%s: compiled and eager give the same bits', (_, { rule, options = {} }) => {
    const eager = trained(false, rule, options)
    const compiled = trained(true, rule, options)
    expect(compiled.weights).toEqual(eager.weights)
    expect(compiled.updates).toBe(eager.updates)
    expect(eager.updates).toBeGreaterThan(0)
  })

  test('says what the rate has come to', async () => {
    const rates: Record<string, { rule: () => UpdateRule; options?: ShadowOptions<never>; halfLife: number }> = {
      decay: { rule: () => ema({ decay: 0.99 }), halfLife: 68.97 },
      'an interval': { rule: () => ema({ halfLife: 50 }), options: { every: 4 }, halfLife: 50 },
      'a schedule': { rule: () => ema({ halfLife: schedules.shareOfRun(0.5) }), options: { every: 4 }, halfLife: 20.5 },
      'a mean': { rule: swa, halfLife: -Math.LN2 / Math.log(40 / 41) },
      'a copy': { rule: () => ema({ decay: 0 }), halfLife: 0 },
      'at rest': { rule: () => ema({ decay: 1 }), halfLife: Number.POSITIVE_INFINITY },
    }
    for (const [name, { rule, options = {}, halfLife }] of Object.entries(rates)) {
      const source = scalarModel(1)
      const shadow = follow(source, rule(), options)
      for (let i = 0; i < 40; i++) shadow.update()
      const rate = shadow.rate
      expect(rate?.halfLife, name).toBeCloseTo(halfLife, 1)
      expect(rate?.meanAge, name).toBe((rate?.decay ?? 0) / (rate?.tau ?? 0))
      const resumed = follow(source, rule(), options)
      resumed.load(await shadow.state())
      expect(resumed.rate).toEqual(rate)
    }
    expect(follow(scalarModel(1), copy()).rate).toBeUndefined()
  })

  test('says which pattern has selected which tensor', () => {
    const model = sequential(linear(2, 3), relu(), linear(3, 1))
    const shadow = follow(model, ema({ decay: 0.9 }), { only: ['0.*', '*.bias'], except: ['0.bias'] })
    expect(shadow.explain().split('\n').slice(1)).toEqual([
      '0.weight  [3, 2] f32  blend  ema, only 0.*',
      '0.bias    [3] f32     skip   except 0.bias',
      '2.weight  [1, 3] f32  skip   not in only',
      '2.bias    [1] f32     blend  ema, only *.bias',
    ])
  })

  test('says when it follows', () => {
    const said = (options: ShadowOptions<never>) => follow(scalarModel(1), ema({ decay: 0.9 }), options).explain()
    expect(said({})).toContain('decay 0.9, every step, non-finite')
    expect(said({ every: 4, after: 2 })).toContain('decay 0.9, every 4 steps, after 2, non-finite')
    expect(said({ every: 4, unit: 'update' })).toContain('decay 0.9, rates per update, every 4 steps, non-finite')
    expect(said({ unit: 'sample' })).toContain('decay 0.9, rates per sample, every step, non-finite')
    expect(said({ when: ({ step }) => step > 3 })).toContain('decay 0.9, every step, on a condition, non-finite')
  })

  test('an interval keeps the half-life', () => {
    const source = scalarModel(0)
    const shadow = follow(source, ema({ halfLife: 8 }), { every: 4 })
    update({ target: source, source: scalarModel(1) }, copy())
    for (let i = 0; i < 8; i++) shadow.update()
    expect(shadow.updates).toBe(2)
    expect(shadow.model.w.dataSync()[0]).toBeCloseTo(0.5, 6)
  })

  test('evaluateWith swaps the weights, also of compiled functions, and swaps them back', async () => {
    const source = scalarModel(1)
    const shadow = follow(source, ema({ decay: 0.5 }))
    update({ target: source, source: scalarModel(3) }, copy())
    const twice = compile([f32(2)], (x: Tensor<[2]>) => x.mul(source.w))
    const read = () => [...twice(ones([2])).dataSync()]
    expect(read()).toEqual([3, 3])
    expect(shadow.evaluateWith(() => [read(), source.w.arraySync()])).toEqual([
      [1, 1],
      [1, 1],
    ])
    expect(read()).toEqual([3, 3])
    await expect(
      shadow.evaluateWith(async () => {
        await Promise.resolve()
        expect(read()).toEqual([1, 1])
        throw new RangeError('in between')
      }),
    ).rejects.toThrow('in between')
    expect(read()).toEqual([3, 3])
    expect(twice.programs).toBe(2)
    const optimizer = sgd(source, { lr: 1 })
    for (const forbidden of [
      () => shadow.update(),
      () => saveModelSync(source),
      () => optimizer.step(source.w.trace().sum().backward()),
      () => update({ target: source, source: scalarModel(1) }, copy()),
    ])
      expect(() => shadow.evaluateWith(forbidden)).toThrow(OptionError)
    expect(read()).toEqual([3, 3])
  })

  test('NaN is kept out, as the policy says', () => {
    const make = (...values: ConstructorParameters<typeof Pair>) => new Pair(...values)
    const left = (nonFinite: ShadowOptions<never>['nonFinite']) => {
      const source = make([0, 0], [0, 0])
      const shadow = follow(source, ema({ decay: 0.5 }), { nonFinite: nonFinite ?? 'propagate' })
      update({ target: source, source: make([2, Number.NaN], [4, 4]) }, copy())
      shadow.update()
      return stateOf(shadow.model)
    }
    expect(left('propagate')).toEqual({ a: [1, Number.NaN], b: [2, 2] })
    expect(left('skipElement')).toEqual({ a: [1, 0], b: [2, 2] })
    expect(left('skipTensor')).toEqual({ a: [0, 0], b: [2, 2] })
    expect(left('skipAll')).toEqual({ a: [0, 0], b: [0, 0] })
    expect(() => left('error')).toThrow(NonFiniteError)
    expect(() => left('error')).toThrow('NaN or infinity in a; the target was not changed')
  })

  describe("rest: 'share'", () => {
    const valuesOf = (model: object) => tensorsOf(model).map(({ tensor: t }) => [...t.dataSync()])
    const made = (options: ShadowOptions<never> = {}) => {
      manualSeed(1)
      const source = sequential(linear(3, 2), relu(), linear(2, 1))
      const shadow = follow(source, ema({ decay: 0.5 }), { ...options, only: ['2.*'], rest: 'share' } as never)
      return { source, shadow, optimizer: sgd(source, { lr: 0.1 }) }
    }

    test.each([false, true])(
      'what is left out is that of the source, the rest follows (compiled: %s)',
      async (compiled) => {
        const { source, shadow, optimizer } = made()
        const before = valuesOf(source)
        const body = (x: Tensor<[4, 3]>) => {
          optimizer.step(source.forward(x.trace()).square().mean().backward())
          shadow.update()
        }
        const step = compiled ? compile(body) : body
        for (let i = 0; i < 3; i++) step(normal([4, 3]))
        const [now, average] = [valuesOf(source), valuesOf(shadow.model)]
        expect(average.slice(0, 2)).toEqual(now.slice(0, 2))
        expect(average.slice(2)).not.toEqual(now.slice(2))
        expect(average.slice(2)).not.toEqual(before.slice(2))
        expect(shadow.explain()).toContain('skip   not in only, shared with the source')
        // It takes no gradient, and its source does.
        const loss = shadow.model
          .forward(ones([1, 3]).trace())
          .sum()
          .add(source.forward(ones([1, 3]).trace()).sum())
        expect(() => optimizer.step(loss.backward())).not.toThrow()
        expect(Object.keys((await shadow.state()).tensors)).toEqual(['2.weight', '2.bias'])
      },
    )

    test('takes no memory, is swapped and saved with the source, and goes on', async () => {
      const { source, shadow } = made()
      update({ target: source, source: sequential(linear(3, 2), relu(), linear(2, 1)) }, copy())
      shadow.update()
      const [now, average] = [valuesOf(source), valuesOf(shadow.model)]
      expect(shadow.evaluateWith((model) => valuesOf(model))).toEqual(average)
      expect(valuesOf(source)).toEqual(now)
      const state = await shadow.state()
      shadow.update()
      shadow.load(state)
      expect(valuesOf(shadow.model)).toEqual(average)
      shadow.dispose()
      expect(valuesOf(source)).toEqual(now)
    })

    test('is refused where it says nothing, and where dtypes differ', () => {
      const source = sequential(linear(3, 2))
      const rule = ema({ decay: 0.5 })
      expect(() => follow(source, rule, { rest: 'share' })).toThrow('rest is what only, except or where leave out')
      expect(() => follow(source, rule, { rest: 'other' as never, only: ['0.bias'] })).toThrow('rest')
      expect(() => follow(source, rule, { rest: 'share', only: ['0.bias'], dtype: 'bf16' })).toThrow(
        '"0.weight" cannot be shared: it is f32, and the average bf16; say dtype: \'f32\'',
      )
    })
  })

  test('the copy of an average is a model like its source: it can be trained', () => {
    const source = sequential(linear(2, 1))
    const shadow = follow(source, ema({ decay: 0.5 }))
    const again = clone(shadow.model)
    const valuesOf = (model: object) => tensorsOf(model).flatMap(({ tensor: t }) => [...t.dataSync()])
    const loss = again.forward(ones([1, 2]).trace()).sum()
    const before = valuesOf(again)
    sgd(again, { lr: 1 }).step(loss.backward())
    expect(valuesOf(again)).not.toEqual(before)
    expect(valuesOf(shadow.model)).toEqual(before)
    expect(() => sgd(shadow.model as never)).toThrow('this is an average')
  })

  test('lazy: what does not change is blended when somebody looks', () => {
    const source = sequential(linear(2, 2), linear(2, 2))
    freeze(source, '0.*')
    const shadow = follow(source, ema({ decay: 0.9 }), { lazy: true })
    const eager = follow(source, ema({ decay: 0.9 }))
    update({ target: source, source: sequential(linear(2, 2), linear(2, 2)) }, copy())
    const optimizer = sgd(source, { lr: 0.1 })
    const device = source.layers[0].weight.device
    let runs = 0
    const run = device.backend.run.bind(device.backend)
    device.backend.run = (...args) => {
      runs++
      run(...args)
    }
    const counted = (body: () => void) => {
      runs = 0
      body()
      return runs
    }
    for (let i = 0; i < 5; i++) {
      optimizer.step(
        source
          .forward(ones([1, 2]).trace())
          .square()
          .sum()
          .backward(),
      )
      expect(counted(() => shadow.update())).toBe(1)
      eager.update()
    }
    for (let i = 0; i < 5; i++) {
      expect(counted(() => shadow.update())).toBe(0)
      eager.update()
    }
    unfreeze(source)
    for (const [path, values] of Object.entries(stateOf(eager.model)))
      for (const [i, value] of values.entries()) expect(stateOf(shadow.model)[path]?.[i]).toBeCloseTo(value, 5)
  })

  test.each([false, true])('lazy: frozen weights go on waiting while others train (compiled: %s)', async (compiled) => {
    manualSeed(3)
    const source = sequential(linear(2, 2), linear(2, 2))
    freeze(source, '0.*')
    const shadow = follow(source, ema({ decay: 0.9 }), { lazy: true })
    const eager = follow(source, ema({ decay: 0.9 }))
    const optimizer = sgd(source, { lr: 0.1 })
    const body = (x: Tensor<[1, 2]>) => {
      const loss = source.forward(x.trace()).square().sum()
      optimizer.step(loss.backward())
      shadow.update()
      eager.update()
      return loss
    }
    const step = compiled ? compile([f32(1, 2)], body) : body
    for (let i = 0; i < 5; i++) step(ones([1, 2]))
    // Micro-steps, and another step of training: what trains is blended by then, what is frozen is not.
    for (let i = 0; i < 2; i++) {
      shadow.update()
      eager.update()
    }
    expect((await shadow.state()).pending.map(({ count }) => count)).toEqual([7, 7, 2, 2])
    step(ones([1, 2]))
    expect((await shadow.state()).pending.map(({ count }) => count)).toEqual([8, 8, 0, 0])
    for (const [path, values] of Object.entries(stateOf(eager.model)))
      for (const [i, value] of values.entries()) expect(stateOf(shadow.model)[path]?.[i]).toBeCloseTo(value, 5)
  })

  test('a resumed shadow goes on bit for bit', async () => {
    for (const { rule, options = {} } of Object.values(cases)) {
      const go = async (resumeAt: number) => {
        manualSeed(2)
        const source = sequential(linear(2, 3))
        const others = Array.from({ length: 6 }, () => sequential(linear(2, 3)))
        manualSeed(4)
        let shadow = follow(source, rule(), options)
        for (const [i, other] of others.entries()) {
          if (i === resumeAt) {
            const state = structuredClone(await shadow.state())
            shadow = follow(source, rule(), options)
            shadow.load(state)
          }
          if (i % 2 === 0) update({ target: source, source: other }, copy())
          shadow.update({ samples: 2 })
          shadow.observe({ loss: i })
        }
        return stateOf(shadow.model)
      }
      expect(await go(3)).toEqual(await go(-1))
    }
  })
})
