import { setDefaultDevice, tensor, zeros } from 'dfdt'
import { batchNorm1d, buffer, clone, freeze, linear, parameter, relu, sequential } from 'dfdt/nn'
import { adam, sgd } from 'dfdt/optim'
import { copy, ema, update } from 'dfdt/update'
import { beforeAll, describe, expect, test } from 'vitest'
import { tensorsOf } from '../../src/model/walk.js'
import { ShapeError } from '../../src/tensor/errors.js'
import { assertClose } from '../../src/testing/close.js'
import { devices } from '../devices.js'
import { blends } from './table.js'

/** Every tensor of a model by path. */
const stateOf = (model: object) =>
  Object.fromEntries(tensorsOf(model).map(({ path, tensor: t }) => [path, [...t.dataSync()]]))
const forward = () => undefined

describe.each(devices)('update on $name', ({ make }) => {
  beforeAll(() => setDefaultDevice(make()))

  describe.each(Object.entries(blends))('%s', (_, { rule, weight }) => {
    const mixed = (t: number, s: number) => (1 - weight) * t + weight * s

    test('changes the target, never the source', () => {
      const [target, source] = [1, 2].map(() => sequential(linear(3, 4), relu(), linear(4, 2)))
      if (!target || !source) throw new RangeError('two models')
      const [t, s] = [stateOf(target), stateOf(source)]
      update({ target, source }, rule())
      expect(stateOf(source)).toEqual(s)
      const after = stateOf(target)
      expect(Object.keys(after)).toEqual(['0.weight', '0.bias', '2.weight', '2.bias'])
      for (const [path, values] of Object.entries(after))
        assertClose(
          values,
          values.map((__, i) => mixed(t[path]?.[i] ?? 0, s[path]?.[i] ?? 0)),
          { rtol: 1e-5, atol: 1e-7 },
        )
    })

    test('frozen parameters of target and source take part', () => {
      const [target, source] = [linear(2, 1), linear(2, 1)]
      const before = stateOf(target)
      freeze(target)
      freeze(source)
      update({ target, source }, rule())
      expect(stateOf(target)).not.toEqual(before)
    })

    test('tied tensors are updated once', () => {
      const tied = (values: number[]) => {
        const w = parameter(tensor(values))
        return { a: { w, forward }, b: { w, forward }, forward }
      }
      const [target, source] = [tied([1, 2]), tied([5, 10])]
      update({ target, source }, rule())
      assertClose(target.a.w.dataSync(), [mixed(1, 5), mixed(2, 10)])
      expect(target.b.w).toBe(target.a.w)
    })

    test.each([
      ['copy', { mean: 8, count: 9 }],
      ['blend', { mean: mixed(4, 8), count: 9 }],
      ['skip', { mean: 4, count: 5 }],
    ] as const)('buffers: %s', (buffers, expected) => {
      const make = (w: number, mean: number, count: number, flag: boolean) => ({
        w: parameter(tensor([w])),
        mean: buffer(tensor([mean])),
        count: buffer(tensor([count], { dtype: 'i32' })),
        flag: buffer(tensor([flag])),
        forward,
      })
      const target = make(1, 4, 5, true)
      update({ target, source: make(2, 8, 9, false) }, rule(), { buffers })
      expect(stateOf(target)).toEqual({
        w: [mixed(1, 2)],
        mean: [expected.mean],
        count: [expected.count],
        flag: [buffers === 'skip' ? 1 : 0],
      })
    })

    test('buffers are copied unless said otherwise, as batch norm needs', () => {
      const [target, source] = [batchNorm1d(2), batchNorm1d(2)]
      source.forward(
        tensor([
          [1, 2],
          [3, 5],
        ]).trace(),
      )
      update({ target, source }, rule())
      const [t, s] = [stateOf(target), stateOf(source)]
      for (const path of ['running_mean', 'running_var', 'num_batches_tracked']) expect(t[path]).toEqual(s[path])
      expect(t.num_batches_tracked).toEqual([1])
    })

    test('every difference is listed before anything is written', () => {
      const target = {
        a: parameter(zeros([2])),
        b: parameter(zeros([2])),
        c: buffer(zeros([1])),
        d: parameter(zeros([3])),
        forward,
      }
      const source = {
        a: parameter(tensor([1, 1])),
        b: parameter(zeros([1, 2])),
        c: parameter(zeros([1])),
        e: buffer(zeros([1], { dtype: 'i32' })),
        forward,
      }
      const run = () => update({ target, source: source as never }, rule())
      expect(run).toThrow(ShapeError)
      expect(run).toThrow(`update: target and source must have the same structure; 4 differences, nothing was written:
  parameter "b" is [2] f32 in target but [1, 2] f32 in source
  buffer "c" is a buffer in target but a parameter in source
  source has no parameter "d" [3] f32
  source has extra buffer "e" [1] i32`)
      expect(stateOf(target).a).toEqual([0, 0])
    })

    test('models on two devices are an error', () => {
      const target = linear(2, 1)
      const [device, other] = [target.weight.device, make()]
      setDefaultDevice(other)
      const source = linear(2, 1)
      setDefaultDevice(device)
      expect(() => update({ target, source }, rule())).toThrow(
        /parameter "weight" is on .* in target but on .* in source/,
      )
    })

    test('models that are tied differently are an error', () => {
      const w = parameter(tensor([1]))
      const target = { a: { w, forward }, b: { w, forward }, forward }
      const source = { a: { w: parameter(tensor([2])), forward }, b: { w: parameter(tensor([3])), forward }, forward }
      expect(() => update({ target, source }, rule())).toThrow(
        '"b.w" is tied differently: to a.w in target, to untied in source',
      )
      expect(() => update({ target: source, source: target }, rule())).toThrow('to untied in target, to a.w in source')
    })

    test('memory that target and source share is an error, at the same path or another', () => {
      const model = linear(2, 1)
      expect(() => update({ target: model, source: model }, rule())).toThrow(ShapeError)
      expect(() => update({ target: model, source: model }, rule())).toThrow(
        'parameter "weight" is the same memory in target and source; make the target with clone(source)',
      )
      const [a, b] = [parameter(tensor([1])), parameter(tensor([2]))]
      const crossed = () => update({ target: { a, b, forward }, source: { a: b, b: a, forward } }, rule())
      expect(crossed).toThrow(
        'parameter "a" of target is the memory of "b" in source; make the target with clone(source)',
      )
      expect([a.dataSync()[0], b.dataSync()[0]]).toEqual([1, 2])
      const body = linear(2, 2)
      const [one, two] = [sequential(body, linear(2, 1)), sequential(body, linear(2, 1))]
      expect(() => update({ target: one, source: two }, rule())).toThrow(
        /2 differences, nothing was written:\n.*"0.weight" is the same/,
      )
    })
  })

  test('a decay of 1 touches no parameter; buffers follow their policy all the same', () => {
    const make = (value: number) => ({ w: parameter(tensor([value])), b: buffer(tensor([value])), forward })
    for (const [buffers, b] of [
      ['copy', 2],
      ['blend', 1],
      ['skip', 1],
    ] as const) {
      const target = make(1)
      update({ target, source: make(2) }, ema({ decay: 1 }), { buffers })
      expect(stateOf(target)).toEqual({ w: [1], b: [b] })
    }
  })

  test('NaN comes through a blend, and a copy takes it away again', () => {
    const [target, source] = [
      { w: parameter(tensor([1])), forward },
      { w: parameter(tensor([Number.NaN])), forward },
    ]
    update({ target, source }, ema({ decay: 0.9 }))
    expect(target.w.itemSync()).toBeNaN()
    update({ target, source: { w: parameter(tensor([3])), forward } }, copy())
    expect(target.w.itemSync()).toBe(3)
  })

  /** The same model, its parts made in every order, so that they lie in memory in every order. */
  const orders = {
    'in order': () => {
      const [a, b, c] = [linear(3, 4), batchNorm1d(4), linear(4, 2)]
      return sequential(a, b, c)
    },
    'head first': () => {
      const c = linear(4, 2)
      const b = batchNorm1d(4)
      const a = linear(3, 4)
      return sequential(a, b, c)
    },
    'with others in between': () => {
      const c = linear(4, 2)
      linear(5, 5)
      const a = linear(3, 4)
      adam(a)
      return sequential(a, batchNorm1d(4), c)
    },
  }

  test('where tensors lie in memory changes nothing', () => {
    const results = Object.values(orders).flatMap((makeModel) =>
      Object.values(orders).map((makeTeacher) => {
        const [student, teacher] = [makeModel(), makeTeacher()]
        for (const [from, model] of [
          [0.1, student],
          [0.2, teacher],
        ] as const) {
          for (const { tensor: t, role } of tensorsOf(model)) {
            if (role !== 'parameter') continue
            const values = Float32Array.from({ length: t.size }, (_, i) => Math.sin(from + i + t.size))
            t.storage.write(0, new Uint8Array(values.buffer))
          }
        }
        const optimizer = adam(student, { lr: 0.05 })
        const x = tensor([
          [1, 2, 3],
          [0, -1, 1],
          [2, 0, 0],
        ])
        for (let i = 0; i < 3; i++) {
          optimizer.step(student.forward(x.trace()).square().mean().backward())
          update({ target: teacher, source: student }, ema({ decay: 0.5 }), { buffers: 'blend' })
        }
        return { student: stateOf(student), teacher: stateOf(teacher) }
      }),
    )
    for (const result of results) expect(result).toEqual(results[0])
    expect(results[0]?.student).not.toEqual(results[0]?.teacher)
  })

  test('a layer in two models: each optimizer and each teacher sees it where it is', () => {
    const shared = linear(2, 3)
    const [policy, value] = [sequential(shared, linear(3, 2)), sequential(shared, linear(3, 1))]
    const [policyTeacher, valueTeacher] = [clone(policy), clone(value)]
    const x = tensor([[1, 2]])
    const before = stateOf(shared)
    const [first, second] = [sgd(policy, { lr: 0.1, momentum: 0.9 }), sgd(value, { lr: 0.1, momentum: 0.9 })]
    first.step(policy.forward(x.trace()).square().sum().backward())
    const between = stateOf(shared)
    second.step(value.forward(x.trace()).square().sum().backward())
    const after = stateOf(shared)
    expect(between).not.toEqual(before)
    expect(after).not.toEqual(between)
    update({ target: policyTeacher, source: policy }, copy())
    update({ target: valueTeacher, source: value }, copy())
    for (const [path, values] of Object.entries(after)) {
      expect(stateOf(policyTeacher)[`0.${path}`]).toEqual(values)
      expect(stateOf(valueTeacher)[`0.${path}`]).toEqual(values)
    }
    expect(policyTeacher.layers[0].weight).not.toBe(valueTeacher.layers[0].weight)
  })
})
