import { compile, embedding, manualSeed, normal, ones, setDefaultDevice, tensor } from 'dfdt'
import { loadCheckpoint, saveCheckpoint } from 'dfdt/io'
import { clone, freeze, parameter, unfreeze } from 'dfdt/nn'
import { sgd, sparseAdam } from 'dfdt/optim'
import { copy, ema, follow, type ShadowOptions, type UpdateRule, update } from 'dfdt/update'
import { beforeEach, describe, expect, test } from 'vitest'
import { tensorsOf } from '../../src/model/walk.js'
import { recordOf } from '../../src/tensor/record.js'
import { devices } from '../devices.js'
import { sameWhateverHappens } from './random-walk.js'

// biome-ignore lint/suspicious/noExplicitAny: tables of many sizes
type AnyX = any

const [size, features] = [32, 2]

class Words {
  readonly table
  readonly scale
  constructor(start = 1) {
    const values = Array.from({ length: size * features }, (_, i) => start * Math.sin(1 + i))
    this.table = parameter((tensor(values) as AnyX).reshape([size, features]))
    this.scale = parameter(tensor([start, 2 * start]))
  }
  forward(): void {}
}
class Table {
  readonly table
  constructor(rows: number) {
    this.table = parameter(normal([rows, 4]))
  }
  forward(): void {}
}
const valuesOf = (model: object) => tensorsOf(model).flatMap(({ tensor: t }) => [...t.dataSync()])
const rowsOf = (...rows: number[]): AnyX => tensor(rows, { dtype: 'i32' })
const lookUp = (model: Words, rows: AnyX): AnyX => embedding(rows.trace(), model.table as AnyX)

describe.each(devices)('lazy rows on $name', ({ make }) => {
  beforeEach(() => setDefaultDevice(make()))

  /** A table with a shadow and a shadow of that, and all that can happen to them. */
  function world(lazy: boolean, rule: () => UpdateRule, options: ShadowOptions<never>) {
    const source = new Words()
    let first = follow(source, rule(), { ...options, lazy })
    const second = follow(source, ema({ decay: 0.7 }), { lazy })
    const third = follow(first.model, ema({ decay: 0.6 }), { lazy })
    const optimizer = sgd(source, { lr: 0.05 })
    const sparse = sparseAdam(source, { lr: 0.02 })
    const seen: number[] = []
    const loss = (rows: AnyX): AnyX =>
      lookUp(source, rows)
        .mul((source.scale as AnyX).trace().broadcastTo([rows.shape[0], features]))
        .square()
        .sum()
    const train = (rows: AnyX) => optimizer.step(loss(rows).backward())
    const trainSparse = (rows: AnyX) => sparse.step(loss(rows).backward())
    const both = (rows: AnyX) => {
      train(rows)
      first.update()
      second.update()
    }
    const bothSparse = (rows: AnyX) => {
      first.update()
      trainSparse(rows)
      second.update()
    }
    const looks = (rows: AnyX) => {
      train(rows)
      second.update()
      return lookUp(second.model as AnyX, rows).sum()
    }
    const wholly = (x: AnyX) => {
      optimizer.step(
        (source.table as AnyX)
          .trace()
          .sub(x)
          .square()
          .sum()
          .add((source.scale as AnyX).trace().sum())
          .backward(),
      )
      second.update()
    }
    const [compiledTrain, compiledBoth, compiledSparse, compiledLooks, compiledWholly] = [
      compile(train),
      compile(both),
      compile(bothSparse),
      compile(looks),
      compile(wholly),
    ]
    let turn = 0
    const rows = () => {
      turn++
      return rowsOf(turn % size, (7 * turn) % size, turn % size, 3)
    }
    const x = () => ones([size, features])
    const note = (model: object) => {
      seen.push(...valuesOf(model))
    }
    const actions: readonly (() => unknown)[] = [
      () => first.update(),
      () => first.update(),
      () => second.update(),
      () => third.update(),
      () => third.update(),
      () => train(rows()),
      () => compiledTrain(rows()),
      () => trainSparse(rows()),
      () => both(rows()),
      () => compiledBoth(rows()),
      () => compiledBoth(rows()),
      () => compiledBoth(rows()),
      () => bothSparse(rows()),
      () => compiledSparse(rows()),
      () => compiledSparse(rows()),
      () => seen.push(looks(rows()).itemSync()),
      () => seen.push(compiledLooks(rows()).itemSync()),
      () => compiledWholly(x()),
      () => wholly(x()),
      () => expect(() => compiledBoth(rowsOf(1, size))).toThrow(/out of range/),
      () => expect(() => both(rowsOf(1, -1))).toThrow(/out of range/),
      () => note(first.model),
      () => note(clone(third.model)),
      () => first.evaluateWith((model) => note(model)),
      () => second.evaluateWith((model) => note(clone(model))),
      () => freeze(source, 'table'),
      () => unfreeze(source),
      () => update({ target: source, source: second.model as AnyX }, copy()),
      () => second.update({ if: tensor(false) }),
      () => second.update({ if: tensor(true) }),
      () => second.reset(),
      () => {
        // Programs that were captured before do not know of it.
        first.dispose()
        first = follow(source, rule(), { ...options, lazy })
      },
    ]
    // What follows `first` is of the one it began with.
    const followers = [source, second.model, third.model]
    return { actions, seen, all: () => [...followers, first.model].flatMap(valuesOf) }
  }

  const worlds: Record<string, { rule: () => UpdateRule; options?: ShadowOptions<never> }> = {
    ema: { rule: () => ema({ decay: 0.8 }) },
    'every 3': { rule: () => ema({ halfLife: 4 }), options: { every: 3 } },
    'after 4': { rule: () => ema({ decay: 0.9 }), options: { after: 4, every: 2 } },
    'rates of 0 and 1': { rule: () => ema({ tau: (n) => [0, 1, 0.3, 0.9][n % 4] ?? 0 }) },
    kahan: { rule: () => ema({ decay: 0.8 }), options: { precision: 'kahan', nonFinite: 'skipElement' } },
  }
  test.each(Object.entries(worlds))(
    '%s: whatever happens, they are what the others are',
    (_, { rule, options = {} }) => {
      sameWhateverHappens(
        (lazy) => world(lazy, rule, options),
        4,
        // The last one ends what the third follows.
        (actions, i) => (i < 30 ? actions - 1 : actions),
      )
    },
  )

  /** A training of a large table: `steps` steps of which each looks 6 rows up. */
  function training({
    lazy = true,
    compiled = true,
    decay = 0.99,
    rows = 4096,
    optimizer: make = sgd as AnyX,
    options = {} as AnyX,
  }) {
    manualSeed(11)
    const model = new Table(rows)
    const shadow = follow(model, ema({ decay }), { lazy, ...options })
    const optimizer = make(model, { lr: 0.3 })
    const body = (at: AnyX) => {
      optimizer.step((embedding(at.trace(), model.table as AnyX) as AnyX).square().sum().backward())
      shadow.update()
    }
    const step = compiled ? compile(body) : undefined
    let turn = 0
    const run = (steps: number, each: () => void = () => undefined) => {
      for (let i = 0; i < steps; i++) {
        turn++
        ;(step ?? body)(rowsOf(...[0, 1, 2, 3, 5, 8].map((n) => (turn * n * 37 + n) % rows)))
        each()
      }
    }
    const wrong = () => (step ?? body)(rowsOf(0, 1, 2, 3, 5, rows))
    return { model, shadow, optimizer, run, wrong, explain: () => step?.explain() ?? '' }
  }
  const bytesOf = (text: string) =>
    [...text.matchAll(/ ([\d.]+) (B|kB|MB)(?= +[\d.]+ \w*FLOP$)/gm)].map(
      ([, number, unit]) => Number(number) * { B: 1, kB: 1e3, MB: 1e6 }[unit as 'B'],
    )

  test.each([sgd, sparseAdam])('a step touches the rows that it looks up, not the table', (optimizer) => {
    const { run, explain } = training({ optimizer })
    run(1)
    // 16 bytes a row; the update of the shadow finds nothing due.
    const table = 16 * 4096
    const most = bytesOf(explain()).filter((bytes) => bytes >= table)
    expect(most).toHaveLength(1)
    const eager = training({ optimizer, lazy: false })
    eager.run(1)
    expect(bytesOf(eager.explain()).filter((bytes) => bytes >= table)).toHaveLength(1)
  })

  test.each([{}, { dtype: 'bf16' }, { dtype: 'bf16', precision: 'stochastic' }])(
    'compiled and eager trainings give the same bits: %j',
    async (options) => {
      const [eager, compiled] = [false, true].map((kind) => training({ compiled: kind, options })) as [AnyX, AnyX]
      for (const { run } of [eager, compiled]) run(12)
      // A run that fails draws nothing.
      const before = await compiled.shadow.state()
      expect(() => compiled.wrong()).toThrow(/out of range/)
      expect((await compiled.shadow.state()).random).toEqual(before.random)
      expect({ ...(await compiled.shadow.state()), seconds: 0 }).toEqual({
        ...(await eager.shadow.state()),
        seconds: 0,
      })
      expect(valuesOf(compiled.shadow.model)).toEqual(valuesOf(eager.shadow.model))
    },
  )

  test('a checkpoint holds what was put off row by row, and goes on bit for bit', async () => {
    const [one, other, plain] = [training({}), training({}), training({})]
    one.run(9)
    const bytes = await saveCheckpoint({ model: one.model, shadow: one.shadow, optimizer: one.optimizer })
    one.run(7)
    // What it has of its own is replaced, rows and all.
    other.run(9)
    other.shadow.flush()
    loadCheckpoint({ model: other.model, shadow: other.shadow, optimizer: other.optimizer }, bytes)
    other.run(7)
    expect(valuesOf(other.shadow.model)).toEqual(valuesOf(one.shadow.model))
    expect({ ...(await other.shadow.state()), seconds: 0 }).toEqual({ ...(await one.shadow.state()), seconds: 0 })
    // A state without rows, in a shadow that has some.
    const fresh = await plain.shadow.state()
    other.shadow.load(fresh)
    for (let i = 0; i < 3; i++) for (const { shadow } of [other, plain]) shadow.update()
    expect(valuesOf(other.shadow.model).length).toBe(valuesOf(plain.shadow.model).length)
  })

  /** What is in memory, whatever has been put off. */
  function asItIs(model: Table): Float32Array {
    const { storage } = recordOf(model.table)
    const { unsettled } = storage
    storage.unsettled = undefined
    const values = Float32Array.from(model.table.dataSync())
    storage.unsettled = unsettled
    return values
  }

  test.each([0.3, 0.7, 0.99, 0.9999, 0.999999])(
    'k blends of a row in one are within 1 ulp of the closed form in f64, and not farther than k: decay %s',
    (decay) => {
      const most = 300
      const rows = 24 * (most + 1)
      manualSeed(5)
      const model = new Table(rows)
      const shadows = { lazy: follow(model, ema({ decay }), { lazy: true }), eager: follow(model, ema({ decay })) }
      const [t, s] = [asItIs(shadows.eager.model as AnyX), new Table(rows)]
      update({ target: model, source: s }, copy())
      const source = asItIs(model)
      const optimizer = sgd(model, { lr: 0.1 })
      const errors: { lazy: number[]; eager: number[] } = { lazy: [], eager: [] }
      for (let k = 1; k <= most; k += k < 20 ? 1 : 7) {
        while (shadows.lazy.updates < k) for (const shadow of Object.values(shadows)) shadow.update()
        const at = Array.from({ length: 24 }, (_, n) => 24 * k + n)
        optimizer.step((embedding(rowsOf(...at).trace(), model.table as AnyX) as AnyX).sum().backward())
        for (const kind of ['lazy', 'eager'] as const) {
          const values = asItIs(shadows[kind].model as AnyX)
          for (let i = 4 * 24 * k; i < 4 * 24 * (k + 1); i++) {
            const [before = 0, to = 0, value = 0] = [t[i], source[i], values[i]]
            const exact = decay ** k * before + (1 - decay ** k) * to
            const ulp = 2 ** (Math.floor(Math.log2(Math.max(Math.abs(before), Math.abs(to)))) - 23)
            errors[kind].push(Math.abs(value - exact) / ulp)
          }
        }
      }
      const mean = (values: number[]) => values.reduce((sum, value) => sum + value) / values.length
      expect(Math.max(...errors.lazy)).toBeLessThanOrEqual(1)
      expect(mean(errors.lazy)).toBeLessThanOrEqual(mean(errors.eager))
      expect(Math.max(...errors.lazy)).toBeLessThanOrEqual(Math.max(...errors.eager))
    },
  )

  test.each([1, 2, 3, 7, 20, 100])('so are %s blends of a whole tensor', (k) => {
    manualSeed(k)
    for (const decay of [0.3, 0.6, 0.9, 0.99, 0.995, 0.9999]) {
      const model = new Table(2000)
      const shadows = [follow(model, ema({ decay }), { lazy: true }), follow(model, ema({ decay }))]
      update({ target: model, source: new Table(2000) }, copy())
      // What has changed is blended at once.
      for (const shadow of shadows) shadow.update()
      const [t, s] = [asItIs(shadows[0]?.model as AnyX), asItIs(model)]
      for (let i = 0; i < k; i++) for (const shadow of shadows) shadow.update()
      const [lazy = 0, eager = 0] = shadows.map(({ model: average }) =>
        average.table.dataSync().reduce((most, value, i) => {
          const [before = 0, to = 0] = [t[i], s[i]]
          const exact = decay ** k * before + (1 - decay ** k) * to
          const ulp = 2 ** (Math.floor(Math.log2(Math.max(Math.abs(before), Math.abs(to)))) - 23)
          return Math.max(most, Math.abs(value - exact) / ulp)
        }, 0),
      )
      expect(lazy, `decay ${decay}`).toBeLessThanOrEqual(1)
      expect(lazy).toBeLessThanOrEqual(eager)
    }
  })
})
