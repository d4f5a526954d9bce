import { compile, f32, manualSeed, mse, normal, setDefaultDevice, type Tensor, tensor, wasmDevice, zeros } from 'dfdt'
import { convert, linear, parameter, relu, sequential } from 'dfdt/nn'
import { adam } from 'dfdt/optim'
import { copy, defineRule, ema, follow, reseed, type ShadowOptions, update } from 'dfdt/update'
import { beforeEach, describe, expect, test } from 'vitest'
import { tensorsOf } from '../../src/model/walk.js'
import { recordOf } from '../../src/tensor/record.js'
import { toBytes } from '../../src/tensor/elements.js'
import { OptionError } from '../../src/tensor/errors.js'
import { devices } from '../devices.js'

type Any = ReturnType<typeof JSON.parse>
type Half = 'f16' | 'bf16'

/** Every tensor of a model by path. */
const stateOf = (model: object) =>
  Object.fromEntries(tensorsOf(model).map(({ path, tensor: t }) => [path, [...t.dataSync()]]))
class One<D extends 'f32' | Half = 'f32'> {
  readonly w
  constructor(values: ArrayLike<number>, dtype: D = 'f32' as D) {
    this.w = parameter(tensor([...Array.from(values)], { dtype }) as unknown as Tensor<[number], D>)
  }
  forward(): void {}
}
class Both {
  readonly a
  readonly b
  constructor(a: ArrayLike<number>, b: ArrayLike<number>) {
    this.a = new One(a)
    this.b = new One(b)
  }
  forward(): void {}
}
const valuesOf = (model: { readonly w: unknown }) => [...recordOf(model.w).dataSync()]
const set = (model: { readonly w: unknown }, values: ArrayLike<number>) => {
  const w = recordOf(model.w)
  w.storage.write(0, toBytes(Float32Array.from(values), w.dtype))
}
const rms = (a: readonly number[], b: readonly number[]) =>
  Math.sqrt(a.reduce((sum, x, i) => sum + (x - (b[i] ?? 0)) ** 2, 0) / a.length)

describe.each(devices)('precision of averages on $name', ({ make }) => {
  beforeEach(() => setDefaultDevice(make()))

  test('an average of f16 and bf16 weights is f32, and its floats are of the dtype that was asked for', () => {
    for (const dtype of ['bf16', 'f16'] as const) {
      const source = convert(sequential(linear(3, 4), relu(), linear(4, 2)), dtype)
      const shadow = follow(source, ema({ decay: 0.999 }))
      expect(tensorsOf(shadow.model).map(({ tensor: t }) => t.dtype)).toEqual(Array(4).fill('f32'))
      expect(stateOf(shadow.model)).toEqual(stateOf(source))
      // As an f32 average of f32 weights of the same values.
      const wide = convert(source, 'f32')
      const same = follow(wide, ema({ decay: 0.999 }))
      for (let i = 0; i < 5; i++) {
        manualSeed(i)
        const next = convert(sequential(linear(3, 4), relu(), linear(4, 2)), dtype)
        update({ target: source, source: next } as Any, copy())
        update({ target: wide, source: convert(next, 'f32') } as Any, copy())
        shadow.update()
        same.update()
      }
      expect(stateOf(shadow.model)).toEqual(stateOf(same.model))
      expect(stateOf(shadow.model)).not.toEqual(stateOf(source))
      expect(() => shadow.evaluateWith(() => 0)).toThrow(/is f32 in the average and .* in the source; use shadow.model/)
      expect(shadow.model.forward(normal([2, 3])).dtype).toBe('f32')
    }
    const shadow = follow(sequential(linear(3, 4)), ema({ decay: 0.9 }), { dtype: 'f16' })
    expect(shadow.model.layers[0].weight.dtype).toBe('f16')
    expect(shadow.explain()).toContain('kahan')
    expect(follow(sequential(linear(3, 4)), ema({ decay: 0.9 })).explain()).toContain('plain')
  })

  test.each([
    [{ precision: 'stochastic' }, "precision: 'stochastic' rounds averages of f16 or bf16; add dtype: 'bf16'"],
    [{ precision: 'stochastic', dtype: 'f32' }, "precision: 'stochastic' rounds averages"],
    [{ precision: 'exact' }, "precision is one of 'plain', 'kahan', 'stochastic', got \"exact\""],
    [{ dtype: 'i32' }, 'dtype is one of f64, f32, f16, bf16, got i32'],
  ])('refuses %o', (options, message) => {
    const run = () => follow(new One([1]), ema({ decay: 0.9 }), options as Any)
    expect(run).toThrow(OptionError)
    expect(run).toThrow(message)
  })

  /** The average after some updates towards `s`, from `t`. */
  const moved = (t: ArrayLike<number>, s: ArrayLike<number>, steps: number, options: Any, rate: Any) => {
    const source = new One(t)
    const shadow = follow(source, ema(rate), options)
    set(source, s)
    for (let i = 0; i < steps; i++) shadow.update()
    return { shadow, values: valuesOf(shadow.model as Any) }
  }

  test.each(['bf16', 'f16'] as const)('kahan in %s stays within a unit of the closed form', (dtype) => {
    const unit = dtype === 'bf16' ? 2 ** -7 : 2 ** -10
    for (const [decay, steps] of [
      [0.999, 1500],
      [0.9999, 3000],
    ] as const) {
      const [t, s] = [
        [1, 1.5, -1, 0.25],
        [2, 1.6, 1, 0],
      ]
      const { values } = moved(t, s, steps, { dtype }, { decay })
      const closed = t.map((x, i) => x + ((s[i] ?? 0) - x) * (1 - decay ** steps))
      values.forEach((x, i) => {
        expect(Math.abs(x - (closed[i] ?? 0))).toBeLessThanOrEqual(unit * Math.max(Math.abs(closed[i] ?? 0), 0.01))
      })
    }
  })

  test('kahan: a copy leaves nothing of the old sum, not even NaN', () => {
    const source = new One([1, Number.NaN, 3])
    const shadow = follow(source, ema({ tau: (n) => (n === 1 ? 1 : 0.25) }), { precision: 'kahan' })
    shadow.update()
    set(source, [5, 6, 7])
    shadow.update()
    expect(valuesOf(shadow.model)).toEqual([5, 6, 7])
    set(source, [9, 10, 11])
    shadow.update()
    expect(valuesOf(shadow.model)).toEqual([6, 7, 8])
  })

  test('what a rule keeps starts where a first copy leaves the average', async () => {
    const anchored = defineRule({
      name: 'anchored',
      state: { anchor: 'target' },
      next: ({ target, source, anchor }) => ({ target: source.sub(target).mul(0.25).add(target), anchor }),
    })
    for (const compiled of [false, true]) {
      const source = new One([1])
      const shadow = follow(source, anchored, { after: 2 })
      const body = (x: Tensor<[1]>) => {
        shadow.update()
        return x.add(1)
      }
      const run = compiled ? compile([f32(1)], body) : body
      for (const value of [2, 3, 4, 8]) {
        set(source, [value])
        run(zeros([1]))
      }
      expect(valuesOf(shadow.model)).toEqual([5])
      await expect(shadow.state()).resolves.toMatchObject({ tensors: { 'w#anchor': { data: Float32Array.of(4) } } })
    }
  })

  test.each(['bf16', 'f16'] as const)('stochastic rounding in %s is right on average', (dtype) => {
    const [unit, count] = [dtype === 'bf16' ? 2 ** -7 : 2 ** -10, 1 << 14]
    for (const [t, share] of [
      [1, 0.3],
      [-1, 0.8],
      [1, 0.05],
      ...(dtype === 'f16' ? [[3 * 2 ** -24, 0.3] as const] : []),
    ] as const) {
      const step = Math.abs(t) < 2 ** -14 ? 2 ** -24 : unit
      manualSeed(11)
      const from = Array(count).fill(t)
      const to = Array(count).fill(t + 10 * share * step)
      const { values } = moved(from, to, 1, { dtype, precision: 'stochastic' }, { tau: 0.1 })
      const mean = values.reduce((sum, x) => sum + (x - t) / step, 0) / count
      // Five standard deviations.
      expect(Math.abs(mean - share)).toBeLessThan(5 * Math.sqrt((share * (1 - share)) / count))
      expect(new Set(values).size).toBe(2)
    }
  })

  test('stochastic rounding: numbers of its own, others for each tensor and each update', () => {
    const run = (disturb: boolean) => {
      manualSeed(5)
      const one = () => Array(64).fill(1)
      const source = new Both(one(), one())
      const shadow = follow(source, ema({ tau: 0.001 }), { dtype: 'bf16', precision: 'stochastic' })
      for (const part of [source.a, source.b]) set(part, Array(64).fill(2))
      for (let i = 0; i < 3; i++) {
        if (disturb) normal([3])
        shadow.update()
      }
      return stateOf(shadow.model)
    }
    const first = run(false)
    expect(run(true)).toEqual(first)
    expect(first['a.w']).not.toEqual(first['b.w'])
    expect(new Set(first['a.w']).size).toBeGreaterThan(1)
  })

  test('stochastic rounding leaves NaN and infinity as they are, and what does not move', () => {
    const values = [Number.NaN, Infinity, -Infinity, 0, -1, 1.5]
    const { values: after } = moved(values, values, 3, { dtype: 'bf16', precision: 'stochastic' }, { tau: 0.1 })
    expect(after.slice(3)).toEqual([0, -1, 1.5])
    expect(after.slice(0, 3).every((x) => !Number.isFinite(x))).toBe(true)
  })

  /** A few steps of training; the average in the end. */
  const trained = async (compiled: boolean, options: ShadowOptions<never, Half | 'f32'>, resumeAt = -1) => {
    manualSeed(1)
    const model = sequential(linear(2, 16), relu(), linear(16, 1))
    const optimizer = adam(model, { lr: 0.05 })
    let shadow = follow(model, ema({ decay: 0.99 }), options)
    const steps = () => {
      const body = (x: Tensor<[4, 2]>) => {
        const loss = mse(model.forward(x.trace()), zeros([4, 1]))
        optimizer.step(loss.backward())
        shadow.update()
        return loss
      }
      return compiled ? compile([f32(4, 2)], body) : body
    }
    let run = steps()
    for (let i = 0; i < 8; i++) {
      if (i === resumeAt) {
        const state = structuredClone(await shadow.state())
        shadow = follow(model, ema({ decay: 0.99 }), options)
        for (let draw = 0; draw < i; draw++) shadow.update()
        shadow.load(state)
        run = steps()
      }
      manualSeed(100 + i)
      run(normal([4, 2]))
    }
    return stateOf(shadow.model)
  }

  test.each<ShadowOptions<never, Half | 'f32'>>([
    { precision: 'kahan' },
    { dtype: 'bf16' },
    { dtype: 'f16', precision: 'kahan', nonFinite: 'skipElement' },
    { dtype: 'bf16', precision: 'plain' },
    { dtype: 'bf16', precision: 'stochastic' },
    { dtype: 'f16', precision: 'stochastic', every: 2 },
    { dtype: 'bf16', lazy: true },
    { dtype: 'bf16', precision: 'stochastic', lazy: true },
  ])('%o: the same bits eagerly, compiled and resumed', async (options) => {
    const eager = await trained(false, options)
    expect(await trained(true, options)).toEqual(eager)
    expect(await trained(false, options, 5)).toEqual(eager)
    expect(await trained(true, options, 5)).toEqual(eager)
  })

  test('coalescing: one blend for a hundred is more accurate than a hundred', () => {
    manualSeed(2)
    const [t, s] = [normal([4096]).to('bf16'), normal([4096]).to('bf16')].map((x) => [...x.dataSync()]) as [
      number[],
      number[],
    ]
    const tau = 1e-3
    const closed = t.map((x, i) => x + ((s[i] ?? 0) - x) * (1 - (1 - tau) ** 100))
    const error = (options: Any) => rms(moved(t, s, 100, options, { tau }).values, closed)
    expect(rms(t, closed)).toBeCloseTo(0.134, 2)
    expect(error({ dtype: 'bf16', precision: 'plain' })).toBeGreaterThan(0.1)
    expect(error({ dtype: 'bf16', precision: 'plain', lazy: true })).toBeLessThan(0.003)
    expect(error({ dtype: 'bf16', precision: 'kahan' })).toBeLessThan(0.003)
    const [stepwise, once] = [error({}), error({ lazy: true })]
    expect(stepwise).toBeLessThan(1e-6)
    expect(once).toBeLessThan(stepwise / 3)
  })

  test('lazy: 1.5 units of the last place from the closed form at most, and no farther than k updates', () => {
    manualSeed(3)
    const size = 512
    const [t, s] = [normal([size]), normal([size])].map((x) => [...x.dataSync()]) as [number[], number[]]
    /** The largest distance, in units of the last place of the larger of |t| and |s|. */
    const units = (values: readonly number[], share: number) =>
      Math.max(
        ...values.map((value, i) => {
          const [from = 0, to = 0] = [t[i], s[i]]
          const unit = 2 ** (Math.floor(Math.log2(Math.max(Math.abs(from), Math.abs(to)))) - 23)
          return Math.abs(value - (from + (to - from) * share)) / unit
        }),
      )
    for (const tau of [1e-4, 1e-3, 0.1, 0.3, 0.7])
      for (const k of [1, 2, 30, 300]) {
        const share = -Math.expm1(k * Math.log1p(-tau))
        const [lazy, eager] = [{ lazy: true }, {}].map((options) =>
          units(moved(t, s, k, options, { tau }).values, share),
        )
        // The first update, which finds the source changed, is a blend by itself; those put off are one more.
        expect(lazy).toBeLessThan(1.5)
        expect(lazy).toBeLessThanOrEqual(eager ?? 0)
      }
  })

  test('the stall detector: rounding has swallowed the step', async () => {
    const stalled = async (options: Any, decay = 0.999) => {
      const { shadow } = moved([1, 1, 1, 1], [2, 2, 1, Number.NaN], 3, { ...options, metrics: true }, { decay })
      return (await shadow.metrics()).stalled
    }
    expect(await stalled({ dtype: 'bf16', precision: 'plain' })).toBe(0.5)
    expect(await stalled({ dtype: 'bf16', precision: 'plain' }, 0.9)).toBe(0)
    expect(await stalled({ dtype: 'bf16' })).toBe(0)
    expect(await stalled({ dtype: 'bf16', precision: 'stochastic' })).toBe(0)
    expect(await stalled({})).toBe(0)
    expect(await stalled({}, 1 - 1e-9)).toBe(0.5)
  })

  test('explain says how near elements may be and not move, where that is much', () => {
    const text = (options: Any, decay: number) => follow(new One([1]), ema({ decay }), options).explain()
    const plain = { dtype: 'bf16', precision: 'plain' }
    expect(text(plain, 0.99)).toContain(
      "rounding in bf16: elements that differ by less than 39 % may not move at this rate; precision: 'kahan' keeps",
    )
    expect(text({}, 0.999999)).toContain('rounding in f32: elements that differ by less than 6 %')
    expect(text({}, 0.9999)).not.toContain('rounding')
    expect(text({ dtype: 'bf16' }, 0.99)).not.toContain('rounding')
    // What it says is so: at 40 % all move, at 19 % none does.
    expect(moved([1, 1], [1.4, 1.19], 1, plain, { decay: 0.99 }).values.map((x) => x > 1)).toEqual([true, false])
  })

  test('reseed: what is not finite becomes the source, all else stays', async () => {
    const poisoned = [1, Number.NaN, Infinity, -Infinity, -0]
    for (const dtype of ['f32', 'f16', 'bf16'] as const) {
      const [target, source] = [new One(poisoned, dtype), new One([5, 6, 7, 8, 9], dtype)]
      reseed({ target, source })
      expect(valuesOf(target)).toEqual([1, 6, 7, 8, -0])
    }
    for (const options of [{}, { precision: 'kahan' }, { dtype: 'bf16' }, { lazy: true }] as Any[]) {
      const source = new One([1, 2, 3])
      const shadow = follow(source, ema({ decay: 0.5 }), options)
      set(source, [3, Number.NaN, -Infinity])
      shadow.update()
      set(source, [3, 4, 5])
      shadow.reseed()
      expect(valuesOf(shadow.model as Any)).toEqual([2, 4, 5])
      set(source, [4, 6, 7])
      shadow.update()
      expect(valuesOf(shadow.model as Any)).toEqual([3, 5, 6])
    }
  })
})

test('stochastic rounding: the same bits for any number of threads', () => {
  const run = (threads: number) => {
    const device = wasmDevice({ threads })
    setDefaultDevice(device)
    manualSeed(3)
    const size = 300_001
    const source = new Both(new Float32Array(size).fill(1), new Float32Array(7))
    const shadow = follow(source, ema({ tau: 0.001 }), { dtype: 'bf16', precision: 'stochastic' })
    set(source.a, new Float32Array(size).fill(2))
    for (let i = 0; i < 2; i++) shadow.update()
    const after = Float32Array.from(valuesOf(shadow.model.a as Any))
    void device.close()
    return after
  }
  const one = run(1)
  expect(new Set(one).size).toBeGreaterThan(1)
  for (const threads of [2, 8]) expect(run(threads)).toEqual(one)
})
