import { compile, embedding, manualSeed, normal, setDefaultDevice, tensor } from 'dfdt'
import { parameter } from 'dfdt/nn'
import { adam, defineOptimizer, sgd, sparseAdam } from 'dfdt/optim'
import { describe, expect, test } from 'vitest'
import { assertClose } from '../../src/testing/close.js'
import { devices } from '../devices.js'
import { golden } from '../golden-file.js'
import { optimizers } from './table.js'

interface Golden {
  readonly torch: string
  readonly start: number[]
  readonly lookups: number[][][]
  readonly weights: number[][][]
  readonly cases: readonly {
    readonly optimizer: 'sgd' | 'sparseAdam'
    readonly options: Record<string, number>
    readonly f32: number[][]
    readonly f64: number[][]
  }[]
}
const { start, lookups, weights, cases } = golden<Golden>('optim/lookups.json')

// biome-ignore lint/suspicious/noExplicitAny: shapes of these tables are known at run time only
type AnyX = any

class Words {
  readonly weight
  constructor(values: readonly number[], features: number, dtype: 'f32' | 'f64' = 'f32') {
    const table: AnyX = tensor([...values], { dtype })
    this.weight = parameter(table.reshape([values.length / features, features]))
  }
  forward(): void {}
}
const ints = (values: readonly number[]): AnyX => tensor([...values], { dtype: 'i32' })

/** A loss that looks rows up and weighs them. */
const weighed = (model: Words, rows: AnyX, by: AnyX): AnyX =>
  embedding(rows.trace(), model.weight as AnyX)
    .mul(by)
    .sum()

describe.each(
  devices.flatMap(({ name, make }) => [
    { name: `${name} f32`, make, dtype: 'f32' as const, tolerance: 2e-6 },
    ...(name === 'reference' ? [{ name: 'reference f64', make, dtype: 'f64' as const, tolerance: 1e-12 }] : []),
  ]),
)('sparse steps of PyTorch on $name', ({ make, dtype, tolerance }) => {
  test.each(cases.map((one) => [`${one.optimizer} ${JSON.stringify(one.options)}`, one] as const))('%s', (_, one) => {
    setDefaultDevice(make())
    const model = new Words(start, 3, dtype)
    const optimizer = optimizers[one.optimizer](model, one.options)
    const after: ArrayLike<number>[] = []
    for (let step = 0; step < 3 * lookups.length; step++) {
      const turn = step % lookups.length
      const losses = (lookups[turn] ?? []).map((rows, i) => {
        const by = (tensor([...(weights[turn]?.[i] ?? [])], { dtype }) as AnyX).reshape([rows.length, 3])
        return weighed(model, ints(rows), by)
      })
      const [first, ...others] = losses
      const loss = others.reduce((sum, other) => sum?.add(other), first)
      optimizer.step(loss.backward())
      after.push(model.weight.dataSync())
    }
    for (const [i, at] of [0, lookups.length - 1, 3 * lookups.length - 1].entries())
      assertClose(after[at] as Float32Array, one[dtype][i] ?? [], {
        rtol: tolerance,
        atol: tolerance,
        name: `step ${at}`,
      })
  })
})

/** Plain SGD which says nothing of rows: it writes the whole table. */
const everywhere = defineOptimizer({
  name: 'everywhere',
  defaults: { lr: 0.1 },
  state: () => [],
  scalars: ({ lr }) => ({ lr }),
  update: ({ p, g }, { lr }) => ({ p: p.sub(g.mul(lr)) }),
})

describe.each(devices)('rows that were looked up on $name', ({ make }) => {
  const some = () => {
    setDefaultDevice(make())
    manualSeed(3)
    const draw = normal([64 * 5])
    return draw.dataSync() as Float32Array
  }
  const turns = [
    [3, 9, 3],
    [63, 0, 1],
    [9, 9, 9, 9, 2],
  ]
  const train = (values: ArrayLike<number>, make: AnyX, compiled: boolean) => {
    const model = new Words(Array.from(values), 5)
    const optimizer = make(model, { lr: 0.1 })
    const body = (rows: AnyX): AnyX => {
      const loss: AnyX = (embedding(rows.trace(), model.weight as AnyX) as AnyX).square().sum()
      optimizer.step(loss.backward())
      return loss
    }
    const step = compiled ? compile(body) : body
    const losses = turns.concat(turns).map((rows) => step(ints(rows)).itemSync())
    return { losses, weight: [...model.weight.dataSync()], model, optimizer }
  }

  test.each([false, true])('sgd gives the bits of a pass over the whole table (compiled: %s)', (compiled) => {
    const values = some()
    const [rows, whole] = [train(values, sgd, compiled), train(values, everywhere, compiled)]
    expect(rows.losses).toEqual(whole.losses)
    expect(rows.weight).toEqual(whole.weight)
  })

  test('compiled and eager steps of sparseAdam give the same bits', async () => {
    const values = some()
    const [eager, compiled] = [train(values, sparseAdam, false), train(values, sparseAdam, true)]
    expect(compiled.losses).toEqual(eager.losses)
    expect(compiled.weight).toEqual(eager.weight)
    expect(await compiled.optimizer.state()).toEqual(await eager.optimizer.state())
  })

  test('sparseAdam leaves other rows and their moments alone, NaN and all', async () => {
    const values = Array.from(some())
    values[5 * 40] = Number.NaN
    const { weight, optimizer } = train(values, sparseAdam, false)
    const touched = new Set(turns.flat())
    const state = await optimizer.state()
    for (let row = 0; row < 64; row++) {
      const at = (all: ArrayLike<number>) => Array.from(all).slice(5 * row, 5 * row + 5)
      if (touched.has(row)) expect(at(weight)).not.toEqual(at(values))
      else {
        expect(at(weight)).toEqual(at(values))
        for (const [, { data }] of Object.entries<AnyX>(state.tensors)) expect(at(data)).toEqual([0, 0, 0, 0, 0])
      }
    }
  })

  test('a table that is used in another way, too, is updated everywhere', () => {
    const model = new Words(Array.from(some()), 5)
    const before = [...model.weight.dataSync()]
    const loss: AnyX = weighed(model, ints([1, 2]), normal([2, 5])).add((model.weight as AnyX).trace().sum())
    sparseAdam(model).step(loss.backward())
    const after = [...model.weight.dataSync()]
    expect(after.every((value, i) => value !== before[i])).toBe(true)
  })

  test('gradients add up over several backwards and can be read as a tensor of the table', () => {
    const model = new Words(Array.from(some()), 5)
    const by = normal([3, 5])
    const gradients: AnyX = weighed(model, ints([4, 4, 7]), by).backward()
    const both: AnyX = weighed(model, tensor([7, 0, 4], { dtype: 'u32' }), by).backward({ accumulate: gradients })
    const [a, b, c] = [0, 5, 10].map((from) => Array.from(by.dataSync()).slice(from, from + 5)) as [
      number[],
      number[],
      number[],
    ]
    const dense = Array.from(both.get(model.weight).dataSync() as Float32Array)
    const row = (at: number) => dense.slice(5 * at, 5 * at + 5)
    const f32 = Math.fround
    expect(row(0)).toEqual(b)
    expect(row(7)).toEqual(c.map((value, i) => f32(value + (a[i] ?? 0))))
    expect(row(4)).toEqual(a.map((value, i) => f32(f32(value + (b[i] ?? 0)) + (c[i] ?? 0))))
    expect(dense.filter((value) => value !== 0)).toHaveLength(15)
    const before = Array.from(model.weight.dataSync())
    sgd(model, { lr: 1 }).step(both)
    expect(Array.from(model.weight.dataSync())).toEqual(before.map((value, i) => f32(value - (dense[i] ?? 0))))
  })

  test('a compiled step touches nothing as large as the table', () => {
    setDefaultDevice(make())
    const model = new Words(new Array<number>(4 * 50_000).fill(1), 4)
    const optimizers = [sgd(model), sparseAdam(model)]
    const step = compile((rows: AnyX) => {
      for (const optimizer of optimizers) optimizer.step(weighed(model, rows, normal([8, 4])).backward())
    })
    step(ints([5, 5, 7, 49_999, 0, 1, 2, 3]))
    const moved = (text: string) =>
      [...text.matchAll(/ ([\d.]+) (B|kB|MB)(?= +[\d.]+ \w*FLOP$)/gm)].map(
        ([, number, unit]) => Number(number) * { B: 1, kB: 1e3, MB: 1e6 }[unit as 'B'],
      )
    const listed = moved(step.explain())
    expect(listed.length).toBeGreaterThan(10)
    expect(Math.max(...listed)).toBeLessThan(1000)
    const whole = adam(model)
    const dense = compile((rows: AnyX) => whole.step(weighed(model, rows, normal([8, 4])).backward()))
    dense(ints([5, 5, 7, 49_999, 0, 1, 2, 3]))
    expect(Math.max(...moved(dense.explain()))).toBeGreaterThan(4 * 4 * 50_000)
  })

  test('an index out of range changes nothing, also where nothing else needs the lookup', () => {
    setDefaultDevice(make())
    const values = Array.from({ length: 64 * 5 }, (_, i) => i)
    const model = new Words(values, 5)
    const optimizer = sparseAdam(model)
    const by = normal([3, 5])
    const body = (rows: AnyX) => optimizer.step(weighed(model, rows, by).backward())
    const step = compile(body)
    for (const run of [body, step])
      for (const wrong of [64, -1]) expect(() => run(ints([1, wrong, 2]))).toThrow(/out of range/)
    expect([...model.weight.dataSync()]).toEqual(values)
    expect(optimizer.steps).toBe(0)
  })
})
