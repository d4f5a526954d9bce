import { compile, setDefaultDevice, type Tensor, tensor } from 'dfdt'
import { parameter } from 'dfdt/nn'
import { copy, defineRule, elastic, ema, follow, slerp, update } from 'dfdt/update'
import { beforeEach, describe, expect, test } from 'vitest'
import { recordOf } from '../../src/tensor/record.js'
import { OptionError } from '../../src/tensor/errors.js'
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
const rule = ema({ decay: 0.5 })

describe.each(devices)('callers on $name', ({ make }) => {
  beforeEach(() => setDefaultDevice(make()))

  test('an update that fails does not count, eager or compiled, lazy or not', () => {
    for (const lazy of [false, true])
      for (const compiled of [false, true]) {
        const source = new Two(0)
        const shadow = follow(source, ema({ decay: (n) => (n === 1 ? 2 : 0.5) }), { lazy })
        set(source, 8)
        const body = (x: Tensor<[]>) => {
          shadow.update()
          return x.add(1)
        }
        const step = compiled ? compile(body) : body
        step(tensor(0))
        for (let i = 0; i < 3; i++) expect(() => step(tensor(0))).toThrow('in [0, 1], got 2 at update 1')
        expect([shadow.updates, shadow.steps, readingOf(shadow.model)]).toEqual([1, 1, 4])
      }
  })

  test('states begin with following, not with the shadow', () => {
    const kept = defineRule({
      name: 'kept',
      state: { origin: 'source' },
      next: ({ origin }) => ({ target: origin }),
    })
    const source = new Two(1)
    const shadow = follow(source, kept, { after: 2 })
    set(source, 7)
    for (let i = 0; i < 4; i++) shadow.update()
    expect(readingOf(shadow.model)).toBe(7)
  })

  test('a shadow that was disposed of says so, eager or compiled', () => {
    for (const lazy of [false, true]) {
      const shadow = follow(new Two(0), rule, { lazy })
      const step = compile((x: Tensor<[]>) => {
        shadow.update()
        return x.add(1)
      })
      step(tensor(0))
      shadow.dispose()
      expect(() => step(tensor(0))).toThrow('This shadow was disposed')
      expect(() => shadow.update()).toThrow('This shadow was disposed')
    }
  })

  test('a layer that is exchanged is followed, swapped, reset and repaired like the one before', () => {
    const make = () => {
      const model = { part: new Two(8) }
      const shadow = follow(model, rule)
      model.part = new Two(2)
      return { model, shadow }
    }
    const swapped = make()
    expect(swapped.shadow.evaluateWith(({ part }) => readingOf(part))).toBe(8)
    expect(readingOf(swapped.model.part)).toBe(2)
    const { shadow } = make()
    shadow.reset()
    expect(readingOf(shadow.model.part)).toBe(2)
    const poisoned = make()
    set(poisoned.shadow.model.part as never, Number.NaN)
    poisoned.shadow.reseed()
    expect(readingOf(poisoned.shadow.model.part)).toBe(2)
  })

  test('a rule that is made anew in every step is known again', () => {
    const [target, source] = [new Two(1), new Two(3)]
    const { backend } = recordOf(target.w).device
    const memory = () => backend.memory().used
    update({ target, source }, slerp(0.5))
    const before = memory()
    for (let i = 0; i < 50; i++) update({ target, source }, slerp(0.25), { nonFinite: 'skipAll', where: () => true })
    const after = memory()
    for (let i = 0; i < 50; i++) update({ target, source }, slerp(0.75), { nonFinite: 'skipAll', where: () => true })
    expect(memory()).toBe(after)
    expect(after - before).toBeLessThan(4096)
    const limited = (reach: number) =>
      defineRule({ name: 'step', next: ({ target: t, source: s }) => ({ target: s.sub(t).min(reach).add(t) }) })
    set(target, 0)
    update({ target, source }, limited(0.5))
    update({ target, source }, limited(1))
    expect(readingOf(target)).toBe(1.5)
  })

  test('what is wrong without types is said', () => {
    const model = new Two(0)
    const loose = (value: unknown) => value as never
    const define = (definition: unknown) => follow(model, defineRule(loose(definition)))
    const wrong: Record<string, () => unknown> = {
      'follow: needs a rule, such as ema({ decay: 0.999 }), got undefined': () => follow(model, loose(undefined)),
      'follow: needs a rule, such as ema({ decay: 0.999 }), got "ema"': () => follow(model, loose('ema')),
      'got a function; call it': () => follow(model, loose(ema)),
      'follow: needs a model, got null': () => follow(loose(null), rule),
      'follow(shadow.model, …)': () => follow(follow(model, rule), rule),
      'follow: options are an object, got null': () => follow(model, rule, loose(null)),
      'follow: there is no option "evry"': () => follow(model, rule, loose({ evry: 2 })),
      'follow: precision is one of': () => follow(model, rule, loose({ precision: 'kahn' })),
      'follow: nonFinite is one of': () => follow(model, rule, loose({ nonFinite: 'skip' })),
      'follow: when is a function, got 5': () => follow(model, rule, loose({ when: 5 })),
      'only is a list of patterns; write { only: ["w"] }': () => follow(model, rule, loose({ only: 'w' })),
      'follow: before is about the steps before the start': () => follow(model, rule, { before: 'keep' }),
      'follow: copy does not blend at this rate; leave metrics out': () => follow(model, copy(), { metrics: true }),
      'follow: copy cannot be put off': () => follow(model, copy(), { lazy: true }),
      'follow: no tensor is left to update by only; select one': () => follow(model, rule, { only: [] }),
      'follow: no tensor is left to update by only and except': () =>
        follow(model, rule, { only: ['w'], except: ['*'] }),
      'follow: no tensor is left to update by where': () => follow(model, rule, { where: () => false }),
      'update: there is no option "sample"; there are samples, if': () =>
        follow(model, rule).update(loose({ sample: 32 })),
      'update: when gives true or false, got [object Promise]': () =>
        follow(model, rule, { when: loose(async () => false) }).update(),
      'update: when gives true or false, got undefined': () =>
        update({ target: new Two(1), source: model }, rule, { when: loose(() => undefined) }),
      'observe: there is no option "los"': () => follow(model, rule).observe(loose({ los: 1 })),
      'evaluateWith: what it is given is a function, got': () => follow(model, rule).evaluateWith(loose(undefined)),
      'update: nonFinite is one of': () =>
        update({ target: new Two(1), source: model }, rule, loose({ nonFinite: 'x' })),
      'update: when is a function, got true': () =>
        update({ target: new Two(1), source: model }, rule, loose({ when: true })),
      'update: there is no option "iff"': () => update({ target: new Two(1), source: model }, rule, loose({ iff: 1 })),
      'update: needs a rule': () => update({ target: new Two(1), source: model }, loose(undefined)),
      'must be in [0, 1], got "0.9"': () => ema(loose({ decay: '0.9' })),
      'x: next is a function': () => define({ name: 'x' }),
      'the start of v is one of': () => define({ name: 'x', state: { v: 'ones' }, next: () => ({}) }),
      'a state cannot be called compensation': () => define({ name: 'x', state: { compensation: 'zeros' }, next() {} }),
      'there is no state "vv"': () =>
        define({
          name: 'x',
          state: { v: 'zeros' },
          next: ({ target }: { target: unknown }) => ({ target, vv: target }),
        }),
      'got no target': () => define({ name: 'x', next: () => ({}) }),
      'target is 5': () => define({ name: 'x', next: () => ({ target: 5 }) }),
      'got Infinity': () => follow(model, rule, { unit: 'sample' }).update({ samples: Number.POSITIVE_INFINITY }),
    }
    for (const [message, body] of Object.entries(wrong)) {
      expect(body, message).toThrow(OptionError)
      expect(body).toThrow(message)
    }
    update({ target: new Two(1), source: model }, elastic({ alpha: 0.5 }))
  })
})
