import { inspect } from 'node:util'
import { ones, setDefaultDevice, type Tape, type Tensor, tensor, zeros } from 'dfdt'
import {
  addInto,
  avgPool2d,
  batchNorm1d,
  batchNorm2d,
  buffer,
  clone,
  conv2d,
  countParameters,
  dropout,
  embedding,
  flatten,
  freeze,
  inference,
  layerNorm,
  linear,
  maxPool2d,
  parameter,
  relu,
  repeated,
  residual,
  sequential,
  splitInto,
  summary,
  tanh,
  unfreeze,
} from 'dfdt/nn'
import { beforeAll, describe, expect, test } from 'vitest'
import { tensorsOf } from '../../src/model/walk.js'
import { OptionError, ShapeError } from '../../src/tensor/errors.js'
import { assertClose } from '../../src/testing/close.js'
import { devices } from '../devices.js'

const pathsOf = (model: object) => tensorsOf(model).map(({ path }) => path)
const stateOf = (model: object) =>
  Object.fromEntries(tensorsOf(model).map(({ path, tensor: t }) => [path, [...t.dataSync()]]))
const forward = () => undefined

/** A module as users write them: a plain class. */
class Block {
  norm = layerNorm(4)
  layers = [linear(4, 4), linear(4, 4)] as const
  scale = parameter(ones([4]))
  seen = buffer(zeros([1], { dtype: 'i32' }))
  readonly constant = tensor([1, 2])
  options = { name: 'block', inner: linear(1, 1) }

  forward<N extends number, T extends Tape>(x: Tensor<[N, 4], 'f32', T>): Tensor<[N, 4], 'f32', T> {
    const [first, second] = this.layers
    return second
      .forward(first.forward(this.norm.forward(x)).tanh())
      .mul(this.scale.broadcastTo([x.shape[0], 4])) as never
  }
}

describe.each(devices)('models on $name', ({ make }) => {
  beforeAll(() => setDefaultDevice(make()))

  describe('paths', () => {
    test.each<[name: string, make: () => object, paths: string[]]>([
      ['a layer', () => linear(2, 3), ['weight', 'bias']],
      ['a layer without bias', () => linear(2, 3, { bias: false }), ['weight']],
      [
        'sequential',
        () => sequential(linear(2, 3), relu(), linear(3, 1)),
        ['0.weight', '0.bias', '2.weight', '2.bias'],
      ],
      ['sequential in sequential', () => sequential(relu(), sequential(linear(2, 3))), ['1.0.weight', '1.0.bias']],
      ['residual', () => residual(sequential(linear(2, 2))), ['block.0.weight', 'block.0.bias']],
      ['repeated', () => repeated(2, () => layerNorm(2)), ['0.weight', '0.bias', '1.weight', '1.bias']],
      ['splitInto', () => splitInto(linear(2, 1, { bias: false }), relu(), embedding(2, 2)), ['0.weight', '2.weight']],
      ['addInto', () => addInto(linear(2, 1), linear(2, 1)), ['a.weight', 'a.bias', 'b.weight', 'b.bias']],
      ['batchNorm1d', () => batchNorm1d(2), ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']],
      [
        'a plain class: fields, lists, no constants and no plain objects',
        () => new Block(),
        [
          'norm.weight',
          'norm.bias',
          'layers.0.weight',
          'layers.0.bias',
          'layers.1.weight',
          'layers.1.bias',
          'scale',
          'seen',
        ],
      ],
      ['layers without parameters', () => sequential(relu(), dropout(0.1), flatten()), []],
    ])('%s', (_, makeModel, paths) => expect(pathsOf(makeModel())).toEqual(paths))

    test('a model that contains itself is an error', () => {
      const model = { inner: { weight: parameter(ones([1])), forward } as Record<string, unknown>, forward }
      model.inner.outer = model
      expect(() => pathsOf(model)).toThrow(OptionError)
      expect(() => pathsOf(model)).toThrow('The model contains itself at "inner.outer"')
    })
  })

  describe('initialisation', () => {
    test('linear: uniform within 1 / √in, weight and bias, as PyTorch', () => {
      const layer = linear(100, 500)
      for (const values of [layer.weight.dataSync(), layer.bias.dataSync()]) {
        const largest = values.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
        expect(largest).toBeLessThanOrEqual(0.1)
        expect(largest).toBeGreaterThan(0.095)
        const mean = values.reduce((sum, x) => sum + x, 0) / values.length
        expect(Math.abs(mean)).toBeLessThan(0.012)
      }
    })

    test('conv2d: uniform within 1 / √(channels seen · window), weight and bias, as PyTorch', () => {
      const layer = conv2d(8, 400, 5, { groups: 2 })
      for (const values of [layer.weight.dataSync(), layer.bias.dataSync()]) {
        const largest = values.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
        expect(largest).toBeLessThanOrEqual(0.1)
        expect(largest).toBeGreaterThan(0.095)
        const mean = values.reduce((sum, x) => sum + x, 0) / values.length
        expect(Math.abs(mean)).toBeLessThan(0.012)
      }
    })

    test('embedding: normal', () => {
      const values = embedding(100, 100).weight.dataSync()
      const mean = values.reduce((sum, x) => sum + x, 0) / values.length
      const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length
      expect(Math.abs(mean)).toBeLessThan(0.05)
      expect(Math.abs(variance - 1)).toBeLessThan(0.08)
    })

    test('norms start as the identity', () => {
      expect(stateOf(layerNorm(2))).toEqual({ weight: [1, 1], bias: [0, 0] })
      expect(stateOf(batchNorm1d(2))).toEqual({
        weight: [1, 1],
        bias: [0, 0],
        running_mean: [0, 0],
        running_var: [1, 1],
        num_batches_tracked: [0],
      })
    })

    test.each<[run: () => unknown, message: string]>([
      [() => conv2d(0, 3, 3), 'conv2d: the number of input channels must be a whole number from 1 on, got 0'],
      [() => conv2d(3, 4, 2.5), 'conv2d: the window must be a whole number from 1 on, got 2.5'],
      [() => conv2d(3, 4, 3, { stride: 0 }), 'conv2d: stride must be a whole number from 1 on, got 0'],
      [() => conv2d(3, 4, 3, { groups: 2 } as never), 'conv2d: 3 -> 4 channels cannot be parted into 2 groups'],
      [() => maxPool2d(2, { padding: 2 } as never), 'maxPool2d: padding must be at most half the window of 2, got 2'],
      [() => linear(0, 3), 'linear: sizes must be positive integers, got 0 and 3'],
      [() => linear(2.5, 3), 'linear: sizes must be positive integers, got 2.5 and 3'],
      [() => layerNorm(2, { eps: -1 }), 'layerNorm: eps must be at least 0, got -1'],
      [() => batchNorm1d(2, { eps: Number.NaN }), 'batchNorm1d: eps must be at least 0, got NaN'],
      [
        () => batchNorm1d(2, { momentum: 1.5 }),
        'batchNorm1d: momentum is the weight of the batch and must be in [0, 1], got 1.5',
      ],
      [() => dropout(1.5), 'dropout: p is a probability in [0, 1], got 1.5'],
      [() => dropout(Number.NaN), 'got NaN'],
      [() => repeated(0, () => relu()), 'repeated: the count must be a positive integer, got 0'],
      [() => repeated(1.5, () => relu()), 'got 1.5'],
      [() => linear(2, 3, { bais: false } as never), 'linear: there is no option "bais"; there are bias, dtype.'],
      [() => linear(2, 3, false as never), 'linear: options are an object, got false'],
      [() => conv2d(3, 4, 3, 2 as never), 'conv2d: options are an object, got 2'],
      [
        () => conv2d(3, 4, 3, { pading: 1 } as never),
        'no option "pading"; there are stride, padding, dilation, groups,',
      ],
      [() => maxPool2d(2, { ceilMode: true } as never), 'maxPool2d: there is no option "ceilMode"'],
      [() => avgPool2d(2, { dilation: 2 } as never), 'avgPool2d: there is no option "dilation"'],
      [() => layerNorm(2, { epsilon: 1 } as never), 'layerNorm: there is no option "epsilon"'],
      [() => batchNorm2d(2, { affine: false } as never), 'batchNorm2d: there is no option "affine"'],
      [() => embedding(2, 3, { paddingIdx: 0 } as never), 'embedding: there is no option "paddingIdx"'],
    ])('wrong options: case %#', (run, message) => {
      expect(run).toThrow(OptionError)
      expect(run).toThrow(message)
    })
  })

  test('a convolution names its sizes where an image does not fit', () => {
    const layer = conv2d(4, 6, 3, { groups: 2 }) as { forward(x: unknown): unknown }
    for (const [shape, message] of [
      [[2, 3, 8, 8], 'conv2d(4 -> 6, 3x3): got 3 channels in [2, 3, 8, 8], needs 4; check the layer before'],
      [[4, 8, 2], 'conv2d(4 -> 6, 3x3): the window of 3 is larger than width 2 of [4, 8, 2]; use a smaller window'],
      [[8, 8], 'conv2d(4 -> 6, 3x3): got shape [8, 8], needs [..., channels, height, width]; reshape it.'],
    ] as const) {
      expect(() => layer.forward(zeros(shape))).toThrow(message)
      expect(() => layer.forward(zeros(shape))).toThrow(expect.objectContaining({ code: 'SHAPE', op: 'conv2d' }))
    }
  })

  describe('clone', () => {
    test('has the values in memory of its own', () => {
      const model = sequential(linear(2, 3), batchNorm1d(3))
      const copy = clone(model)
      expect(stateOf(copy)).toEqual(stateOf(model))
      expect(pathsOf(copy)).toEqual(pathsOf(model))
      model.forward(
        tensor([
          [1, 2],
          [3, 4],
        ]).trace(),
      )
      expect(stateOf(copy)['1.num_batches_tracked']).toEqual([0])
      expect(stateOf(model)['1.num_batches_tracked']).toEqual([1])
      expect(copy.forward(ones([1, 2])).shape).toEqual([1, 3])
      expect(copy.layers[0].weight.role).toBe('parameter')
      expect(copy.layers[1].running_mean.role).toBe('buffer')
    })

    test('ties stay ties, frozen stays frozen, constants are copied', () => {
      const shared = linear(2, 2)
      const model = { a: shared, b: shared, w: parameter(ones([1])), list: [shared], constant: tensor([7]), forward }
      freeze(model, 'w')
      const copy = clone({ ...model, forward: undefined })
      expect(copy.a).toBe(copy.b)
      expect(copy.list[0]).toBe(copy.a)
      expect(copy.a).not.toBe(shared)
      expect(copy.constant.arraySync()).toEqual([7])
      expect(copy.constant).not.toBe(model.constant)
      expect(tensorsOf(copy).map(({ path, tiedTo }) => [path, tiedTo])).toEqual(
        tensorsOf(model).map(({ path, tiedTo }) => [path, tiedTo]),
      )
      expect(tensorsOf(copy).find(({ path }) => path === 'w')?.tensor.frozen).toBe(true)
    })

    test("a user's class keeps its class and its other fields", () => {
      const model = new Block()
      const copy = clone(model)
      expect(copy).toBeInstanceOf(Block)
      expect(copy.options).toEqual({ name: 'block', inner: expect.anything() })
      expect(copy.options.inner.weight).not.toBe(model.options.inner.weight)
      const x = tensor([[1, 2, 3, 4]])
      expect(copy.forward(x).arraySync()).toEqual(model.forward(x).arraySync())
    })

    test('a function in a field is an error that names it', () => {
      const model = { inner: { weight: parameter(ones([1])), forward: (x: unknown) => x }, forward: undefined }
      expect(() => clone(model)).toThrow(OptionError)
      expect(() => clone(model)).toThrow(
        'clone: the field "inner.forward" holds a function, which would keep using the original model',
      )
    })
  })

  describe('freeze', () => {
    const model = () => sequential(linear(2, 2), sequential(linear(2, 2), batchNorm1d(2)))
    const frozenOf = (of: object) => tensorsOf(of).flatMap(({ path, tensor: t }) => (t.frozen ? [path] : []))

    test.each<[patterns: string[], paths: string[]]>([
      [[], ['0.weight', '0.bias', '1.0.weight', '1.0.bias', '1.1.weight', '1.1.bias']],
      [['*'], ['0.weight', '0.bias', '1.0.weight', '1.0.bias', '1.1.weight', '1.1.bias']],
      [['0.*'], ['0.weight', '0.bias']],
      [['1.*'], ['1.0.weight', '1.0.bias', '1.1.weight', '1.1.bias']],
      [['1.0.*'], ['1.0.weight', '1.0.bias']],
      [['*.bias'], ['0.bias', '1.0.bias', '1.1.bias']],
      [
        ['0.weight', '1.1.*'],
        ['0.weight', '1.1.weight', '1.1.bias'],
      ],
    ])('%j', (patterns, paths) => {
      const made = model()
      freeze(made, ...(patterns as never[]))
      expect(frozenOf(made)).toEqual(paths)
      unfreeze(made)
      expect(frozenOf(made)).toEqual([])
    })

    test('buffers are not frozen, even when the pattern names them', () => {
      const made = batchNorm1d(2)
      freeze(made, 'running_mean', 'weight')
      expect(frozenOf(made)).toEqual(['weight'])
    })

    test('a pattern that matches nothing is an error that lists the paths, and freezes nothing', () => {
      const made = model()
      // @ts-expect-error no such path
      const run = () => freeze(made, '0.weight', '2.*')
      expect(run).toThrow(OptionError)
      expect(run).toThrow('freeze: the pattern "2.*" matches nothing; the model has 0.weight, 0.bias, 1.0.weight')
      expect(frozenOf(made)).toEqual([])
      // @ts-expect-error a prefix is not a pattern
      expect(() => unfreeze(made, '1')).toThrow('unfreeze: the pattern "1" matches nothing')
    })
  })

  describe('inference', () => {
    test('a view on the same parameters: no dropout, running statistics kept, gradients as ever', () => {
      const model = sequential(batchNorm1d(2), dropout(0.9), linear(2, 1))
      const view = inference(model)
      const x = tensor([
        [1, 2],
        [3, 5],
      ])
      const before = stateOf(model)
      const y = view.forward(x.trace())
      expect(stateOf(model)).toEqual(before)
      expect(y.detach().arraySync()).toEqual(model.forward(x).arraySync())
      const gradients = y.sum().backward()
      assertClose(gradients.get(model.layers[2].bias).arraySync(), [2])
      gradients.dispose()
      expect(view.layers[2].weight).toBe(model.layers[2].weight)
      expect(tensorsOf(view).map(({ tensor: t }) => t)).toEqual(tensorsOf(model).map(({ tensor: t }) => t))
      expect(inference(model)).toBe(view)
      // The model itself still trains.
      model.forward(x.trace())
      expect(stateOf(model)['0.num_batches_tracked']).toEqual([1])
    })

    test('of a part only, and after an error', () => {
      const norm = batchNorm1d(2)
      const model = { norm, head: linear(2, 1), forward }
      const x = tensor([
        [1, 2],
        [3, 5],
      ])
      inference(model).norm.forward(x.trace())
      expect(norm.num_batches_tracked.itemSync()).toBe(0)
      // @ts-expect-error wrong size
      expect(() => inference(model).norm.forward(ones([2, 3]).trace())).toThrow(ShapeError)
      norm.forward(x.trace())
      expect(norm.num_batches_tracked.itemSync()).toBe(1)
    })

    test('a statistic that moves on between forward and backward does not change the gradient', () => {
      const norm = batchNorm1d(2)
      const x = tensor([
        [1, 2],
        [3, 5],
      ])
      const weights = tensor([
        [1, 2],
        [-3, 1],
      ])
      const lossOf = () => inference(norm).forward(x.trace()).mul(weights).sum()
      const expected = lossOf().backward().get(norm.weight).arraySync()
      const loss = lossOf()
      norm.forward(
        tensor([
          [10, 20],
          [30, 50],
        ]).trace(),
      )
      expect(loss.backward().get(norm.weight).arraySync()).toEqual(expected)
    })
  })

  describe('dropout', () => {
    test('drops a share p of a taped input and scales the rest; the gradient has the same mask', () => {
      const layer = dropout(0.25)
      const x = ones([100, 100])
      const y = layer.forward(x.trace())
      const kept = [...y.detach().dataSync()]
      expect(new Set(kept)).toEqual(new Set([0, Math.fround(1 / 0.75)]))
      const dropped = kept.filter((value) => value === 0).length / kept.length
      expect(Math.abs(dropped - 0.25)).toBeLessThan(0.02)
      expect([...y.sum().backward().get(x).dataSync()]).toEqual(kept)
    })

    test('each call draws anew; untaped nothing is dropped; p of 0 and 1', () => {
      const layer = dropout(0.5)
      const x = ones([1000])
      expect(layer.forward(x.trace()).dataSync()).not.toEqual(layer.forward(x.trace()).dataSync())
      expect(layer.forward(x).dataSync()).toEqual(x.dataSync())
      expect(dropout(0).forward(x.trace()).dataSync()).toEqual(x.dataSync())
      expect([...dropout(1).forward(x.trace()).dataSync()].every((value) => value === 0)).toBe(true)
    })
  })

  describe('batchNorm1d', () => {
    test('one value a feature cannot train: an error before anything is written', () => {
      const layer = batchNorm1d(3)
      const run = () => layer.forward(ones([1, 3]).trace())
      expect(run).toThrow(ShapeError)
      expect(run).toThrow('batchNorm1d(3): a variance needs two values a feature, got shape [1, 3]')
      expect(layer.num_batches_tracked.itemSync()).toBe(0)
      expect(layer.forward(ones([1, 3])).shape).toEqual([1, 3])
      expect(layer.forward(ones([1, 3, 2]).trace()).shape).toEqual([1, 3, 2])
    })

    test('another shape is an error', () => {
      const layer = batchNorm1d(3)
      // @ts-expect-error features
      expect(() => layer.forward(ones([2, 4]))).toThrow('batchNorm1d(3): got shape [2, 4], needs [N, 3] or [N, 3, L]')
      // @ts-expect-error rank
      expect(() => layer.forward(ones([3]))).toThrow(ShapeError)
      // @ts-expect-error rank
      expect(() => layer.forward(ones([2, 3, 4, 5]).trace())).toThrow(ShapeError)
    })

    test('a training step goes backward after its own statistics have moved', () => {
      const layer = batchNorm1d(2)
      const x = tensor([
        [1, 2],
        [3, 5],
      ])
      const loss = layer.forward(x.trace()).square().sum()
      loss.backward().dispose()
      expect(layer.num_batches_tracked.itemSync()).toBe(1)
    })
  })

  describe('combinators', () => {
    const x = () => tensor([[1, 2]])

    test('residual adds the input, addInto two branches, repeated applies in turn, splitInto gives each', () => {
      const layer = linear(2, 2)
      const y = layer.forward(x()).arraySync()
      assertClose(residual(layer).forward(x()).arraySync(), [[(y[0]?.[0] ?? 0) + 1, (y[0]?.[1] ?? 0) + 2]])
      assertClose(addInto(layer, layer).forward(x()).arraySync(), [[2 * (y[0]?.[0] ?? 0), 2 * (y[0]?.[1] ?? 0)]])
      const twice = repeated(2, (i) => (i === 0 ? layer : linear(2, 2)))
      expect(twice.forward(x()).arraySync()).toEqual(twice.blocks[1]?.forward(layer.forward(x())).arraySync())
      const [a, b] = splitInto(layer, linear(2, 5)).forward(x().trace())
      expect([a.detach().arraySync(), b.shape, b.tape]).toEqual([y, [1, 5], 'taped'])
    })

    test('heads that split share one tape', () => {
      const body = linear(2, 2)
      const [a, b] = sequential(body, splitInto(linear(2, 1), linear(2, 1))).forward(x().trace())
      expect(a.sum().add(b.sum()).backward().get(body.bias).shape).toEqual([2])
    })

    test('shapes that do not add are errors', () => {
      // @ts-expect-error 2 -> 3
      expect(() => residual(linear(2, 3)).forward(x())).toThrow(
        'residual: block maps [1, 2] to [1, 3]; both sides of a sum have one shape.',
      )
      // @ts-expect-error 3 and 4
      expect(() => addInto(linear(2, 3), linear(2, 4)).forward(x())).toThrow(ShapeError)
      // @ts-expect-error 2 -> 3 -> 3
      expect(() => sequential(linear(2, 3), linear(2, 3)).forward(x())).toThrow(ShapeError)
      // @ts-expect-error 2 -> 3 -> 2
      expect(() => repeated(2, () => linear(2, 3)).forward(x())).toThrow(ShapeError)
    })
  })

  describe('printing', () => {
    const model = () =>
      sequential(
        embedding(10, 8),
        flatten(),
        linear(16, 8),
        batchNorm1d(8),
        dropout(0.1),
        repeated(2, () => residual(sequential(linear(8, 8, { bias: false }), tanh(), layerNorm(8)))),
        splitInto(linear(8, 4), addInto(linear(8, 1), linear(8, 1))),
      )

    test('a model prints as a table of its layers', () => {
      const made = model()
      expect(summary(made)).toMatchInlineSnapshot(`
        "path         layer             tensors                                                                          parameters
        --------------------------------------------------------------------------------------------------------------------------
        0            embedding(10, 8)  weight [10, 8]                                                                           80
        1            flatten()                                                                                                   0
        2            linear(16 -> 8)   weight [8, 16]  bias [8]                                                                136
        3            batchNorm1d(8)    weight [8]  bias [8]  running_mean [8]  running_var [8]  num_batches_tracked []          16
        4            dropout(0.1)                                                                                                0
        5.0.block.0  linear(8 -> 8)    weight [8, 8]                                                                            64
        5.0.block.1  tanh()                                                                                                      0
        5.0.block.2  layerNorm(8)      weight [8]  bias [8]                                                                     16
        5.1.block.0  linear(8 -> 8)    weight [8, 8]                                                                            64
        5.1.block.1  tanh()                                                                                                      0
        5.1.block.2  layerNorm(8)      weight [8]  bias [8]                                                                     16
        6.0          linear(8 -> 4)    weight [4, 8]  bias [4]                                                                  36
        6.1.a        linear(8 -> 1)    weight [1, 8]  bias [1]                                                                   9
        6.1.b        linear(8 -> 1)    weight [1, 8]  bias [1]                                                                   9
        --------------------------------------------------------------------------------------------------------------------------
        446 parameters"
      `)
      expect(String(made)).toBe(summary(made))
      expect(inspect(made)).toBe(summary(made))
      expect(inspect({ made })).toContain('linear(16 -> 8)')
    })

    test('so do plain classes and single layers; ties count once', () => {
      expect(summary(new Block())).toMatchInlineSnapshot(`
        "path      layer           tensors                  parameters
        -------------------------------------------------------------
                  Block           scale [4]  seen [1]               4
        norm      layerNorm(4)    weight [4]  bias [4]              8
        layers.0  linear(4 -> 4)  weight [4, 4]  bias [4]          20
        layers.1  linear(4 -> 4)  weight [4, 4]  bias [4]          20
        -------------------------------------------------------------
        52 parameters"
      `)
      const shared = linear(2, 2)
      expect(summary({ a: shared, b: shared, forward })).toMatchInlineSnapshot(`
        "path  layer           tensors                  parameters
        ---------------------------------------------------------
        a     linear(2 -> 2)  weight [2, 2]  bias [2]           6
        b     linear(2 -> 2)  weight [2, 2]  bias [2]           6
        ---------------------------------------------------------
        6 parameters (2 tied, counted once)"
      `)
      expect(String(linear(784, 10))).toMatchInlineSnapshot(`
        "path  layer              tensors                      parameters
        ----------------------------------------------------------------
              linear(784 -> 10)  weight [10, 784]  bias [10]       7,850
        ----------------------------------------------------------------
        7,850 parameters"
      `)
    })

    test('countParameters counts tied ones once and buffers not at all', () => {
      const shared = linear(2, 2)
      expect(countParameters({ a: shared, b: shared, forward })).toBe(6)
      expect(countParameters(batchNorm1d(5))).toBe(10)
      expect(countParameters(linear(784, 10))).toBe(7850)
      expect(countParameters(relu())).toBe(0)
    })
  })

  test("a user's class trains like any layer", () => {
    const model = sequential(linear(3, 4), new Block(), linear(4, 1))
    const y = model.forward(ones([2, 3]).trace())
    expect(y.shape).toEqual([2, 1])
    const gradients = y.sum().backward()
    expect(gradients.get(model.layers[1].norm.weight).shape).toEqual([4])
    expect(gradients.get(model.layers[0].weight).shape).toEqual([4, 3])
  })
})
