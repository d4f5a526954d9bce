import { compile, embedding, ones, setDefaultDevice, type Tensor, tensor } from 'dfdt'
import { loadCheckpoint, loadModel, saveCheckpoint, saveModelSync } from 'dfdt/io'
import { clone, freeze, parameter, unfreeze } from 'dfdt/nn'
import { sgd } from 'dfdt/optim'
import { copy, ema, follow, type Shadow, type ShadowOptions, type UpdateRule, update } from 'dfdt/update'
import { beforeEach, describe, expect, test } from 'vitest'
import { tensorsOf } from '../../src/model/walk.js'
import { CaptureError } from '../../src/tensor/errors.js'
import { devices } from '../devices.js'
import { sameWhateverHappens } from './random-walk.js'

class Pair {
  readonly a
  readonly b
  constructor(a: number, b: number) {
    this.a = parameter(tensor([a, -a]))
    this.b = parameter(tensor([b, 2 * b]))
  }
  forward(): void {}
}
const valuesOf = (model: object) => tensorsOf(model).flatMap(({ tensor: t }) => [...t.dataSync()])
const set = (model: Pair, a: number, b: number) => update({ target: model, source: new Pair(a, b) }, copy())
/** Counts kernels that run. */
function counting(model: Pair) {
  const { backend } = tensorsOf(model)[0]?.tensor.device ?? { backend: undefined }
  if (!backend) throw new RangeError('no device')
  const run = backend.run.bind(backend)
  let runs = 0
  backend.run = (...args) => {
    runs++
    run(...args)
  }
  return (body: () => void) => {
    runs = 0
    body()
    return runs
  }
}

describe.each(devices)('lazy shadows on $name', ({ make }) => {
  beforeEach(() => setDefaultDevice(make()))

  test('what is frozen stays put off while the rest trains', () => {
    const source = new Pair(1, 1)
    freeze(source, 'a')
    const shadow = follow(source, ema({ decay: 0.9 }), { lazy: true })
    const optimizer = sgd(source, { lr: 0.1 })
    const counted = counting(source)
    for (let i = 0; i < 4; i++) {
      const gradients = source.b.trace().square().sum().backward()
      expect(counted(() => optimizer.step(gradients))).toBe(1)
      expect(counted(() => shadow.update())).toBe(1)
    }
    expect(counted(() => shadow.flush())).toBe(1)
  })

  test('an update whose condition does not hold is not put off either', () => {
    const source = new Pair(0, 0)
    const shadow = follow(source, ema({ decay: 0.5 }), { lazy: true })
    set(source, 16, 16)
    const step = compile((x: Tensor<[]>) => {
      shadow.update({ if: x.gt(0) })
      return x.add(1)
    })
    shadow.update({ if: tensor(true) })
    shadow.update({ if: tensor(false) })
    step(tensor(-1))
    step(tensor(1))
    step(tensor(-1))
    shadow.update()
    shadow.update({ if: tensor(false) })
    expect(valuesOf(shadow.model).slice(0, 1)).toEqual([14])
  })

  test('is updated once in a compiled function', () => {
    const shadow = follow(new Pair(0, 0), ema({ decay: 0.5 }), { lazy: true })
    const twice = compile((x: Tensor<[]>) => {
      shadow.update()
      shadow.update()
      return x.add(1)
    })
    expect(() => twice(tensor(1))).toThrow(CaptureError)
    expect(shadow.updates).toBe(0)
  })

  test('a view of the average as an argument is of the whole average', () => {
    const source = new Pair(0, 0)
    const shadow = follow(source, ema({ decay: 0.5 }), { lazy: true })
    set(source, 4, 4)
    shadow.update()
    shadow.update()
    const plus = compile((x: Tensor<[2]>) => x.add(1))
    expect([...plus(shadow.model.a.detach()).dataSync()]).toEqual([4, -2])
  })

  test('a model outlives its shadow with what was put off', async () => {
    const source = new Pair(0, 0)
    const { model } = (() => {
      const shadow = follow(source, ema({ decay: 0.5 }), { lazy: true })
      set(source, 4, 4)
      shadow.update()
      shadow.update()
      return shadow
    })()
    const collect: unknown = Reflect.get(globalThis, 'gc')
    for (let i = 0; i < 3; i++) {
      if (typeof collect === 'function') collect()
      await new Promise((done) => setTimeout(done))
    }
    expect(valuesOf(model)).toEqual([3, -3, 3, 6])
  })

  test('who reads the average between an update and its pass takes nothing from it', () => {
    const go = (lazy: boolean) => {
      const [source, other] = [new Pair(8, 8), new Pair(0, 0)]
      freeze(source, 'a')
      const shadow = follow(source, ema({ decay: 0.5 }), { lazy })
      const optimizer = sgd(source, { lr: 0.25 })
      set(source, 4, 4)
      const step = compile((x: Tensor<[2]>) => {
        optimizer.step(source.b.trace().sub(x).square().sum().backward())
        shadow.update()
        update({ target: other, source }, copy(), { when: () => (shadow.model.a.dataSync()[0] ?? 0) < 5 })
        return x.sum()
      })
      for (let i = 0; i < 4; i++) step(ones([2]))
      return [...valuesOf(shadow.model), ...valuesOf(other)]
    }
    expect(go(true)).toEqual(go(false))
  })

  test('what was put off with a source that goes is made before it goes', () => {
    const source = new Pair(0, 0)
    const shadow = follow(source, ema({ decay: 0.5 }), { lazy: true })
    set(source, 16, 16)
    for (let i = 0; i < 3; i++) shadow.update()
    for (const { tensor: t } of tensorsOf(source)) t.dispose()
    expect(valuesOf(shadow.model)).toEqual([14, -14, 14, 28])
  })

  test('is disposed of after its source, too', () => {
    const source = new Pair(0, 0)
    const shadow = follow(source, ema({ decay: 0.5 }), { lazy: true })
    for (const { tensor: t } of tensorsOf(source)) t.dispose()
    expect(() => shadow.update()).toThrow('have changed under a lazy shadow')
    shadow.dispose()
    expect(() => shadow.model).toThrow('disposed')
  })

  test.each([['source first'], ['shadow first']])('a checkpoint holds what was put off: %s', async (order) => {
    const parts = (source: Pair, shadow: Shadow<Pair>) =>
      order === 'source first' ? { source, shadow } : { shadow, source }
    const source = new Pair(0, 0)
    const shadow = follow(source, ema({ decay: 0.5 }), { lazy: true })
    set(source, 4, 4)
    for (let i = 0; i < 3; i++) shadow.update()
    const bytes = await saveCheckpoint(parts(source, shadow))
    const other = new Pair(9, 9)
    const resumed = follow(other, ema({ decay: 0.5 }), { lazy: true })
    loadCheckpoint(parts(other, resumed), bytes)
    expect(valuesOf(resumed.model)).toEqual(valuesOf(shadow.model))
  })

  /** A model with a shadow and a shadow of that, and all that can happen to them. */
  function world(lazy: boolean, rule: () => UpdateRule, options: ShadowOptions<never>) {
    const source = new Pair(1, 2)
    const first = follow(source, rule(), { ...options, lazy })
    const second = follow(source, ema({ decay: 0.7 }), { lazy })
    const third = follow(first.model, ema({ decay: 0.6 }), { lazy })
    const optimizer = sgd(source, { lr: 0.05 })
    const reader = new Pair(0, 0)
    const seen: number[] = []
    const train = (x: Tensor<[2]>) => {
      const loss = source.a.trace().sub(x).square().sum().add(source.b.trace().sub(x).square().sum())
      optimizer.step(loss.backward())
      return loss
    }
    const body = (x: Tensor<[2]>) => {
      const loss = train(x)
      first.update()
      second.update()
      return loss
    }
    const around = (x: Tensor<[2]>) => {
      const before = first.model.a.sum()
      first.update()
      const loss = train(x)
      third.update()
      return [before, loss, first.model.b.sum(), third.model.a.sum()] as const
    }
    const follows = (x: Tensor<[2]>) => {
      update({ target: reader, source: second.model }, ema({ decay: 0.5 }))
      second.update()
      return x.sum()
    }
    const looks = (at: Tensor<[1], 'i32'>) => {
      const found = embedding(at, second.model.a.reshape([2, 1])).sum()
      first.update()
      second.update()
      return found
    }
    const [compiledBody, compiledAround, compiledFollows, compiledLooks] = [
      compile(body),
      compile(around),
      compile(follows),
      compile(looks),
    ]
    const x = () => ones([2])
    const note = (model: object) => {
      seen.push(...valuesOf(model))
    }
    const actions: readonly (() => unknown)[] = [
      () => first.update(),
      () => first.update(),
      () => second.update(),
      () => third.update(),
      () => third.update(),
      () => body(x()),
      () => compiledBody(x()),
      () => compiledBody(x()),
      () => seen.push(...compiledAround(x()).map((t) => t.itemSync())),
      () => seen.push(...around(x()).map((t) => t.itemSync())),
      () => compiledFollows(x()),
      () => follows(x()),
      () => seen.push(compiledLooks(tensor([1], { dtype: 'i32' })).itemSync()),
      () => expect(() => compiledLooks(tensor([7], { dtype: 'i32' }))).toThrow(),
      () => note(first.model),
      () => note(clone(third.model)),
      () => note(reader),
      () => first.evaluateWith((model) => note(model)),
      () => second.evaluateWith((model) => note(clone(model))),
      () => freeze(source, 'a'),
      () => unfreeze(source),
      () => set(source, 3, 1),
      () => loadModel(source, saveModelSync(new Pair(-1, 2))),
      () => update({ target: source, source: second.model }, copy()),
      () => second.update({ if: tensor(false) }),
      () => second.update({ if: tensor(true) }),
      () => second.reset(),
    ]
    return { actions, seen, all: () => [source, first.model, second.model, third.model, reader].flatMap(valuesOf) }
  }

  const worlds: Record<string, { rule: () => UpdateRule; options?: ShadowOptions<never> }> = {
    ema: { rule: () => ema({ decay: 0.8 }) },
    'every 3': { rule: () => ema({ halfLife: 4 }), options: { every: 3 } },
    'after 4': { rule: () => ema({ decay: 0.9 }), options: { after: 4, every: 2 } },
    'rates of 0 and 1': { rule: () => ema({ tau: (n) => [0, 1, 0.3, 0.9][n % 4] ?? 0 }) },
    'only a part': { rule: () => ema({ decay: 0.8 }), options: { where: ({ path }) => path === 'a' } },
    kahan: { rule: () => ema({ decay: 0.8 }), options: { precision: 'kahan', nonFinite: 'skipElement' } },
  }
  test.each(Object.entries(worlds))(
    '%s: whatever happens, they are what the others are',
    (_, { rule, options = {} }) => {
      sameWhateverHappens((lazy) => world(lazy, rule, options), 5)
    },
  )
})
