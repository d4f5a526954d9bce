import { compile, setDefaultDevice, type Tensor, tensor } from 'dfdt'
import { buffer, clone, parameter } from 'dfdt/nn'
import {
  average,
  defineRule,
  elastic,
  ema,
  follow,
  greedySoup,
  lookahead,
  modelStock,
  outerNesterov,
  powerEma,
  type Schedule,
  type ShadowOptions,
  schedules,
  slerp,
  swa,
  switchEma,
  type UpdateRule,
  update,
  wiseFt,
} from 'dfdt/update'
import { beforeEach, describe, expect, test } from 'vitest'
import { OptionError, ShapeError } from '../../src/tensor/errors.js'
import { assertClose } from '../../src/testing/close.js'
import { devices } from '../devices.js'
import { golden } from '../golden-file.js'

/** A model of one parameter. */
class Weights {
  readonly w
  constructor(...values: readonly number[]) {
    this.w = parameter(tensor([...values]))
  }
  forward(): void {}
}
const valuesOf = ({ w }: { readonly w: { dataSync(): Float32Array } }) => [...w.dataSync()]
/** Weights after each step, and what their average is then. */
type Goldens = { readonly torch: string; readonly path: number[][] } & Readonly<
  Record<'swa' | 'inverse' | 'power1' | 'power10' | 'debiased', number[]>
>
const goldens = golden<Goldens>('update/averages.json')
/** What a model trains to at step i. */
const path = (i: number) => [Math.sin(i), 2 + Math.cos(2 * i), i / 10]

describe.each(devices)('rules on $name', ({ make }) => {
  beforeEach(() => setDefaultDevice(make()))

  /** Follows the path for some steps; `train` moves the source to its next place. */
  function followed(rule: UpdateRule, steps: number, options: ShadowOptions<never> = {}) {
    const source = new Weights(...path(0))
    const shadow = follow(source, rule, options)
    for (let i = 1; i <= steps; i++) {
      update({ target: source, source: new Weights(...path(i)) }, ema({ decay: 0 }))
      shadow.update()
    }
    return { target: valuesOf(shadow.model as unknown as Weights), source: valuesOf(source) }
  }
  const close = (actual: readonly number[], expected: readonly number[]) =>
    assertClose(Float32Array.from(actual), expected, { rtol: 2e-6, atol: 2e-6 })
  const mean = (all: readonly (readonly number[])[]) =>
    path(0).map((_, k) => all.reduce((sum, x) => sum + (x[k] ?? 0), 0) / all.length)

  test('ema: decay^n of the start is left', () => {
    const d = 0.9
    const expected = path(0).map((start, k) => {
      let value = start
      for (let i = 1; i <= 20; i++) value = d * value + (1 - d) * (path(i)[k] ?? 0)
      return value
    })
    close(followed(ema({ decay: d }), 20).target, expected)
  })

  test.each<[name: Exclude<keyof Goldens, 'path' | 'torch'>, rule: () => UpdateRule, every: number]>([
    ['swa', () => swa(), 1],
    ['inverse', () => ema({ decay: schedules.inverse({ gamma: 2, power: 0.75, most: 0.95 }) }), 1],
    ['power1', () => powerEma({ gamma: 6.94 }), 1],
    ['power10', () => powerEma({ gamma: 6.94 }), 10],
    ['debiased', () => ema({ decay: schedules.debias(0.97) }), 1],
  ])('%s is what PyTorch, ema-pytorch, EDM2 and optax have', (name, rule, every) => {
    const source = new Weights(0, 0, 0, 0, 0)
    const shadow = follow(source, rule(), { every })
    for (const weights of goldens.path) {
      update({ target: source, source: new Weights(...weights) }, ema({ decay: 0 }))
      shadow.update()
    }
    assertClose(shadow.model.w.dataSync(), goldens[name], { rtol: 1e-5, atol: 1e-6 })
  })

  test('swa: the mean of what was seen, whatever the interval', () => {
    close(followed(swa(), 9).target, mean(Array.from({ length: 9 }, (_, i) => path(i + 1))))
    close(followed(swa(), 12, { every: 3 }).target, mean([path(3), path(6), path(9), path(12)]))
  })

  test('powerEma: weights grow as a power of time', () => {
    const gamma = 3
    const steps = 200
    // The sum over all steps of ∫ t^γ in each: (i^(γ+1) − (i−1)^(γ+1)).
    const weights = Array.from({ length: steps }, (_, i) => (i + 1) ** (gamma + 1) - i ** (gamma + 1))
    const total = steps ** (gamma + 1)
    const expected = path(0).map((_, k) => weights.reduce((sum, w, i) => sum + w * (path(i + 1)[k] ?? 0), 0) / total)
    close(followed(powerEma({ gamma }), steps).target, expected)
  })

  test('powerEma: an interval does not move the centre of the average', () => {
    /** Where in the run the average of the step numbers lies: (γ + 1)/(γ + 2) of it, .888 for σ_rel = .1. */
    const centre = (every: number) => {
      const source = new Weights(0)
      const shadow = follow(source, powerEma({ sigmaRel: 0.1 }), { every })
      const steps = 2000
      for (let i = 1; i <= steps; i++) {
        if (i % every === 0) update({ target: source, source: new Weights(i) }, ema({ decay: 0 }))
        shadow.update()
      }
      return (valuesOf(shadow.model as unknown as Weights)[0] ?? 0) / steps
    }
    for (const every of [1, 10, 100]) expect(Math.abs(centre(every) - 0.888)).toBeLessThan(every === 100 ? 0.03 : 0.005)
  })

  test('lookahead: slow weights go a part of the way, and the fast ones start there', () => {
    const { target, source } = followed(lookahead({ alpha: 0.25 }), 1)
    close(
      target,
      path(0).map((slow, k) => slow + 0.25 * ((path(1)[k] ?? 0) - slow)),
    )
    expect(source).toEqual(target)
  })

  test('switchEma: the model takes over the average once a period', () => {
    const reached = (steps: number) => followed(switchEma({ decay: 0.5, period: 3 }), steps)
    expect(reached(2).source).toEqual(path(2).map(Math.fround))
    const third = reached(3)
    expect(third.source).toEqual(third.target)
    close(third.target, followed(ema({ decay: 0.5 }), 3).target)
  })

  test('elastic: both move by the same amount', () => {
    const { target, source } = followed(elastic({ alpha: 0.1 }), 1)
    const [a, b] = [path(0), path(1)]
    close(
      target,
      a.map((x, k) => x + 0.1 * ((b[k] ?? 0) - x)),
    )
    close(
      source,
      b.map((x, k) => x - 0.1 * (x - (a[k] ?? 0))),
    )
  })

  test('outerNesterov: SGD with Nesterov momentum along what the worker has moved', () => {
    const [lr, momentum] = [0.7, 0.9]
    const expected = path(0).map((start, k) => {
      let [theta, v] = [start, 0]
      for (let i = 1; i <= 5; i++) {
        const g = theta - (path(i)[k] ?? 0)
        v = momentum * v + g
        theta -= lr * (g + momentum * v)
      }
      return theta
    })
    const { target, source } = followed(outerNesterov(), 5)
    close(target, expected)
    expect(source).toEqual(target)
  })

  test('slerp: the arc between two tensors, and the line where there is none', () => {
    const mix = (a: number[], b: number[], alpha: number) => {
      const target = new Weights(...a)
      update({ target, source: new Weights(...b) }, slerp(alpha))
      return valuesOf(target)
    }
    close(mix([1, 0, 0], [0, 1, 0], 1 / 3), [Math.cos(Math.PI / 6), Math.sin(Math.PI / 6), 0])
    for (const degrees of [3, 20, 75, 120, 170]) {
      const angle = (degrees * Math.PI) / 180
      const [x = 0, y = 0] = mix([2, 0], [2 * Math.cos(angle), 2 * Math.sin(angle)], 0.25)
      expect(Math.abs(Math.atan2(y, x) - angle / 4)).toBeLessThan(2e-5)
      expect(Math.abs(Math.hypot(x, y) - 2)).toBeLessThan(2e-4)
    }
    close(mix([1, 2, 3], [2, 4, 6], 0.5), [1.5, 3, 4.5])
    close(mix([1, 2, 3], [-1, -2, -3], 0.25), [0.5, 1, 1.5])
    close(mix([0, 0, 0], [2, 4, 6], 0.5), [1, 2, 3])
  })

  test('a measure of the model is one of all dtypes', () => {
    class Mixed {
      readonly a = parameter(tensor([3]))
      readonly b = parameter(tensor([4], { dtype: 'bf16' }))
      readonly c = parameter(tensor([12], { dtype: 'f16' }))
      forward(): void {}
    }
    const unit = defineRule({
      name: 'unit',
      measures: {
        squares: { combine: 'sum', over: 'model', of: ({ source }) => source.square() },
        largest: { combine: 'max', of: ({ source }) => source },
        most: { combine: 'max', over: 'model', of: ({ source }) => source },
      },
      next: ({ source }, _, { squares, largest, most }) => ({
        target: source.div(squares.sqrt()).mul(169).add(largest.sub(source)).add(most.mul(100)),
      }),
    })
    for (const compiled of [false, true]) {
      const shadow = follow(new Mixed(), unit, { dtype: 'f32' })
      const body = (x: Tensor<[]>) => {
        shadow.update()
        return x.add(1)
      }
      const step = compiled ? compile(body) : body
      step(tensor(0))
      const { a, b, c } = shadow.model
      expect([a, b, c].map((w) => Math.round(w.dataSync()[0] ?? 0))).toEqual([1239, 1252, 1356])
    }
  })

  describe('average', () => {
    const made = (count: number) => Array.from({ length: count }, (_, i) => new Weights(...path(i)))

    test.each([1, 2, 7, 8, 15])('of %d models', (count) => {
      const sources = made(count)
      const target = new Weights(9, 9, 9)
      average({ target, sources })
      close(valuesOf(target), mean(sources.map(valuesOf)))
      const backwards = new Weights(0, 0, 0)
      average({ target: backwards, sources: [...sources].reverse() })
      close(valuesOf(backwards), valuesOf(target))
    })

    test('weights are shares, equal models stay equal, weight 0 is not read', () => {
      const target = new Weights(0, 0, 0)
      const [a = target, b = target] = made(2)
      average({ target, sources: [a, b] }, { weights: [3, 1] })
      close(
        valuesOf(target),
        path(0).map((x, k) => 0.75 * x + 0.25 * (path(1)[k] ?? 0)),
      )
      average({ target, sources: [a, clone(a), clone(a)] }, { weights: [0.3, 0.7, 0.1] })
      expect(valuesOf(target)).toEqual(valuesOf(a))
      average({ target, sources: [new Weights(Number.NaN, 1, 1), a] }, { weights: [0, 5] })
      expect(valuesOf(target)).toEqual(valuesOf(a))
      expect(() => average({ target, sources: [a, b] }, { weights: [1] })).toThrow('one weight for each source')
      expect(() => average({ target, sources: [a, b] }, { weights: [1, -1] })).toThrow(OptionError)
      expect(() => average({ target, sources: [] })).toThrow('at least one source')
      expect(() => average({ target, sources: [a, new Weights(1) as unknown as Weights] })).toThrow(ShapeError)
      expect(() => average({ target, sources: [a, new Weights(1)] })).toThrow(
        'is [3] f32 in target but [1] f32 in source 2',
      )
    })

    test('variances are pooled: within the models and between them', () => {
      class Norm {
        readonly running_mean
        readonly running_var
        readonly num_batches_tracked
        constructor(mean: number, variance: number, count: number) {
          this.running_mean = buffer(tensor([mean]))
          this.running_var = buffer(tensor([variance]))
          this.num_batches_tracked = buffer(tensor([count], { dtype: 'i32' }))
        }
        forward(): void {}
      }
      const target = new Norm(0, 0, 0)
      average({ target, sources: [new Norm(1, 2, 7), new Norm(5, 4, 9)] }, { weights: [1, 3] })
      expect(target.running_mean.itemSync()).toBeCloseTo(4, 6)
      // ¼·(2 + 9) + ¾·(4 + 1)
      expect(target.running_var.itemSync()).toBeCloseTo(6.5, 6)
      expect(target.num_batches_tracked.itemSync()).toBe(7)
      // Many, in several passes, and as the formula says.
      const many = Array.from({ length: 15 }, (_, i) => new Norm(i, 1 + i / 7, i))
      average({ target, sources: many })
      expect(target.running_mean.itemSync()).toBeCloseTo(7, 5)
      expect(target.running_var.itemSync()).toBeCloseTo(2 + (15 ** 2 - 1) / 12, 4)
      // Equal models stay equal, bit for bit.
      const one = new Norm(0.1, 0.7, 3)
      average({ target, sources: [one, clone(one), clone(one)] }, { weights: [0.3, 0.7, 0.1] })
      expect(target.running_var.itemSync()).toBe(Math.fround(0.7))
    })
  })

  test('greedySoup keeps what does not make it worse', async () => {
    const models = [new Weights(4, 0), new Weights(1, 0), new Weights(-1, 0), new Weights(0, 9)]
    const score = (model: Weights) => -Math.hypot(...valuesOf(model))
    const soup = await greedySoup(models, score)
    expect(soup.ingredients).toEqual([1, 2])
    expect(valuesOf(soup.model)).toEqual([0, 0])
    expect(soup.score).toBe(-0)
    expect(models.map(valuesOf)).toEqual([
      [4, 0],
      [1, 0],
      [-1, 0],
      [0, 9],
    ])
  })

  test('soups without the models that have diverged', async () => {
    const all = [new Weights(Number.NaN), new Weights(1), new Weights(2), new Weights(Number.NaN)]
    const score = (model: Weights) => -Math.abs((valuesOf(model)[0] ?? 0) - 1.5)
    const { ingredients, model } = await greedySoup(all, score)
    expect(ingredients).toEqual([1, 2])
    expect(valuesOf(model)).toEqual([1.5])
    const [base, tuned] = [new Weights(Number.NaN), new Weights(1)]
    expect((await wiseFt({ base, tuned }, score)).alpha).toBe(1)
    expect((await greedySoup(all.slice(3), score)).score).toBeNaN()
  })

  test('wiseFt finds the best point between two models', async () => {
    const [base, tuned] = [new Weights(0, 0), new Weights(10, 20)]
    const { alpha, points, model } = await wiseFt({ base, tuned }, (m) => -Math.abs((valuesOf(m)[0] ?? 0) - 4))
    expect(alpha).toBe(0.4)
    expect(points).toHaveLength(11)
    close(valuesOf(model), [4, 8])
    expect(valuesOf(base)).toEqual([0, 0])
  })

  test('modelStock: nearer to the base the less the models agree', async () => {
    const base = new Weights(1, 1)
    // Right angles: nothing in common.
    close(valuesOf(await modelStock({ base, models: [new Weights(2, 1), new Weights(1, 2)] })), [1, 1])
    // The same direction: their mean.
    close(valuesOf(await modelStock({ base, models: [new Weights(2, 2), new Weights(3, 3)] })), [2.5, 2.5])
    // 60 degrees: c = ½, t = 2·½ / (1 + ½) = ⅔.
    const [x, y] = [Math.cos(Math.PI / 3), Math.sin(Math.PI / 3)]
    const stock = await modelStock({ base, models: [new Weights(2, 1), new Weights(1 + x, 1 + y)] })
    close(valuesOf(stock), [1 + (2 / 3) * ((1 + x) / 2), 1 + (2 / 3) * (y / 2)])
  })

  test.each<[name: string, make: () => unknown]>([
    ['powerEma', () => powerEma({} as never)],
    ['powerEma', () => powerEma({ sigmaRel: 0.9 })],
    ['powerEma', () => powerEma({ gamma: -2 })],
    ['lookahead', () => lookahead({ alpha: 0 })],
    ['switchEma', () => switchEma({ decay: 0.9, period: 0 })],
    ['switchEma', () => switchEma({ decay: 1.9, period: 5 })],
    ['elastic', () => elastic({ alpha: 1 })],
    ['outerNesterov', () => outerNesterov({ momentum: 1 })],
    ['slerp', () => slerp(2)],
  ])('%s refuses what is out of range', (_, make) => {
    expect(make).toThrow(OptionError)
  })
})

describe('schedules', () => {
  // ema.md's table: the decay at update n = 1, 10, 100, 1e3, 1e4, which others count from 1.
  test.each<[name: string, schedule: (n: number) => number, first: number, values: readonly number[]]>([
    ['(1 + n)/(10 + n)', schedules.warmUp(1), 1, [0.182, 0.55, 0.918, 0.991, 0.9991]],
    ['inverse 2/3', schedules.inverse({ most: 1 }), 1, [0.37, 0.798, 0.954, 0.99, 0.9978]],
    ['inverse 3/4', schedules.inverse({ power: 3 / 4, most: 1 }), 1, [0.405, 0.834, 0.969, 0.9944, 0.999]],
    ['exponential', schedules.exponential(0.9999, 2000), 0, [0.0005, 0.005, 0.049, 0.393, 0.993]],
    ['debias', schedules.debias(0.9999), 0, [0, 0.9, 0.99, 0.99895, 0.99984]],
    ['share of the run', (n) => 2 ** (-1 / schedules.shareOfRun(0.05)(n)), 0, [1e-6, 0.25, 0.871, 0.986, 0.9986]],
  ])('%s', (_, schedule, first, values) => {
    for (const [i, expected] of values.entries()) {
      const digits = String(expected).split('.')[1]?.length ?? 0
      expect(Math.abs(schedule(10 ** i - 1 + first) - expected)).toBeLessThan(0.7 * 10 ** -digits)
    }
  })

  test('from one value to another, and there they stay', () => {
    for (const make of [
      schedules.cosine,
      schedules.linear,
      (a: number, b: number, n: number) => schedules.power(a, b, n, 2),
    ]) {
      const schedule = make(0.996, 1, 100)
      expect(schedule(0)).toBeCloseTo(0.996, 12)
      expect(schedule(100)).toBe(1)
      expect(schedule(1e6)).toBe(1)
      for (let n = 1; n <= 100; n++) expect(schedule(n)).toBeGreaterThan(schedule(n - 1))
    }
    expect(schedules.linear(0.9, 1, 10)(5)).toBeCloseTo(0.95, 12)
    expect(schedules.cosine(0.9, 1, 10)(5)).toBeCloseTo(0.95, 12)
    expect(schedules.power(0, 1, 10, 2)(5)).toBeCloseTo(0.75, 12)
  })

  test.each<[text: string, schedule: Schedule]>([
    ['warmUp(0.9)', schedules.warmUp(0.9)],
    ['inverse(gamma 2, power 0.75, 0.1 to 0.9)', schedules.inverse({ gamma: 2, power: 0.75, least: 0.1, most: 0.9 })],
    ['exponential(0.9 over 300)', schedules.exponential(0.9, 300)],
    ['debias(0.99)', schedules.debias(0.99)],
    ['cosine(0.996 → 1 over 10000)', schedules.cosine(0.996, 1, 10_000)],
    ['linear(0.1 → 1e-7 over 10)', schedules.linear(0.1, 1e-7, 10)],
    ['power(0.1 → 0.5 over 10, exponent 2)', schedules.power(0.1, 0.5, 10, 2)],
    ['shareOfRun(0.3)', schedules.shareOfRun(0.3)],
    ['mine, 3', schedules.named('mine, 3', (n) => 1 / (n + 3))],
  ])('%s says what it is, with all its numbers', (text, schedule) => {
    expect(schedule.text).toBe(text)
    expect(schedule(1)).toBeGreaterThan(0)
  })

  test('a name is a text, and names a function', () => {
    expect(schedules.named('mine', (n) => n + 0.5)(2)).toBe(2.5)
    expect(() => schedules.named('', () => 1)).toThrow(OptionError)
    expect(() => schedules.named('x', 3 as never)).toThrow('the schedule is a function, got 3')
  })

  test('debias is the average of zeros, corrected', () => {
    const d = 0.95
    const schedule = schedules.debias(d)
    let [corrected, raw] = [123, 0]
    for (let n = 0; n < 50; n++) {
      const decay = schedule(n)
      corrected = decay * corrected + (1 - decay) * Math.sin(n)
      raw = d * raw + (1 - d) * Math.sin(n)
      expect(corrected).toBeCloseTo(raw / (1 - d ** (n + 1)), 12)
    }
  })

  test('debias copies at first: the weight of what was there is 0, not nearly', () => {
    for (let i = 0; i < 1000; i++) {
      const schedule = schedules.debias(i / 1000)
      expect(schedule(0)).toBe(0)
      for (const n of [1, 10, 1e6]) expect(schedule(n)).toBeGreaterThanOrEqual(0)
      for (const n of [1, 10, 1e6]) expect(schedule(n)).toBeLessThanOrEqual(1)
    }
  })

  test.each([
    () => schedules.warmUp(2),
    () => schedules.inverse({ gamma: 0 }),
    () => schedules.inverse({ least: 0.9, most: 0.5 }),
    () => schedules.exponential(0.9, 0),
    () => schedules.debias(1),
    () => schedules.cosine(0, 1, 0),
    () => schedules.linear(Number.NaN, 1, 5),
    () => schedules.power(0, 1, 5, 0),
    () => schedules.shareOfRun(0),
  ])('refuses what is out of range', (make) => {
    expect(make).toThrow(OptionError)
  })
})
