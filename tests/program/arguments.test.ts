import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { linear } from '../../src/nn/index.js'
import { tensor, where } from '../../src/ops/index.js'
import { sgd } from '../../src/optim/index.js'
import { bool, compile, f32, i32 } from '../../src/program/index.js'
import { type Device, setDefaultDevice } from '../../src/tensor/device.js'
import { TensorRecord } from '../../src/tensor/record.js'
import { scope } from '../../src/tensor/scope.js'
import type { AnyX } from '../ops/cases.js'
import { bitsOf, expectSameBits } from './bits.js'
import { targets } from './targets.js'

for (const { name: on, make } of targets.slice(0, 2)) {
  describe(`arguments and results on ${on}`, () => {
    let device: Device
    beforeAll(() => {
      device = make()
      setDefaultDevice(device)
    })
    afterAll(() => device.close())

    it('may be nested in objects and arrays', () => {
      const body = ({ a, rest }: { a: AnyX; rest: readonly [AnyX, { b: AnyX }] }, k: number) => {
        const [first, { b }] = rest
        const sum = a.add(first).mul(k)
        return { sum, parts: [b.neg(), { twice: [sum.add(sum)] }], note: 'as it is', nothing: null, none: undefined }
      }
      const args = [{ a: tensor([1, 2]), rest: [tensor([3, 4]), { b: tensor([[5]]) }] }, 3] as const
      const step = compile(body)
      expectSameBits(step(...args), body(...args))
      expect(step(...args).note).toBe('as it is')
    })

    it('may be views: permuted, sliced, repeated, the same tensor twice, and unused', () => {
      const x = tensor([
        [1, 2, 3],
        [4, 5, 6],
      ])
      const body = (a: AnyX, b: AnyX, c: AnyX, d: AnyX, _unused: AnyX) => [a.sum(0), b.mul(c), d.add(d)]
      const args = [
        x.permute(1, 0),
        x.slice([null, [1, 3]]),
        x.slice([null, [1, 3]]),
        x.select(0, 1).broadcastTo([2, 3]),
        x,
      ]
      const step = compile(body)
      expectSameBits(
        step(...(args as [AnyX, AnyX, AnyX, AnyX, AnyX])),
        body(...(args as [AnyX, AnyX, AnyX, AnyX, AnyX])),
      )
    })

    it('pass through', () => {
      const step = compile((x: AnyX, y: AnyX) => ({ x, back: y.permute(1, 0), both: [x, x] }))
      const [x, y] = [
        tensor([1, 2]),
        tensor([
          [1, 2],
          [3, 4],
        ]),
      ]
      const result = step(x, y)
      expectSameBits(result, { x, back: y.permute(1, 0), both: [x, x] })
      expect(result.x).not.toBe(x)
    })

    it('of every dtype, of no elements, and losses that have moved to the host', () => {
      const body = (i: AnyX, b: AnyX, none: AnyX, loss: AnyX) => [i.add(1), b, none.sum(), none.add(1), loss.mul(2)]
      const model = linear(2, 1) as AnyX
      const loss = model.forward(tensor([1, 2]).trace()).sum()
      loss.backward()
      const args = [
        tensor([1, -2], { dtype: 'i32' }),
        tensor([true, false]),
        tensor(new Float32Array(0), [0, 3]),
        loss.detach(),
      ]
      expectSameBits(compile(body)(...(args as [AnyX, AnyX, AnyX, AnyX])), body(...(args as [AnyX, AnyX, AnyX, AnyX])))
    })

    it('results are not overwritten by later runs, whether small or large', () => {
      const step = compile((x: AnyX) => ({ small: x.sum(), large: x.mul(2) }))
      const of = (value: number) => tensor(new Float32Array(1000).fill(value), [1000])
      const first = step(of(1))
      const second = step(of(2))
      expect(first.small.itemSync()).toBe(1000)
      expect(first.large.dataSync()[999]).toBe(2)
      expect(second.large.dataSync()[0]).toBe(4)
      step.dispose()
      expect(second.large.dataSync()[0]).toBe(4)
      expect(second.small.itemSync()).toBe(2000)
    })

    it('results may feed the next run', () => {
      const step = compile((x: AnyX) => x.mul(2))
      let x: AnyX = tensor([1, 2, 3])
      for (let i = 0; i < 5; i++) x = step(x)
      expect(x.arraySync()).toEqual([32, 64, 96])
    })

    it('a parameter that is returned is a view of it: later steps show', () => {
      const model = linear(1, 1, { bias: false } as never) as AnyX
      const optimizer = sgd(model, { lr: 1 })
      const step = compile((x: AnyX) => {
        const before = model.weight.mul(1)
        optimizer.step(model.forward(x.trace()).sum().backward())
        return { before, weight: model.weight, row: model.weight.reshape([1]) }
      })
      const start = model.weight.itemSync()
      const first = step(tensor([[2]]))
      expect(first.before.itemSync()).toBe(start)
      expect(first.weight.itemSync()).toBe(Math.fround(start - 2))
      step(tensor([[2]]))
      expect(first.weight.itemSync()).toBe(model.weight.itemSync())
      expect(first.row.itemSync()).toBe(model.weight.itemSync())
      step.dispose()
      first.weight.dispose()
      expect(model.weight.disposed).toBe(false)
      expect(first.row.itemSync()).toBe(model.weight.itemSync())
    })

    it('a stated signature has the structure of the arguments', () => {
      const body = ({ x, more: [k, { flag }] }: { x: AnyX; more: readonly [AnyX, { flag: AnyX }] }, y: AnyX) => ({
        sum: x.add(y).mul(k.broadcastTo([2])),
        chosen: [where(flag, k, k.neg())],
      })
      const step = compile([{ x: f32(2), more: [f32(), { flag: bool() }] }, f32(2)], body as AnyX) as AnyX
      expect(step.explain()).toContain('kernels captured')
      const y = tensor([10, 20])
      for (const flag of [true, false]) {
        const plain = { x: tensor([1, 2]), more: [tensor(3), { flag: tensor(flag) }] } as const
        const expected = body(plain as AnyX, y)
        expectSameBits(step(plain, y), expected)
        // More than was stated is left alone, and order is that of the signature.
        expectSameBits(step({ id: 'a', more: [3, { flag }], x: Float32Array.of(1, 2) }, y), expected)
      }
      expect(step.programs).toBe(1)
      const cases: [unknown, string][] = [
        [{ x: y }, 'argument 0.more must be an array of 2, got undefined'],
        [{ x: y, more: [1] }, 'argument 0.more must be an array of 2, got 1.'],
        [{ x: y, more: [1, 2] }, 'argument 0.more[1] must be an object with flag, got 2'],
        [{ x: y, more: [1, {}] }, 'argument 0.more[1].flag must be a bool tensor of shape []'],
        [y, 'argument 0 must be an object with x, more, got a f32 tensor of shape [2]'],
      ]
      for (const [wrong, message] of cases) expect(() => step(wrong, y)).toThrow(message)
    })

    it('constants that the function makes are part of the program, alone as results too', () => {
      const step = compile((x: AnyX) => ({ y: x.add(tensor([10, 20])), constant: tensor([1, 2]) }))
      const first = step(tensor([1, 2]))
      expect(step(tensor([3, 4])).y.arraySync()).toEqual([13, 24])
      expect(first.constant.arraySync()).toEqual([1, 2])
      step.dispose()
      expect(first.constant.arraySync()).toEqual([1, 2])
    })

    it('parameters among the arguments are used by identity, and trained', () => {
      const step = compile((model: { weight: AnyX }, x: AnyX) => {
        const loss = model.weight.mul(x.trace()).sum()
        sgdStep(model, loss)
        return loss
      })
      const optimizers = new Map<object, AnyX>()
      const sgdStep = (model: { weight: AnyX }, loss: AnyX) => optimizers.get(model.weight)?.step(loss.backward())
      const [a, b] = [linear(2, 1, { bias: false } as never), linear(2, 1, { bias: false } as never)] as [AnyX, AnyX]
      for (const model of [a, b]) optimizers.set(model.weight, sgd(model, { lr: 1 }))
      const [before, other] = [a.weight.arraySync(), b.weight.arraySync()]
      const x = tensor([[1, 2]])
      step({ weight: a.weight }, x)
      expect(a.weight.arraySync()).toEqual([[before[0][0] - 1, before[0][1] - 2].map(Math.fround)])
      expect(b.weight.arraySync()).toEqual(other)
      step({ weight: b.weight }, x)
      expect(step.programs).toBe(2)
      expect(b.weight.arraySync()).toEqual([[other[0][0] - 1, other[0][1] - 2].map(Math.fround)])
    })

    it('scopes around a call own what it returns and nothing of the program', () => {
      const model = linear(2, 2) as AnyX
      const step = compile((x: AnyX) => ({ y: model.forward(x), w: model.weight.reshape([4]) }))
      const x = tensor([[1, 2]])
      const eager = bitsOf({ y: model.forward(x), w: model.weight.reshape([4]) })
      expect(scope(() => bitsOf(step(x)))).toEqual(eager)
      expect(scope(() => bitsOf(step(x)))).toEqual(eager)
      const kept = step(x)
      expect(bitsOf(kept)).toEqual(eager)
      const inside = scope(() => ({ lost: step(x), kept: step(x).y }))
      expect(bitsOf(inside.kept)).toEqual(bitsOf(kept.y))
      let lost: AnyX
      scope(() => {
        lost = step(x).y
      })
      expect(() => lost.dataSync()).toThrow(/released/)
    })
  })

  describe(`signatures on ${on}`, () => {
    let device: Device
    beforeAll(() => {
      device = make()
      setDefaultDevice(device)
    })
    afterAll(() => device.close())

    it('are captured once each', () => {
      let captures = 0
      const step = compile((x: AnyX, k: unknown) => {
        captures++
        return x.mul(typeof k === 'number' ? k : 2)
      })
      for (let i = 0; i < 3; i++) {
        expect(step(tensor([1, 2]), 3).arraySync()).toEqual([3, 6])
        expect(step(tensor([1, 2, 3]), 3).arraySync()).toEqual([3, 6, 9])
        expect(step(tensor([1, 2], { dtype: 'i32' }), 3).arraySync()).toEqual([3, 6])
      }
      expect(captures).toBe(3)
      expect(step.programs).toBe(3)
      for (const k of [Number.NaN, Infinity, -Infinity, 0, -0]) {
        expect(bitsOf(step(tensor([1]), k))).toEqual(bitsOf(tensor([1]).mul(k)))
      }
      expect(captures).toBe(8)
      const [symbol, object] = [Symbol('a'), new Date()]
      for (const k of [null, undefined, 'NaN', '3', 3n, symbol, Symbol('a'), object, symbol, object])
        step(tensor([1, 2]), k)
      expect(captures).toBe(16)
    })

    it('differ by structure', () => {
      const step = compile((tree: AnyX) => (Array.isArray(tree) ? tree[0].add(tree[1]) : tree.a.sub(tree.b)))
      const [a, b] = [tensor([5]), tensor([3])]
      expect(step([a, b]).itemSync()).toBe(8)
      expect(step({ a, b }).itemSync()).toBe(2)
      expect(step({ b: a, a: b }).itemSync()).toBe(-2)
      expect(step.programs).toBe(3)
    })

    it('more than 8 are not kept: the least recently used goes, and its memory', () => {
      let captures = 0
      const step = compile((x: AnyX) => {
        captures++
        return x.add(tensor(new Float32Array(x.size).fill(1), x.shape)).sum()
      })
      const xs = Array.from({ length: 12 }, (_, i) => tensor(new Float32Array(1000 + i), [1000 + i]))
      const { used } = device.memory()
      for (const x of xs.slice(0, 8)) step(x).dispose()
      expect(step.programs).toBe(8)
      step(xs[0]).dispose()
      const full = device.memory().used
      for (const x of xs.slice(8, 10)) step(x).dispose()
      expect(step.programs).toBe(8)
      expect(captures).toBe(10)
      expect(device.memory().used - used).toBeLessThan(1.1 * (full - used))
      // The first was used again since; the second and third are gone.
      step(xs[0]).dispose()
      expect(captures).toBe(10)
      step(xs[1]).dispose()
      expect(captures).toBe(11)
      step.dispose()
      expect(step.programs).toBe(0)
      expect(device.memory().used).toBe(used)
      expect(step(xs[0]).itemSync()).toBe(1000)
      step.dispose()
      expect(device.memory().used).toBe(used)
    })

    it('count the captures, and explain() says why there are so many', async () => {
      const step = compile((x: AnyX, k: number) => x.mul(k), { programs: 2 })
      const x = tensor([1, 2])
      for (const k of [1, 2, 1, 2]) expect(step(x, k).arraySync()).toEqual([k, 2 * k])
      expect([step.captures, step.programs]).toEqual([2, 2])
      expect(step.explain()).toMatch(/^\d+ kernels? captured/)
      for (const k of [1, 2, 3, 1, 2, 3]) expect(step(x, k).arraySync()).toEqual([k, 2 * k])
      expect([step.captures, step.programs]).toEqual([6, 2])
      const [first, second] = step.explain().split('\n')
      expect(first).toBe(
        'programs: 6 captured, 4 dropped, at most 2 kept; ' +
          'state the signature, with numbers that change as f32(), or keep more: compile(fn, { programs: 16 })',
      )
      expect(second).toMatch(/^1 kernel captured/)
      expect(await step.profile(x, 3)).toContain('programs: 6 captured, 4 dropped')
      step.dispose()

      const stated = compile([f32(2), f32()], (x, k) => x.mul(k.broadcastTo([2])), { programs: 2 })
      for (const k of [1, 2, 3]) expect(stated(x, k).arraySync()).toEqual([k, 2 * k])
      expect(stated.captures).toBe(1)
      expect(stated.explain()).toMatch(/^\d+ kernels? captured/)
      stated.dispose()
    })

    it.each([0, 1.5, '2', Number.NaN])('of which %s are to be kept are refused', (programs) => {
      expect(() => compile((x: AnyX) => x, { programs } as never)).toThrow(
        `compile: programs must be a whole number from 1 on, got ${typeof programs === 'string' ? '"2"' : programs}.`,
      )
      expect(() => compile([f32()], (x) => x, { program: 3 } as never)).toThrow('there is no option "program"')
    })

    it('on two devices are two', () => {
      const other = make()
      const step = compile((x: AnyX) => x.mul(2))
      expect(step(tensor([1])).itemSync()).toBe(2)
      const there = step(tensor([3], { device: other }))
      expect(there.itemSync()).toBe(6)
      expect(there.device).toBe(other)
      expect(step.programs).toBe(2)
      step.dispose()
    })

    it('stated: typed arrays, numbers and tensors', () => {
      let captures = 0
      const step = compile([f32(2, 2), i32(2), bool(2), f32()], (x, y, b, k) => {
        captures++
        return { x: x.mul(k.broadcastTo([2, 2])), y: y.add(1), b }
      })
      const expected = {
        x: [
          [2, 4],
          [6, 8],
        ],
        y: [6, 7],
        b: [1, 0],
      }
      const show = (result: { x: AnyX; y: AnyX; b: AnyX }) => ({
        x: result.x.arraySync(),
        y: result.y.arraySync(),
        b: result.b.arraySync(),
      })
      const { used } = device.memory()
      expect(step.explain()).toContain('kernels')
      expect(show(step(Float32Array.of(1, 2, 3, 4), Int32Array.of(5, 6), Uint8Array.of(1, 0), 2))).toEqual(expected)
      const x = tensor([
        [1, 2],
        [3, 4],
      ])
      expect(show(step(x, tensor([5, 6], { dtype: 'i32' }), tensor([true, false]), tensor(2)))).toEqual(expected)
      expect(show(step(x.permute(1, 0), Int32Array.of(5, 6), tensor([true, false]), 2)).x).toEqual([
        [2, 6],
        [4, 8],
      ])
      expect(captures).toBe(1)
      expect(step.programs).toBe(1)
      step.dispose()
      x.dispose()
      expect(device.memory().used).toBeLessThanOrEqual(used + 1024)
    })

    it('stated: a parameter is data', () => {
      const step = compile([f32(1, 2)], (x) => x.mul(2))
      const [a, b] = [linear(2, 1), linear(2, 1)] as [AnyX, AnyX]
      expect(step(a.weight).arraySync()).toEqual([[0, 1].map((i) => 2 * a.weight.arraySync()[0][i])])
      expect(step(b.weight).arraySync()).toEqual([[0, 1].map((i) => 2 * b.weight.arraySync()[0][i])])
      expect(step.programs).toBe(1)
      expect(a.weight.disposed).toBe(false)
    })

    it('results are tensors', () => {
      expect(compile((x: AnyX) => x.add(1))(tensor([1]))).toBeInstanceOf(TensorRecord)
    })
  })
}
