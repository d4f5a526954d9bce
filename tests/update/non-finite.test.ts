import { compile, f32, setDefaultDevice, type Tensor, tensor, zeros } from 'dfdt'
import { buffer, parameter } from 'dfdt/nn'
import { defineRule, ema, follow, type NonFinitePolicy, type ShadowOptions, update } from 'dfdt/update'
import { beforeEach, describe, expect, test } from 'vitest'
import type { Expr } from '../../src/kernels/expr.js'
import { tensorsOf } from '../../src/model/walk.js'
import { toBytes } from '../../src/tensor/elements.js'
import { NonFiniteError } from '../../src/tensor/errors.js'
import { devices } from '../devices.js'

/** Tensors of four dtypes, two of them buffers: four groups of an update. */
class Mixed {
  readonly a = parameter(tensor([1, 1]))
  readonly b = parameter(tensor([1, 1], { dtype: 'bf16' }))
  readonly c = parameter(tensor([1, 1], { dtype: 'f16' }))
  readonly mean = buffer(tensor([1, 1]))
  readonly count = buffer(tensor([1], { dtype: 'i32' }))
  forward(): void {}
}
class Vector {
  readonly w
  constructor(values: readonly [number, number, number]) {
    this.w = parameter(tensor([...values]))
  }
  forward(): void {}
}
type Values = Readonly<Record<'a' | 'b' | 'c' | 'mean' | 'count', readonly number[]>>
const stateOf = (model: object) =>
  Object.fromEntries(tensorsOf(model).map(({ path, tensor: t }) => [path, [...t.dataSync()]])) as unknown as Values
const set = (model: Mixed, values: Partial<Values>) => {
  for (const { path, tensor: t } of tensorsOf(model)) {
    const given = values[path as keyof Values]
    const data = t.dtype === 'i32' ? Int32Array.from(given ?? []) : Float32Array.from(given ?? [])
    if (given) t.storage.write(0, toBytes(data, t.dtype))
  }
}
const clean: Values = { a: [5, 5], b: [5, 5], c: [5, 5], mean: [5, 5], count: [5] }
const start: Values = { a: [1, 1], b: [1, 1], c: [1, 1], mean: [1, 1], count: [1] }
const moved: Values = { a: [2, 2], b: [2, 2], c: [2, 2], mean: [5, 5], count: [5] }
const bad = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
const floats = ['a', 'b', 'c', 'mean'] as const

// Below a tau of ½ infinity comes through as such, above as NaN.
const rule = () => ema({ tau: 0.25 })

/** What an update with tau ¼ and copied buffers makes of `start`, where element 1 of `path` is `value`. */
function expected(policy: NonFinitePolicy, path: (typeof floats)[number], value: number): Values {
  const copies = path === 'mean'
  const [before, after] = copies ? [1, 5] : [1, 2]
  if (policy === 'propagate') return { ...moved, [path]: [after, value] }
  if (policy === 'skipElement') return { ...moved, [path]: [after, before] }
  if (policy === 'skipTensor') return { ...moved, [path]: [before, before] }
  return start
}

describe.each(devices)('values that are not finite, on $name', ({ make }) => {
  beforeEach(() => setDefaultDevice(make()))

  const policies = ['propagate', 'skipElement', 'skipTensor', 'skipAll', 'error'] as const
  const forms = [
    'follow',
    'follow, compiled',
    'follow, kahan',
    'follow, metrics',
    'update',
    'update, compiled',
  ] as const
  const cases = policies.flatMap((policy) => forms.map((form) => [policy, form] as const))

  test.each(cases)('%s: %s', (nonFinite, form) => {
    for (const path of floats)
      for (const value of bad) {
        const source = new Mixed()
        const options: ShadowOptions<never> = {
          nonFinite,
          ...(form.includes('kahan') && { precision: 'kahan' }),
          ...(form.includes('metrics') && { metrics: true }),
        }
        const shadow = form.includes('follow') ? follow(source, rule(), options) : undefined
        const target = shadow?.model ?? new Mixed()
        const plain = () =>
          shadow ? shadow.update() : update({ target: target as Mixed, source }, rule(), { nonFinite })
        const compiled = compile([f32(1)], (x: Tensor<[1]>) => {
          plain()
          return x.add(1)
        })
        const run = form.includes('compiled') ? () => void compiled(zeros([1])) : plain
        set(source, { ...clean, [path]: [5, value] })
        if (nonFinite === 'error') {
          expect(run).toThrow(NonFiniteError)
          expect(run).toThrow(`NaN or infinity in ${path}; the target was not changed`)
          expect(shadow?.updates ?? 0).toBe(0)
        } else run()
        expect(stateOf(target), `${path} ${value}`).toEqual(expected(nonFinite, path, value))
        // It goes on as soon as all is well.
        if (nonFinite === 'propagate') continue
        set(source, clean)
        run()
        const after = stateOf(target)
        expect(after.mean).toEqual([5, 5])
        expect([...after.a, ...after.b, ...after.c].every((x) => x > 1 && x < 5)).toBe(true)
      }
  })

  test('error names every tensor, of all dtypes', () => {
    const source = new Mixed()
    const shadow = follow(source, rule(), { nonFinite: 'error' })
    set(source, { ...clean, a: [Number.NaN, 1], c: [1, Number.POSITIVE_INFINITY], mean: [Number.NaN, 1] })
    expect(() => shadow.update()).toThrow('the source has NaN or infinity in a, c, mean; the target was not changed')
    expect(stateOf(shadow.model)).toEqual(start)
  })

  test.each(['eager', 'compiled'])('error with several shadows, %s: each counts what it has made', (how) => {
    const [source, other] = [new Mixed(), new Mixed()]
    const shadows = [source, source, other].map((model) => follow(model, rule(), { nonFinite: 'error' }))
    const plain = () => {
      for (const shadow of shadows) shadow.update()
    }
    const compiled = compile([f32(1)], (x: Tensor<[1]>) => {
      plain()
      return x.add(1)
    })
    const run = how === 'compiled' ? () => void compiled(zeros([1])) : plain
    const counts = () => shadows.map(({ updates, steps }) => [updates, steps])
    const averages = () => shadows.map(({ model }) => stateOf(model))
    set(source, clean)
    set(other, clean)
    run()
    const [before, known] = [averages(), [1, 1]]
    set(source, { ...clean, b: [Number.NaN, 5] })
    for (const times of [2, 3]) {
      expect(run).toThrow('the source has NaN or infinity in b; the target was not changed')
      expect(averages().slice(0, 2)).toEqual(before.slice(0, 2))
      // Called plainly, the first that throws keeps the others from being called.
      expect(counts()).toEqual([known, known, how === 'compiled' ? [times, times] : known])
    }
    set(source, clean)
    run()
    const third = how === 'compiled' ? [4, 4] : [2, 2]
    expect(counts()).toEqual([[2, 2], [2, 2], third])
    const [a, b] = averages()
    expect(a?.a).toEqual([2.75, 2.75])
    expect(b?.a).toEqual([2.75, 2.75])
  })

  test('what is not selected is not looked at', () => {
    for (const nonFinite of ['skipAll', 'error', 'skipTensor'] as const) {
      const source = new Mixed()
      const shadow = follow(source, rule(), { nonFinite, except: ['b'], buffers: 'skip' })
      set(source, { ...clean, b: [Number.NaN, 1], mean: [Number.NaN, 1] })
      shadow.update()
      expect(stateOf(shadow.model)).toEqual({ ...start, a: [2, 2], c: [2, 2] })
    }
  })

  test('buffers that blend take part', () => {
    const source = new Mixed()
    const shadow = follow(source, rule(), { nonFinite: 'skipElement', buffers: 'blend' })
    set(source, { ...clean, mean: [5, Number.NaN] })
    shadow.update()
    expect(stateOf(shadow.model)).toEqual({ ...moved, mean: [2, 1] })
  })

  test('an average of two bytes, and a lazy one', () => {
    for (const options of [{ dtype: 'bf16' }, { dtype: 'f16', precision: 'stochastic' }, { lazy: true }] as const) {
      const source = new Mixed()
      const shadow = follow(source, rule(), { nonFinite: 'skipElement', ...options })
      set(source, { ...clean, a: [5, Number.NaN], b: [5, Number.NEGATIVE_INFINITY] })
      shadow.update()
      expect(stateOf(shadow.model)).toEqual({ ...moved, a: [2, 1], b: [2, 1] })
      set(source, clean)
      shadow.update()
      expect(stateOf(shadow.model)).toEqual({ a: [2.75, 2], b: [2.75, 2], c: [2.75, 2.75], mean: [5, 5], count: [5] })
    }
  })

  test('what is skipped is not measured either, so that it does not spread through a reduction', () => {
    const far = ({ target, source }: { readonly target: Expr; readonly source: Expr }) => source.sub(target)
    const measuring = defineRule({
      name: 'measuring',
      measures: {
        squares: { combine: 'sum', of: (both) => far(both).square() },
        most: { combine: 'max', over: 'model', of: far },
        least: { combine: 'min', of: far },
      },
      next: ({ target, source }, _, { squares, most, least }) => ({
        target: source.sub(target).div(squares.sqrt()).add(target).add(most.mul(10)).add(least.mul(100)),
      }),
    })
    for (const value of bad) {
      const [target, source] = [new Vector([0, 0, 0]), new Vector([3, value, 4])]
      update({ target, source }, measuring, { nonFinite: 'skipElement' })
      expect([...target.w.dataSync()].map((x) => Math.round(10 * x))).toEqual([3406, 0, 3408])
    }
  })

  test('nor is a tensor that is skipped, by what is measured of the model', () => {
    class Two {
      readonly a
      readonly b
      constructor(a: number, b: number) {
        this.a = parameter(tensor([a, 3]))
        this.b = parameter(tensor([b, 4]))
      }
      forward(): void {}
    }
    const measuring = defineRule({
      name: 'measuring',
      measures: { total: { combine: 'sum', over: 'model', of: ({ source }) => source } },
      next: ({ source }, _, { total }) => ({ target: source.add(total.mul(100)) }),
    })
    for (const compiled of [false, true]) {
      const [poisoned, whole] = [new Two(Number.NaN, 2), new Two(5, 2)].map((source) => {
        const target = new Two(1, 1)
        const body = (x: Tensor<[]>) => {
          update({ target, source }, measuring, { nonFinite: 'skipTensor' })
          return x.add(1)
        }
        ;(compiled ? compile(body) : body)(tensor(0))
        return [target.a, target.b].map((w) => [...w.dataSync()])
      })
      expect(poisoned).toEqual([
        [1, 3],
        [602, 604],
      ])
      expect(whole).toEqual([
        [1405, 1403],
        [1402, 1404],
      ])
    }
  })

  test('the first update, where that is a copy, takes part', () => {
    for (const [nonFinite, a] of [
      ['skipElement', [5, 1]],
      ['skipTensor', [1, 1]],
      ['propagate', [5, Number.NaN]],
    ] as const) {
      const source = new Mixed()
      const shadow = follow(source, rule(), { nonFinite, after: 1 })
      set(source, { ...clean, a: [5, Number.NaN] })
      shadow.update()
      shadow.update()
      expect(stateOf(shadow.model)).toEqual({ ...clean, a })
    }
    const source = new Mixed()
    const shadow = follow(source, rule(), { nonFinite: 'error', after: 1 })
    shadow.update()
    set(source, { ...clean, c: [Number.NaN, 5] })
    expect(() => shadow.update()).toThrow('NaN or infinity in c; the target was not changed')
    expect(stateOf(shadow.model)).toEqual(start)
    set(source, clean)
    shadow.update()
    expect(stateOf(shadow.model)).toEqual(clean)
  })

  test('metrics count them', async () => {
    for (const nonFinite of ['propagate', 'skipElement', 'skipTensor', 'skipAll'] as const)
      for (const compiled of [false, true]) {
        const source = new Mixed()
        const shadow = follow(source, rule(), { nonFinite, metrics: true })
        const body = (x: Tensor<[]>) => {
          shadow.update()
          return x.add(1)
        }
        const step = compiled ? compile(body) : body
        set(source, { ...clean, a: [5, Number.NaN], b: [Number.NEGATIVE_INFINITY, Number.NaN] })
        step(tensor(0))
        expect((await shadow.metrics()).nonFinite).toBe(3)
        set(source, clean)
        step(tensor(0))
        expect((await shadow.metrics()).nonFinite).toBe(0)
      }
  })

  test('rules with reductions keep memory of their own, also when a compiled function uses them first', () => {
    const halfOfLargest = defineRule({
      name: 'halfOfLargest',
      measures: { largest: { combine: 'max', of: ({ source }) => source.abs() } },
      next: (_, __, { largest }) => ({ target: largest.mul(0.5) }),
    })
    const [target, source] = [new Mixed(), new Mixed()]
    set(source, { ...clean, a: [3, -8] })
    const step = compile([f32(1)], (x: Tensor<[1]>) => {
      update({ target, source }, halfOfLargest, { nonFinite: 'skipAll' })
      return x.add(1)
    })
    for (const a of [8, 6]) {
      set(source, { ...clean, a: [3, -a] })
      step(zeros([1]))
      expect(stateOf(target)).toEqual({ a: [a / 2, a / 2], b: [2.5, 2.5], c: [2.5, 2.5], mean: [5, 5], count: [5] })
    }
    set(source, { ...clean, a: [3, -2] })
    update({ target, source }, halfOfLargest, { nonFinite: 'skipAll' })
    expect(stateOf(target).a).toEqual([1.5, 1.5])
  })
})
