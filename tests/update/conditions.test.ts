import { compile, f32, manualSeed, mse, ones, setDefaultDevice, type Tensor, tensor, zeros } from 'dfdt'
import { clone, linear, parameter } from 'dfdt/nn'
import { sgd } from 'dfdt/optim'
import { copy, ema, update } from 'dfdt/update'
import { beforeEach, describe, expect, test } from 'vitest'
import { DisposedError, DTypeError } from '../../src/tensor/errors.js'
import { devices } from '../devices.js'

const steps = 6

describe.each(devices)('conditional updates on $name', ({ make }) => {
  beforeEach(() => setDefaultDevice(make()))

  /** A few steps of training; the target's weights after each, and how often the body ran. */
  function trained(compiled: boolean, when: (step: number) => boolean, highest: number) {
    manualSeed(1)
    const online = linear(2, 1)
    const target = clone(online)
    const optimizer = sgd(online, { lr: 0.1 })
    let step = 0
    let calls = 0
    const body = (x: Tensor<[1, 2]>) => {
      calls++
      const loss = mse(online.forward(x.trace()), zeros([1, 1]))
      optimizer.step(loss.backward())
      const low = loss.detach().lt(highest)
      update({ target, source: online }, ema({ decay: 0.5 }), { when: () => when(step), if: low })
      return loss
    }
    const run = compiled ? compile([f32(1, 2)], body) : body
    const weights: number[][] = []
    const losses: number[] = []
    for (step = 0; step < steps; step++) {
      losses.push(run(ones([1, 2])).itemSync())
      weights.push([...target.weight.dataSync(), ...target.bias.dataSync()])
    }
    return { weights, losses, calls }
  }
  const changes = (weights: readonly number[][]) =>
    weights.map((now, i) => i > 0 && now.join() !== weights[i - 1]?.join())

  test('the host decides before each run, and a program is captured once', () => {
    const even = (step: number) => step % 2 === 0
    const eager = trained(false, even, Number.POSITIVE_INFINITY)
    const compiled = trained(true, even, Number.POSITIVE_INFINITY)
    expect(compiled.weights).toEqual(eager.weights)
    expect(changes(eager.weights)).toEqual([false, false, true, false, true, false])
    expect([eager.calls, compiled.calls]).toEqual([steps, 1])
  })

  test('a value of this very step decides, inside the program: bits as when it is called plainly', () => {
    const always = () => true
    const { losses } = trained(false, always, Number.POSITIVE_INFINITY)
    const highest = ((losses[2] ?? 0) + (losses[3] ?? 0)) / 2
    const eager = trained(false, always, highest)
    const compiled = trained(true, always, highest)
    expect(compiled.weights).toEqual(eager.weights)
    expect(changes(eager.weights)).toEqual([false, false, false, true, true, true])
  })

  test('a skipped update reads and writes nothing: NaN stays where it is', () => {
    const source = { w: parameter(tensor([Number.NaN, 1])) }
    const target = { w: parameter(tensor([2, 3])) }
    const step = compile([f32()], (x: Tensor<[]>) => {
      update({ target, source }, copy(), { if: x.gt(0) })
      return x
    })
    step(0)
    expect(target.w.arraySync()).toEqual([2, 3])
    step(1)
    expect(target.w.arraySync()).toEqual([Number.NaN, 1])
  })

  test('a condition is a bool scalar', () => {
    const target = { w: parameter(ones([2])) }
    const source = clone(target)
    // @ts-expect-error a float is no condition
    expect(() => update({ target, source }, copy(), { if: tensor(1) })).toThrow(DTypeError)
    expect(() => update({ target, source }, copy(), { if: true as never })).toThrow('asked by { when: () => … }')
  })

  test('what was prepared for two models is made anew when one of them changes', () => {
    const source: { w: ReturnType<typeof weight>; extra?: ReturnType<typeof weight> } = { w: weight(1) }
    const target: typeof source = { w: weight(0) }
    const rule = ema({ decay: 0.5 })
    update({ target, source }, rule)
    source.w = weight(10)
    update({ target, source }, rule)
    expect(target.w.arraySync()).toEqual([5.25, 5.25])
    target.w = weight(0)
    update({ target, source }, ema({ tau: 0.25 }))
    expect(target.w.arraySync()).toEqual([2.5, 2.5])
    source.extra = weight(3)
    expect(() => update({ target, source }, rule)).toThrow(/source has extra parameter "extra"/)
    target.extra = weight(1)
    update({ target, source }, rule)
    expect(target.extra.arraySync()).toEqual([2, 2])
    target.w.dispose()
    expect(() => update({ target, source }, rule)).toThrow(DisposedError)
    expect(target.extra.arraySync()).toEqual([2, 2])
  })
})

const weight = (value: number) => parameter(tensor([value, value]))
