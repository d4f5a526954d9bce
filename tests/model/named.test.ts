import { compile, manualSeed, normal, ones, type Parameter, setDefaultDevice, tensor, type Tensor, zeros } from 'dfdt'
import { parseSafetensors, type RawTensor, encode, saveModel, writeSafetensors } from 'dfdt/io'
import {
  assign,
  batchNorm1d,
  buffer,
  clone,
  conv2d,
  convert,
  countParameters,
  embedding,
  freeze,
  layerNorm,
  linear,
  mapTensors,
  namedParameters,
  namedTensors,
  parameter,
  relu,
  resetParameters,
  sequential,
  stateOf,
  zipParameters,
  zipTensors,
} from 'dfdt/nn'
import { copy, ema, follow, update } from 'dfdt/update'
import { beforeEach, describe, expect, test } from 'vitest'
import { CaptureError, DTypeError, OptionError, ShapeError } from '../../src/tensor/errors.js'
import { devices } from '../devices.js'

const valuesOf = (model: object) =>
  Object.fromEntries(namedTensors(model).map(({ path, tensor: t }) => [path, [...t.dataSync()]]))
const model = () => sequential(linear(3, 4), batchNorm1d(4), relu(), linear(4, 2))

class Half {
  constructor(readonly weight: Parameter<[2]>) {}
  forward(): void {}
}
/** Two layers that share their weight. */
class Tied {
  readonly a = new Half(parameter(tensor([1, 2])))
  readonly b = new Half(this.a.weight)
  readonly seen = buffer(tensor([3], { dtype: 'i32' }))
  forward(): void {}
}

describe.each(devices)('the walk over a model on $name', ({ make }) => {
  beforeEach(() => setDefaultDevice(make()))

  test('finds every tensor with path, role, frozen state and tie', () => {
    const net = new Tied()
    freeze(net)
    expect(namedTensors(net).map(({ tensor: t, ...rest }) => ({ ...rest, shape: t.shape }))).toEqual([
      { path: 'a.weight', role: 'parameter', frozen: true, tiedTo: undefined, shape: [2] },
      { path: 'b.weight', role: 'parameter', frozen: true, tiedTo: 'a.weight', shape: [2] },
      { path: 'seen', role: 'buffer', frozen: false, tiedTo: undefined, shape: [1] },
    ])
    expect(namedParameters(net).map(({ path }) => path)).toEqual(['a.weight'])
    expect(Object.keys(stateOf(net))).toEqual(['a.weight', 'b.weight', 'seen'])
    expect(stateOf(net).seen).toBe(net.seen)
    expect(stateOf(model())['3.weight'].shape).toEqual([2, 4])
  })

  describe('is all that is needed to write oneself', () => {
    test('counting', () => {
      const count = (net: object) => namedParameters(net).reduce((sum, { tensor: t }) => sum + t.size, 0)
      for (const net of [model(), new Tied()]) expect(count(net)).toBe(countParameters(net))
    })

    test('copying and blending', () => {
      const [a, b] = [model(), model()]
      for (const [to, from] of zipTensors(a, b)) assign(to.tensor, from.tensor)
      expect(valuesOf(a)).toEqual(valuesOf(b))
      const [mine, theirs, source] = [model(), model(), model()]
      update({ target: theirs, source: mine }, copy())
      update({ target: theirs, source }, ema({ decay: 0.5 }))
      for (const [t, s] of zipParameters(mine, source)) assign(t.tensor, s.tensor.sub(s.tensor.sub(t.tensor).mul(0.5)))
      for (const [t, expected] of zipParameters(mine, theirs))
        expect(t.tensor.sub(expected.tensor).abs().max().itemSync()).toBeLessThan(1e-6)
    })

    test('cloning', () => {
      const net = model()
      freeze(net, '0.*')
      const same = mapTensors(net, ({ tensor: t }) => t)
      expect(valuesOf(same)).toEqual(valuesOf(net))
      expect(namedTensors(same).map(({ frozen }) => frozen)).toEqual(namedTensors(net).map(({ frozen }) => frozen))
      assign(stateOf(same)['0.bias'], ones([4]))
      expect(valuesOf(same)).not.toEqual(valuesOf(net))
    })

    test('saving and loading', async () => {
      const net = model()
      const raw = new Map<string, RawTensor>()
      for (const { path, tensor: t } of namedTensors(net)) {
        const data = await t.data()
        if (data instanceof Float32Array) raw.set(path, encode(data, 'f32', t.shape))
        if (data instanceof Int32Array) raw.set(path, encode(data, 'i32', t.shape))
      }
      const file = writeSafetensors(raw)
      expect(file).toEqual(await saveModel(net))
      const other = model()
      const { tensors } = parseSafetensors(file)
      for (const { path, tensor: t } of namedParameters(other)) {
        const { bytes } = tensors.get(path) ?? { bytes: new Uint8Array() }
        assign(t, tensor(new Float32Array(bytes.slice().buffer), t.shape))
      }
      expect(namedParameters(other).map(({ tensor: t }) => t.arraySync())).toEqual(
        namedParameters(net).map(({ tensor: t }) => t.arraySync()),
      )
    })
  })

  describe('zipped', () => {
    test('gives the tensors of all models, tied ones once', () => {
      const [a, b, c] = [new Tied(), new Tied(), new Tied()]
      expect(zipTensors(a, b, c).map((at) => at.map(({ path, tensor: t }) => [path, t.shape]))).toEqual([
        Array(3).fill(['a.weight', [2]]),
        Array(3).fill(['seen', [1]]),
      ])
      expect(zipParameters(a, b, c)).toHaveLength(1)
      for (const [x, y, z] of zipTensors(a, b, c)) expect(new Set([x.tensor, y.tensor, z.tensor]).size).toBe(3)
      expect(zipTensors(a)).toHaveLength(2)
      expect(zipTensors(a, a)).toHaveLength(2)
    })

    test('lists all that differs, and in which model', () => {
      const [a, b]: object[] = [model(), sequential(linear(3, 5), batchNorm1d(4), relu())]
      if (!a || !b) throw new RangeError('two models')
      const run = () => zipTensors(a, a, b)
      expect(run).toThrow(ShapeError)
      expect(run).toThrow(/model 1 and model 3 must have the same structure; 4 differences:/)
      expect(run).toThrow('parameter "0.weight" is [4, 3] f32 in model 1 but [5, 3] f32 in model 3')
      expect(run).toThrow('model 3 has no parameter "3.bias" [2] f32')
      expect(() => zipParameters(b, a)).toThrow('model 2 has extra parameter "3.weight" [2, 4] f32')
    })

    test('takes averages and their sources', () => {
      const net = model()
      const shadow = follow(net, ema({ decay: 0.5 }))
      assign(stateOf(net)['0.bias'], ones([4]))
      shadow.update()
      const [, bias] = zipParameters(shadow.model, net)
      expect(bias?.map(({ path }) => path)).toEqual(['0.bias', '0.bias'])
      const [t, s] = bias ?? []
      expect(s?.tensor.arraySync()).toEqual([1, 1, 1, 1])
      expect(t?.tensor.arraySync()).not.toEqual(s?.tensor.arraySync())
    })
  })

  describe('assign', () => {
    test('writes in place: tensors made of them before, files and programs see it', () => {
      const weight = parameter(
        tensor([
          [1, 2],
          [3, 4],
        ]),
      )
      const double = compile((x: Tensor<[2, 2]>) => x.mul(2).add(weight))
      expect(double(zeros([2, 2])).arraySync()).toEqual([
        [1, 2],
        [3, 4],
      ])
      assign(weight, weight.permute(1, 0))
      expect(weight.arraySync()).toEqual([
        [1, 3],
        [2, 4],
      ])
      expect(double(zeros([2, 2])).arraySync()).toEqual([
        [1, 3],
        [2, 4],
      ])
    })

    test('inside a compiled function: a read after it sees the new value', () => {
      const counter = buffer(tensor([0, 0]))
      const run = compile((x: Tensor<[2]>) => {
        const before = counter.add(0)
        assign(counter, counter.add(x))
        return [before, counter.mul(10)] as const
      })
      const [a, b] = run(tensor([1, 2]))
      expect([a.arraySync(), b.arraySync(), counter.arraySync()]).toEqual([
        [0, 0],
        [10, 20],
        [1, 2],
      ])
      const [c] = run(tensor([1, 2]))
      expect([c.arraySync(), counter.arraySync()]).toEqual([
        [1, 2],
        [2, 4],
      ])
    })

    test('settles what a lazy shadow has put off, and is refused while weights are swapped', () => {
      const net = model()
      const [lazy, eager] = [follow(net, ema({ decay: 0.5 }), { lazy: true }), follow(net, ema({ decay: 0.5 }))]
      const bias = stateOf(net)['0.bias']
      for (let i = 1; i <= 3; i++) {
        assign(bias, ones([4]).mul(i))
        for (let k = 0; k < 3; k++) for (const shadow of [lazy, eager]) shadow.update()
      }
      for (const [a, b] of zipParameters(lazy.model, eager.model))
        expect(a.tensor.sub(b.tensor).abs().max().itemSync()).toBeLessThan(1e-6)
      expect(() => eager.evaluateWith(() => assign(bias, ones([4])))).toThrow('swapped')
      expect(bias.arraySync()).toEqual([3, 3, 3, 3])
    })

    test('refuses what does not fit', () => {
      const weight = parameter(ones([2]))
      const loose = (x: unknown) => x as never
      expect(() => assign(weight, loose(ones([3])))).toThrow(ShapeError)
      expect(() => assign(weight, loose(ones([3])))).toThrow(
        'got a f32 tensor of shape [3] for a f32 tensor of shape [2]',
      )
      expect(() => assign(weight, loose(ones([2], { dtype: 'i32' })))).toThrow(DTypeError)
      expect(() => assign(loose(ones([2])), ones([2]) as never)).toThrow(OptionError)
      expect(weight.arraySync()).toEqual([1, 1])
    })
  })

  describe('mapTensors', () => {
    test('makes a model of the same structure with other values', () => {
      const net = new Tied()
      const paths: string[] = []
      const made = mapTensors(net, ({ path, role, tensor: t }) => {
        paths.push(path)
        return role === 'parameter' ? t.mul(10) : t
      })
      expect(paths).toEqual(['a.weight', 'seen'])
      expect(made.b.weight).toBe(made.a.weight)
      expect(made).toBeInstanceOf(Tied)
      expect([valuesOf(made), valuesOf(net)]).toEqual([
        { 'a.weight': [10, 20], 'b.weight': [10, 20], seen: [3] },
        { 'a.weight': [1, 2], 'b.weight': [1, 2], seen: [3] },
      ])
    })

    test('refuses what does not fit, by path', () => {
      const wrong = () => mapTensors(model(), ({ path, tensor: t }) => (path === '3.bias' ? zeros([3]) : t))
      expect(wrong).toThrow('mapTensors: "3.bias": got a f32 tensor of shape [3]')
      expect(() => mapTensors(new Tied(), ({ tensor: t }) => t.to('f32'))).toThrow(DTypeError)
    })
  })

  describe('resetParameters', () => {
    test('is as making the model anew', () => {
      const layers = () =>
        sequential(embedding(5, 8), layerNorm(8), linear(8, 6, { bias: false }), batchNorm1d(6), linear(6, 2))
      manualSeed(7)
      const fresh = layers()
      const old = layers()
      for (const { tensor: t, role } of namedTensors(old)) assign(t, role === 'buffer' ? t.add(5) : t.mul(3))
      expect(valuesOf(old)).not.toEqual(valuesOf(fresh))
      for (const again of [old, clone(old), mapTensors(old, ({ tensor: t }) => t)]) {
        manualSeed(7)
        resetParameters(again)
        expect(valuesOf(again)).toEqual(valuesOf(fresh))
      }
      manualSeed(7)
      const half = convert(old, 'f16')
      resetParameters(half)
      expect(valuesOf(half)).toEqual(valuesOf(convert(fresh, 'f16')))
      manualSeed(7)
      const conv = conv2d(2, 3, 3)
      const expected = valuesOf(conv)
      manualSeed(7)
      resetParameters(conv)
      expect(valuesOf(conv)).toEqual(expected)
    })

    test('of some tensors only', () => {
      const net = model()
      const before = valuesOf(net)
      resetParameters(net, '3.*')
      const after = valuesOf(net)
      expect(after['0.weight']).toEqual(before['0.weight'])
      expect(after['3.weight']).not.toEqual(before['3.weight'])
      expect(() => resetParameters(net, 'head.*' as never)).toThrow(OptionError)
    })

    test('of parameters of your own, made by a function', () => {
      class Own {
        readonly scale = parameter(() => ones([1]).broadcastTo([3]))
        readonly noise = parameter(() => normal([3]))
        readonly count = buffer(() => tensor([4], { dtype: 'i32' }))
        forward(): void {}
      }
      const net = new Own()
      const noise = net.noise.arraySync()
      assign(net.scale, zeros([3]))
      assign(net.count, tensor([9], { dtype: 'i32' }))
      resetParameters(net)
      expect([net.scale.arraySync(), net.count.arraySync()]).toEqual([[1, 1, 1], [4]])
      expect(net.noise.arraySync()).not.toEqual(noise)
    })

    test('refuses what it cannot do before it writes anything', () => {
      const net = { first: linear(2, 2), own: parameter(ones([2])), tied: new Tied(), forward: () => undefined }
      const before = valuesOf(net)
      expect(() => resetParameters(net)).toThrow('how own, tied.a.weight, tied.seen started is not known')
      expect(valuesOf(net)).toEqual(before)
      resetParameters(net, 'first.*')
      const run = compile((x: Tensor<[2]>) => {
        resetParameters(net.first)
        return x.mul(2)
      })
      expect(() => run(ones([2]))).toThrow(CaptureError)
    })

    test('leaves no memory behind', () => {
      class Own {
        readonly w = parameter(() => normal([64]).mul(2))
        forward(): void {}
      }
      const own = new Own()
      const { device } = own.w
      const before = device.memory().used
      resetParameters(own)
      mapTensors(own, ({ tensor: t }) => t.mul(2).add(1)).w.dispose()
      expect(device.memory().used).toBe(before)
    })
  })
})
