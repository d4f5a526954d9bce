import {
  bf16,
  compile,
  crossEntropy,
  DTypeError,
  f16,
  fromBits,
  normal,
  ones,
  ShapeError,
  tensor,
  toBits,
  uniform,
  zeros,
} from 'dfdt'
import { loadModel, parseSafetensors, saveModel } from 'dfdt/io'
import {
  batchNorm1d,
  batchNorm2d,
  clone,
  conv2d,
  convert,
  embedding,
  flatten2d,
  freeze,
  layerNorm,
  linear,
  maxPool2d,
  relu,
  sequential,
} from 'dfdt/nn'
import { adam, sgd } from 'dfdt/optim'
import { ema, update } from 'dfdt/update'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tensorsOf } from '../../src/model/walk.js'
import { setDefaultDevice } from '../../src/tensor/device.js'
import { recordOf } from '../../src/tensor/record.js'
import { devices } from '../devices.js'
import type { AnyX } from '../ops/cases.js'

for (const { name, make } of devices) {
  describe(`f16 and bf16 on ${name}`, () => {
    const device = make()
    beforeAll(() => setDefaultDevice(device))
    afterAll(() => device.close())

    it('tensors: two bytes an element, values as f32, bits on request, printed like others', async () => {
      const before = device.memory().used
      const large = zeros([1 << 16], { dtype: 'bf16' })
      expect(device.memory().used - before).toBe(2 << 16)
      large.dispose()
      const x = tensor([1, 0.1, 3.5], { dtype: 'bf16' })
      expect(x.dtype).toBe('bf16')
      expect(await x.data()).toEqual(Float32Array.of(1, 0.10009765625, 3.5))
      expect(await x.array()).toEqual([1, 0.10009765625, 3.5])
      expect(await toBits(x)).toEqual(Uint16Array.of(0x3f80, 0x3dcd, 0x4060))
      expect(await toBits(fromBits(Uint16Array.of(0x3c00, 0xfc00), [2], { dtype: 'f16' }))).toEqual(
        Uint16Array.of(0x3c00, 0xfc00),
      )
      expect(fromBits(Uint16Array.of(0x3c00, 0xfc00), [2], { dtype: 'f16' }).arraySync()).toEqual([1, -Infinity])
      expect(String(x)).toBe('Tensor [3] bf16\n[1.0000 0.1001 3.5000]')
      expect(tensor(Float32Array.of(70000, -1e-9), [2], { dtype: 'f16' }).arraySync()).toEqual([Infinity, -0])
      expect(await toBits(x.reshape([3, 1]).permute(1, 0))).toEqual(await toBits(x))
      expect(() => fromBits(Uint16Array.of(1), [2], { dtype: 'f16' })).toThrow(ShapeError)
      expect(() => toBits(ones([2]) as AnyX)).toThrow(DTypeError)
    })

    it('random tensors and parameters are drawn in f32 and rounded', () => {
      for (const draw of [uniform, normal]) {
        const state = device.generator.state()
        const single = draw([1000])
        device.generator.load(state)
        const half = draw([1000], { dtype: 'f16' })
        expect(half.arraySync()).toEqual(single.to('f16').arraySync())
      }
      const layers = [
        linear(4, 3, { dtype: 'bf16' }),
        conv2d(2, 3, 3, { dtype: 'bf16' }),
        layerNorm(4, { dtype: 'bf16' }),
        batchNorm1d(4, { dtype: 'bf16' }),
        batchNorm2d(4, { dtype: 'bf16' }),
        embedding(5, 3, { dtype: 'bf16' }),
      ]
      for (const layer of layers)
        for (const { tensor: t, path } of tensorsOf(layer))
          expect(t.dtype).toBe(path === 'num_batches_tracked' ? 'i32' : 'bf16')
    })

    it('two dtypes in one op are refused, before anything runs', () => {
      const [a, b, c]: AnyX[] = [ones([2, 2], { dtype: 'bf16' }), ones([2, 2]), ones([2, 2], { dtype: 'f16' })]
      expect(() => a.add(b)).toThrow("add: dtypes bf16 and f32 differ; convert one with .to('f32').")
      expect(() => b.add(a)).toThrow("add: dtypes f32 and bf16 differ; convert one with .to('f32').")
      expect(() => a.matmul(b)).toThrow("matmul: dtypes bf16 and f32 differ; convert one with .to('f32').")
      expect(() => a.matmul(c)).toThrow(DTypeError)
      expect(() => (linear(2, 2) as AnyX).forward(a)).toThrow(DTypeError)
    })

    it('a fused chain rounds after every op, as eagerly', () => {
      const chain = (x: AnyX) => x.mul(1.1).add(0.3).mul(x).sub(0.7).exp()
      const x = uniform([1000], { dtype: 'bf16' })
      const once = x.to('f32').mul(1.1).add(0.3).mul(x.to('f32')).sub(0.7).exp().to('bf16')
      const compiled = compile([bf16(1000)], chain)
      const eager = chain(x).arraySync()
      expect(compiled(x).arraySync()).toEqual(eager)
      expect(once.arraySync()).not.toEqual(eager)
      expect(compiled.explain()).toContain('1 left after fusing')
      const halves = compile([f16(4)], (y) => y.mul(2))
      expect(halves(Float32Array.of(1, 2, 3, 0.1)).arraySync()).toEqual([2, 4, 6, 0.199951171875])
    })

    it('convert: another dtype, ties stay ties, integers and frozen parameters as they are, the model unchanged', () => {
      class Tied {
        readonly table = embedding(5, 3)
        readonly head = linear(3, 5)
        readonly norm = batchNorm1d(3)
        constructor() {
          Object.assign(this.head, { weight: this.table.weight })
        }
        forward(x: AnyX): AnyX {
          return this.head.forward(this.norm.forward(this.table.forward(x)))
        }
      }
      const model = new Tied()
      freeze(model, 'norm.*')
      const before = recordOf(model.table.weight).arraySync()
      const half = convert(model, 'bf16')
      const entries = tensorsOf(half)
      expect(entries.map(({ path, tensor: { dtype } }) => `${path} ${dtype}`)).toEqual([
        'table.weight bf16',
        'head.weight bf16',
        'head.bias bf16',
        'norm.weight bf16',
        'norm.bias bf16',
        'norm.running_mean bf16',
        'norm.running_var bf16',
        'norm.num_batches_tracked i32',
      ])
      expect(entries[1]?.tiedTo).toBe('table.weight')
      expect(entries[3]?.tensor.frozen).toBe(true)
      expect(half.table.weight.arraySync()).toEqual(model.table.weight.to('bf16').arraySync())
      expect(recordOf(model.table.weight).arraySync()).toEqual(before)
      expect(half).toBeInstanceOf(Tied)
      expect(half.forward(tensor([1, 2], { dtype: 'i32' })).dtype).toBe('bf16')
      const back = convert(half, 'f32')
      expect(back.table.weight.arraySync()).toEqual(half.table.weight.arraySync())
      expect(() => convert({ forward: (x: AnyX) => x, inner: model } as AnyX, 'bf16')).toThrow(/^convert: the field/)
    })

    it('training in bf16 and f16 learns, with optimizer state in f32, and a shadow follows', () => {
      for (const dtype of ['bf16', 'f16'] as const) {
        device.generator.manualSeed(3)
        const model = convert(sequential(linear(6, 32), relu(), layerNorm(32), linear(32, 4)), dtype)
        const shadow = clone(model)
        const optimizer = adam(model, { lr: 0.01 })
        const x = normal([64, 6], { dtype })
        const y = x
          .to('f32')
          .slice([null, [0, 4]])
          .argmax(1)
        const losses: number[] = []
        for (let i = 0; i < 40; i++) {
          const loss = crossEntropy(model.forward(x.trace()), y)
          expect(loss.dtype).toBe(dtype)
          const gradients = loss.backward()
          expect(gradients.get(model.layers[0].weight).dtype).toBe(dtype)
          optimizer.step(gradients)
          update({ target: shadow, source: model } as AnyX, ema({ decay: 0.5 }))
          losses.push(loss.itemSync())
        }
        expect(losses.at(-1)).toBeLessThan((losses[0] ?? 0) / 4)
        const apart = shadow.layers[0].weight.sub(model.layers[0].weight).abs().max().itemSync()
        expect(apart).toBeGreaterThan(0)
        expect(apart).toBeLessThan(0.1)
      }
    })

    it('momentum adds up changes that bf16 would lose', () => {
      // Each gradient is below what the momentum 1 of bf16 can take in; in f32 they add up.
      const layer = convert(linear(1, 1, { bias: false }), 'bf16')
      recordOf(layer.weight).storage.write(recordOf(layer.weight).offset * 2, new Uint8Array(2))
      const optimizer = sgd(layer, { lr: 1, momentum: 0.999 })
      const x = tensor([[0.001]], { dtype: 'bf16' })
      for (let i = 0; i < 5; i++) optimizer.step(layer.forward(x.trace()).sum().backward())
      expect(layer.weight.itemSync()).toBeLessThan(0)
    })

    it('images: convolution, pooling and batch statistics', () => {
      const model = convert(
        sequential(conv2d(1, 4, 3, { padding: 1 }), batchNorm2d(4), relu(), maxPool2d(2), flatten2d(), linear(64, 3)),
        'bf16',
      )
      const x = normal([5, 1, 8, 8], { dtype: 'bf16' })
      const loss = crossEntropy(model.forward(x.trace()), tensor([0, 1, 2, 0, 1], { dtype: 'i32' }))
      const gradients = loss.backward()
      for (const { tensor: t, role } of tensorsOf(model))
        if (role === 'parameter') expect(gradients.get(t as AnyX).dtype).toBe('bf16')
      expect(model.layers[1].running_mean.abs().max().itemSync()).toBeGreaterThan(0)
    })

    it('files: saved as F16 and BF16, read by such models and by wider ones, never rounded', async () => {
      const make32 = () => sequential(linear(3, 2), batchNorm1d(2))
      for (const [dtype, file] of [
        ['bf16', 'BF16'],
        ['f16', 'F16'],
      ] as const) {
        const half = convert(make32(), dtype)
        const bytes = await saveModel(half)
        const { tensors } = parseSafetensors(bytes)
        expect(tensors.get('0.weight')?.dtype).toBe(file)
        expect(tensors.get('1.num_batches_tracked')?.dtype).toBe('I32')
        const other = convert(make32(), dtype)
        loadModel(other, bytes)
        expect(await saveModel(other)).toEqual(bytes)
        const wide = make32()
        loadModel(wide, bytes)
        expect(wide.layers[0].weight.arraySync()).toEqual(half.layers[0].weight.arraySync())
        const single = await saveModel(make32())
        expect(() => loadModel(other, single)).toThrow(`"0.weight" is [2, 3] F32 in the file but [2, 3] ${dtype} in`)
        const opposite = convert(make32(), dtype === 'f16' ? 'bf16' : 'f16')
        expect(() => loadModel(opposite, bytes)).toThrow(ShapeError)
      }
    })
  })
}
