import { compile, normal, ones, setDefaultDevice, type Tensor, tensor } from 'dfdt'
import { batchNorm1d, linear, parameter, recomputeStatistics, sequential } from 'dfdt/nn'
import { sgd } from 'dfdt/optim'
import { copy, ema, follow, swa, update } from 'dfdt/update'
import { beforeEach, describe, expect, test } from 'vitest'
import { recordOf } from '../../src/tensor/record.js'
import { GradientError, HalfWrittenError, OptionError } from '../../src/tensor/errors.js'
import { devices } from '../devices.js'

class Two {
  readonly w
  constructor(value: number) {
    this.w = parameter(tensor([value, value]))
  }
  forward(): void {}
}
const set = (model: Two, value: number) => update({ target: model, source: new Two(value) }, copy())
const readingOf = ({ w }: { readonly w: Tensor<[2]> }) => w.dataSync()[0]

/** A model at 8, with shadows at 4. */
function shadows() {
  const source = new Two(0)
  const [first, second] = [follow(source, ema({ decay: 0.5 })), follow(source, ema({ decay: 0.5 }))]
  const lazy = follow(source, ema({ decay: 0.5 }), { lazy: true })
  set(source, 8)
  for (const shadow of [first, second, lazy]) shadow.update()
  return { source, first, second, lazy }
}

describe.each(devices)('evaluateWith on $name', ({ make }) => {
  beforeEach(() => setDefaultDevice(make()))

  test('another shadow does not follow what is swapped', () => {
    const { source, first, second, lazy } = shadows()
    lazy.update()
    const step = compile((x: Tensor<[2]>) => {
      second.update()
      return x.add(source.w)
    })
    expect(() => first.evaluateWith(() => second.update())).toThrow(OptionError)
    expect(() => first.evaluateWith(() => lazy.update())).toThrow(OptionError)
    expect(() => first.evaluateWith(() => step(ones([2])))).toThrow(OptionError)
    expect(first.evaluateWith(() => readingOf(lazy.model))).toBe(6)
    expect([readingOf(source), readingOf(first.model), readingOf(second.model)]).toEqual([8, 4, 4])
    expect([second.updates, lazy.updates]).toEqual([1, 2])
    second.update()
    expect(readingOf(second.model)).toBe(6)
  })

  test('one average at a time, also where evaluations wait', async () => {
    const { source, first, second } = shadows()
    expect(() => first.evaluateWith(() => second.evaluateWith(() => 0))).toThrow(OptionError)
    let open = () => {}
    const gate = new Promise<void>((done) => {
      open = done
    })
    const evaluated = first.evaluateWith(async (model) => {
      await gate
      return readingOf(model)
    })
    expect(() => second.evaluateWith(() => 0)).toThrow(OptionError)
    expect(() => set(source, 1)).toThrow(OptionError)
    open()
    expect(await evaluated).toBe(4)
    expect([readingOf(source), readingOf(first.model), second.evaluateWith(readingOf)]).toEqual([8, 4, 4])
    set(source, 1)
  })

  test('an update that was prepared before, or inside, reads what is there', () => {
    const { source, first } = shadows()
    const [before, inside] = [new Two(0), new Two(0)]
    const taking = (target: Two) => {
      update({ target, source }, copy())
      return readingOf(target)
    }
    expect(taking(before)).toBe(8)
    expect(first.evaluateWith(() => [taking(before), taking(inside)])).toEqual([4, 4])
    expect([taking(before), taking(inside)]).toEqual([8, 8])
    const later = first.evaluateWith((model) => follow(model, ema({ decay: 0.5 })))
    later.update()
    expect(readingOf(later.model)).toBe(6)
  })

  test('a tape from outside is not used inside, nor the other way round', () => {
    const { source, first } = shadows()
    const loss = () => ones([2]).trace().mul(source.w).mul(source.w).sum()
    for (let i = 0; i < 4; i++) {
      const outside = loss()
      expect(() => first.evaluateWith(() => outside.backward())).toThrow(GradientError)
      expect(() => first.evaluateWith(loss).backward()).toThrow(GradientError)
      expect(outside.backward().get(source.w).dataSync()[0]).toBe(16)
      first.update()
      first.reset()
    }
  })

  test('tensors that are disposed of inside give back their own memory', () => {
    const { source, first } = shadows()
    first.evaluateWith(({ w }) => w.dispose())
    expect(readingOf(first.model)).toBe(4)
    expect(() => source.w.dataSync()).toThrow('released')
  })

  test('what is half-written changes places, too', () => {
    const { source, first } = shadows()
    recordOf(first.model.w).storage.halfWritten = true
    expect(() => first.evaluateWith(readingOf)).toThrow(HalfWrittenError)
    expect(readingOf(source)).toBe(8)
    expect(() => readingOf(first.model)).toThrow(HalfWrittenError)
    first.reset()
    expect(first.evaluateWith(readingOf)).toBe(8)
  })

  test('statistics that were recomputed for the average go with its weights', async () => {
    const source = sequential(linear(2, 3), batchNorm1d(3))
    const average = follow(source, swa(), { buffers: 'recompute' })
    const batches = Array.from({ length: 4 }, () => normal([8, 2]))
    for (const x of batches) {
      source.forward(x.trace())
      average.update()
    }
    await recomputeStatistics(average.model, batches, (x) => average.model.forward(x))
    const [live, own] = [source, average.model].map(({ layers }) => [...layers[1].running_mean.dataSync()])
    expect(own).not.toEqual(live)
    expect(average.evaluateWith(({ layers }) => [...layers[1].running_mean.dataSync()])).toEqual(own)
    expect([...source.layers[1].running_mean.dataSync()]).toEqual(live)
  })

  test('what can be awaited is waited for, promise or not', async () => {
    const { source, first } = shadows()
    const later = () => ({
      // biome-ignore lint/suspicious/noThenProperty: as builders of queries have it
      then: (done: (value: unknown) => void) => setTimeout(() => done(readingOf(source)), 1),
    })
    expect(await first.evaluateWith(later)).toBe(4)
    expect(readingOf(source)).toBe(8)
  })

  test('an optimizer goes on after it', () => {
    const { source, first } = shadows()
    const optimizer = sgd(source, { lr: 0.25 })
    const step = () => optimizer.step(source.w.trace().square().sum().backward())
    step()
    expect(() => first.evaluateWith(step)).toThrow(OptionError)
    step()
    expect([readingOf(source), readingOf(first.model)]).toEqual([2, 4])
  })
})
