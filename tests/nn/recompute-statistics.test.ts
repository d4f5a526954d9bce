import { compile, f32, normal, setDefaultDevice, type Tensor, tensor } from 'dfdt'
import { batches, column } from 'dfdt/data'
import {
  batchNorm1d,
  batchNorm2d,
  conv2d,
  convert,
  dropout,
  inference,
  linear,
  recomputeStatistics,
  relu,
  sequential,
} from 'dfdt/nn'
import { ema, follow } from 'dfdt/update'
import { beforeEach, describe, expect, test } from 'vitest'
import { tensorsOf } from '../../src/model/walk.js'
import { toBytes } from '../../src/tensor/elements.js'
import { OptionError, ShapeError } from '../../src/tensor/errors.js'
import { assertClose } from '../../src/testing/close.js'
import { devices } from '../devices.js'
import { golden } from '../golden-file.js'

type Any = ReturnType<typeof JSON.parse>
interface Dumped {
  readonly shape: number[]
  readonly values: number[]
}
interface Case {
  readonly name: 'dense' | 'images'
  readonly dtype: 'f32' | 'f64'
  readonly before: Record<string, Dumped>
  readonly batches: Dumped[]
  readonly after: Record<string, Dumped>
}
const { cases } = golden<{ torch: string; cases: Case[] }>('nn/statistics.json')

const stateOf = (model: object) =>
  Object.fromEntries(tensorsOf(model).map(({ path, tensor: t }) => [path, [...t.dataSync()]]))
const of = ({ shape, values }: Dumped, dtype: 'f32' | 'f64') =>
  tensor(dtype === 'f64' ? Float64Array.from(values) : Float32Array.from(values), shape) as Any
const models = {
  dense: (dtype: 'f32' | 'f64') =>
    sequential(
      linear(4, 5, { dtype }),
      batchNorm1d(5, { dtype }),
      relu(),
      linear(5, 3, { dtype }),
      batchNorm1d(3, { dtype }),
    ),
  images: (dtype: 'f32' | 'f64') => sequential(conv2d(2, 3, 3, { dtype }), batchNorm2d(3, { dtype }), relu()),
}

describe.each(devices)('recomputeStatistics on $name', ({ name, make }) => {
  beforeEach(() => setDefaultDevice(make()))

  test.each(
    cases
      .filter(({ dtype }) => dtype === 'f32' || name === 'reference')
      .map((one) => [one.name, one.dtype, one] as const),
  )('as update_bn of PyTorch: %s %s', async (kind, dtype, { before, batches: inputs, after }) => {
    const model: Any = models[kind](dtype)
    for (const { path, tensor: t } of tensorsOf(model)) {
      const values = before[path]?.values ?? []
      t.storage.write(t.offset * (dtype === 'f64' ? 8 : 4), bytesOf(values, t.dtype))
    }
    await recomputeStatistics(model, inputs, (batch) => model.forward(of(batch, dtype)))
    const tolerance = dtype === 'f64' ? 1e-12 : 2e-5
    for (const [path, values] of Object.entries(stateOf(model)))
      assertClose(values, after[path]?.values ?? [], { rtol: tolerance, atol: tolerance, name: path })
    expect(stateOf(model)['1.num_batches_tracked']).toEqual([inputs.length])
  })

  const made = () => sequential(linear(3, 4), batchNorm1d(4), linear(4, 2))
  const inputs = () => [normal([8, 3]), normal([8, 3]), normal([4, 3])]

  test('of an average, over batches of a data set: only statistics change, and nothing of it stays in memory', async () => {
    const model = made()
    const device = model.layers[0].weight.device
    const shadow = follow(model, ema({ decay: 0.9 }), { buffers: 'recompute' })
    const before = stateOf(shadow.model)
    const used = device.memory().used
    const data = column(
      Float32Array.from({ length: 96 }, (_, i) => (i % 7) - 2),
      [3],
    )
    await recomputeStatistics(shadow.model, batches({ x: data }, 8), ({ x }) => shadow.model.forward(x))
    const after = stateOf(shadow.model)
    expect(device.memory().used).toBe(used)
    expect(Object.keys(after).filter((path) => after[path]?.join() !== before[path]?.join())).toEqual([
      '1.running_mean',
      '1.running_var',
      '1.num_batches_tracked',
    ])
    shadow.update()
    expect(stateOf(shadow.model)['1.running_mean']).toEqual(after['1.running_mean'])
  })

  test('dropout is off, as it is when the statistics are used', async () => {
    const [layer, norm] = [linear(3, 4), batchNorm1d(4)]
    const all = inputs()
    const [plain, dropping] = [sequential(layer, norm), sequential(layer, dropout(0.5), norm)]
    await recomputeStatistics(plain, all, (x) => plain.forward(x))
    const expected = stateOf(norm)
    await recomputeStatistics(dropping, all, (x) => dropping.forward(x.trace()))
    expect(stateOf(norm)).toEqual(expected)
    // And it says something: with dropout on, the tape's way of training, they are others.
    dropping.forward(all[0]?.trace() as Any)
    expect(stateOf(norm)).not.toEqual(expected)
  })

  test('what the model runs as inference keeps its statistics', async () => {
    class Frozen {
      readonly encoder = sequential(linear(3, 4), batchNorm1d(4))
      readonly head = batchNorm1d(4)
      forward(x: Tensor<[number, 3]>) {
        return this.head.forward(inference(this.encoder).forward(x))
      }
    }
    const model = new Frozen()
    await recomputeStatistics(model, inputs(), (x) => model.forward(x))
    expect(stateOf(model)['encoder.1.num_batches_tracked']).toEqual([0])
    expect(stateOf(model)['head.num_batches_tracked']).toEqual([3])
  })

  test('of halves: sums are f32, so that many batches are not lost', async () => {
    const norm = convert(batchNorm1d(1), 'bf16')
    const values = (i: number) => (i < 300 ? [[1], [1]] : [[3], [3]])
    await recomputeStatistics(
      norm,
      Array.from({ length: 600 }, (_, i) => tensor(values(i), { dtype: 'bf16' })),
      (x) => norm.forward(x as Any),
    )
    expect(norm.running_mean.arraySync()).toEqual([2])
  })

  test('after an error nothing has changed', async () => {
    const model = made()
    const before = stateOf(model)
    const used = model.layers[0].weight.device.memory().used
    const run = (all: Iterable<Any> | AsyncIterable<Any>, forward: (x: Any) => unknown = (x) => model.forward(x)) =>
      recomputeStatistics(model, all, forward)
    await expect(run([])).rejects.toThrow('recomputeStatistics: there were no batches.')
    await expect(run([normal([8, 3]), normal([1, 3])])).rejects.toThrow(ShapeError)
    async function* failing() {
      yield normal([8, 3])
      await Promise.resolve()
      throw new RangeError('the disk is gone')
    }
    await expect(run(failing())).rejects.toThrow('the disk is gone')
    await expect(run(inputs(), async (x) => model.forward(x))).rejects.toThrow('forward returned a promise')
    const forward = compile([f32(8, 3)], (x) => model.forward(x))
    forward(normal([8, 3]))
    await expect(run([normal([8, 3])], forward)).rejects.toThrow('forward has run no batch norm of the model')
    await expect(run([normal([8, 3])], forward)).rejects.toThrow(OptionError)
    expect(stateOf(model)).toEqual(before)
    expect(model.layers[0].weight.device.memory().used - used).toBeLessThan(4096)
    // Nothing is collected any more.
    model.forward(normal([8, 3]))
    expect(stateOf(model)).toEqual(before)
  })

  test('a model without batch norm is left alone, and its batches are not read', async () => {
    await recomputeStatistics(linear(2, 2), [1], () => expect.unreachable())
  })
})

const bytesOf = (values: readonly number[], dtype: Any) =>
  toBytes(
    dtype === 'f64' ? Float64Array.from(values) : dtype === 'i32' ? Int32Array.from(values) : Float32Array.from(values),
    dtype,
  )
