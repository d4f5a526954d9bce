import { afterEach, describe, expect, it } from 'vitest'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import { freeze } from '../../src/model/freeze.js'
import { tensorsOf } from '../../src/model/walk.js'
import { batchNorm1d, linear, relu, sequential } from '../../src/nn/index.js'
import { tensor } from '../../src/ops/index.js'
import { adam, sgd } from '../../src/optim/index.js'
import { capture } from '../../src/program/capture.js'
import { compile } from '../../src/program/compile.js'
import { bytesMoved } from '../../src/program/explain.js'
import { fuse } from '../../src/program/fuse/index.js'
import type { Node } from '../../src/program/node.js'
import { Device, manualSeed, setDefaultDevice } from '../../src/tensor/device.js'
import { HostScalars } from '../../src/tensor/recorder.js'
import { Random } from '../../src/testing/conformance/random.js'
import { ema, follow, type ShadowOptions, update } from '../../src/update/index.js'
import type { AnyX } from '../ops/cases.js'
import { bitsOf } from './bits.js'
import { targets } from './targets.js'

const onReference = () => setDefaultDevice(new Device(createReferenceBackend()))
afterEach(onReference)
onReference()

const net = () => sequential(linear(20, 30), relu(), linear(30, 5)) as AnyX
const [lower, upper] = [20 * 30 + 30, 30 * 5 + 5]
const parameters = lower + upper
const batch = () => tensor(new Float32Array(80), [4, 20]) as AnyX

/** One step of Adam on `model` with shadows, as a function. */
function training(model: AnyX, ...options: ShadowOptions[]) {
  const optimizer = adam(model)
  const shadows = options.map((each) => follow(model, ema({ decay: 0.9 }), each as never))
  const step = (x: AnyX) => {
    optimizer.step(model.forward(x.trace()).square().mean().backward())
    for (const shadow of shadows) shadow.update()
  }
  return { step, shadows }
}

/** The whole-model passes that run in each of some steps. */
function runs(step: (x: AnyX) => void, steps: number): Node[][] {
  const captured = capture(batch().device, () => step(batch()))
  const passes = fuse(captured.nodes, new Set()).filter(({ kernel }) => kernel.kind === 'foreach')
  const holds = (guard: Node['guards'][number]) => !(guard instanceof HostScalars) || guard.values[0] !== 0
  return Array.from({ length: steps }, () => {
    for (const { run } of captured.effects) run()
    return passes.filter(({ guards }) => guards.every(holds))
  })
}

const bytes = (passes: readonly Node[]) => passes.reduce((sum, node) => sum + bytesMoved(node), 0)
/** Accesses per parameter in each of some steps. */
const accesses = (steps: number, ...options: ShadowOptions[]) =>
  runs(training(net(), ...options).step, steps).map((passes) => bytes(passes) / (4 * parameters))

describe('conditions of the host: accesses per element', () => {
  it('Adam with a shadow at every second step: 9 when it is due, else those of Adam alone', () => {
    expect(accesses(4, { every: 2 })).toEqual([7, 9, 7, 9])
  })

  it('K shadows at every second step: one pass when all are due', () => {
    const { step } = training(net(), { every: 2 }, { every: 2 }, { every: 2 })
    const [first, second] = runs(step, 2)
    expect(first?.map(bytesMoved)).toEqual([7 * 4 * parameters])
    expect(second?.map(bytesMoved)).toEqual([(7 + 3 * 2) * 4 * parameters])
    const { shadows } = training(net(), { every: 2 }, { every: 2 }, { every: 2 })
    const alone = () => {
      for (const shadow of shadows) shadow.update()
    }
    expect(runs(alone, 2).map((passes) => passes.map(bytesMoved))).toEqual([[], [(1 + 3 * 2) * 4 * parameters]])
  })

  it('one at every step stays in the pass of the optimizer when another is not due', () => {
    expect(accesses(4, {}, { every: 2 })).toEqual([9, 11, 9, 11])
    expect(accesses(4, { every: 2 }, {})).toEqual([9, 11, 9, 11])
  })

  it('shadows due at different steps: one pass when all are, fewer when some are', () => {
    expect(accesses(6, { every: 2 }, { every: 3 })).toEqual([7, 9, 7 + 3, 9, 7, 11])
  })

  it('K shadows make 2K passes with an optimizer, not one for each combination', () => {
    const { step } = training(net(), ...Array.from({ length: 5 }, (_, i) => ({ every: 2 + i })))
    const captured = capture(batch().device, () => step(batch()))
    expect(fuse(captured.nodes, new Set()).filter(({ kernel }) => kernel.kind === 'foreach')).toHaveLength(10)
  })

  it('hard copies of their own up to the first update, and one pass from then on', () => {
    const passes = runs(training(net(), { after: 2 }).step, 4)
    expect(passes.map((each) => each.map((node) => bytesMoved(node) / (4 * parameters)))).toEqual([
      [7, 2],
      [7, 2],
      [7, 2],
      [9],
    ])
    expect(accesses(5, { after: 2 }, { after: 2 })).toEqual([7 + 3, 7 + 3, 7 + 3, 11, 11])
    expect(accesses(5, { after: 2, before: 'keep' })).toEqual([7, 7, 9, 9, 9])
  })

  it('what decides in memory is not the host: such updates are joined under the same condition only', () => {
    const model = net()
    const optimizer = adam(model)
    const shadows = [0, 1].map(() => follow(model, ema({ decay: 0.9 }), { every: 2 }))
    const step = (x: AnyX) => {
      const loss = model.forward(x.trace()).square().mean()
      optimizer.step(loss.backward())
      for (const shadow of shadows) shadow.update({ if: loss.lt(1) as never })
    }
    // Each comparison is a bool of its own.
    expect(runs(step, 2).map(bytes)).toEqual([7, 13].map((each) => each * 4 * parameters))
    const flag = tensor(true)
    const together = (x: AnyX) => {
      optimizer.step(model.forward(x.trace()).square().mean().backward())
      for (const shadow of shadows) shadow.update({ if: flag as never })
    }
    expect(runs(together, 2).map(bytes)).toEqual([7, 12].map((each) => each * 4 * parameters))
  })

  it('explain() counts a run in which all is due, once, and says what runs when', async () => {
    for (const { make } of targets) {
      setDefaultDevice(make())
      const { step } = training(net(), { every: 2 })
      const compiled = compile(step)
      const times = await compiled.profile(batch())
      const passes = (text: string) => text.split('\n').filter((line) => line.includes('foreach'))
      expect(passes(times)).toHaveLength(2)
      const text = compiled.explain()
      expect(passes(text)).toEqual([
        expect.stringMatching(/4 read and 3 written .*, when not due together/),
        expect.stringMatching(/5 read and 4 written .*, under a condition/),
      ])
      const joined = training(net(), {}).step
      const always = compile(joined)
      always(batch())
      const moved = (explained: string) => explained.match(/^(.*) moved/m)?.[1]
      expect(moved(text)).toBe(moved(always.explain()))
    }
  })
})

describe('parts of a model: accesses per element', () => {
  it('a shadow of some tensors: 9 on those, 7 on the others', () => {
    const followed = (pattern: string) => runs(training(net(), { only: [pattern] }).step, 1)[0] ?? []
    expect(followed('0.*').map(bytesMoved)).toEqual([7 * 4 * upper, 9 * 4 * lower])
    expect(followed('2.*').map(bytesMoved)).toEqual([7 * 4 * lower, 9 * 4 * upper])
  })

  it('also at every second step, and beside another one', () => {
    const half = { only: ['0.*'], every: 2 }
    expect(runs(training(net(), half).step, 2).map(bytes)).toEqual([7 * 4 * parameters, 4 * (9 * lower + 7 * upper)])
    expect(runs(training(net(), half, {}).step, 2).map(bytes)).toEqual([
      9 * 4 * parameters,
      4 * (11 * lower + 9 * upper),
    ])
    expect(runs(training(net(), { only: ['0.*'] }, { except: ['0.*'] }).step, 1).map(bytes)).toEqual([
      9 * 4 * parameters,
    ])
  })

  it('a shadow of more than what is trained: 9 where both are, 3 where nothing is trained', () => {
    const model = net()
    freeze(model[0] ?? model.layers[0])
    const passes = runs(training(model, {}).step, 1)[0] ?? []
    expect(bytes(passes)).toBe(4 * (9 * upper + 3 * lower))
  })

  it('frozen and filtered: each tensor with what happens to it', () => {
    const model = sequential(linear(20, 30), relu(), linear(30, 30), relu(), linear(30, 5)) as AnyX
    freeze(model[0] ?? model.layers[0])
    const middle = 30 * 31
    const passes = runs(training(model, { except: ['4.*'] }).step, 1)[0] ?? []
    expect(bytes(passes)).toBe(4 * (3 * lower + 9 * middle + 7 * upper))
  })

  it('a pass is not divided for a sixteenth of it, nor where it measures or draws random numbers', () => {
    const small = runs(training(net(), { only: ['2.bias'] }).step, 1)[0] ?? []
    expect(small.map(bytesMoved)).toEqual([7 * 4 * parameters, 3 * 4 * 5])
    const model = net()
    const [all, some] = [
      follow(model, ema({ decay: 0.9 }), { metrics: true }),
      follow(model, ema({ decay: 0.8 }), { only: ['0.*'] } as never),
    ]
    const both = () => {
      all.update()
      some.update()
    }
    expect(runs(both, 1)[0]).toHaveLength(2)
  })

  it('passes over tensors in another order are one', () => {
    const model = net()
    const layers = tensorsOf(model).map(({ tensor: t }) => t)
    const optimizer = sgd([...layers].reverse(), { lr: 0.1 })
    const shadow = follow(model, ema({ decay: 0.9 }))
    const step = (x: AnyX) => {
      optimizer.step(model.forward(x.trace()).square().mean().backward())
      shadow.update()
    }
    expect((runs(step, 1)[0] ?? []).map(bytesMoved)).toEqual([5 * 4 * parameters])
  })
})

/** What shadows may be asked for, and how often each is due. */
const kinds: Record<string, readonly ShadowOptions[]> = {
  'at every second step': [{ every: 2 }],
  'three at every second step': [{ every: 2 }, { every: 2 }, { every: 2 }],
  'at every second and third step': [{ every: 2 }, { every: 3 }],
  'at every step, and every second, third and fourth': [{}, { every: 2 }, { every: 3 }, { every: 4 }],
  'that begin later': [{ after: 3 }, { after: 5, every: 2 }, { after: 3, before: 'keep' }],
  'of parts': [{ only: ['0.*'] }, { only: ['3.*'], every: 2 }, { except: ['0.weight'], every: 3 }],
  'that ask': [{ when: ({ step }) => step % 5 < 2 }, { when: ({ step }) => step > 6, every: 2 }],
  'that measure, keep and round': [
    { every: 2, metrics: true },
    { every: 2, precision: 'kahan' },
    { every: 3, dtype: 'bf16', precision: 'stochastic' },
    { nonFinite: 'skipTensor', every: 2 },
    { lazy: true, every: 2 },
  ],
}

for (const { name, make } of targets) {
  describe(`compiled = eager over 12 steps on ${name}`, () => {
    it.each(Object.entries(kinds))('shadows %s', (_, options) => {
      const run = (wrap: (step: (x: AnyX) => AnyX) => typeof step) => {
        setDefaultDevice(make())
        manualSeed(7)
        const model = sequential(linear(4, 16), batchNorm1d(16), relu(), linear(16, 3)) as AnyX
        const optimizer = adam(model, { lr: 0.05 })
        const shadows = options.map((each, i) => follow(model, ema({ decay: 0.5 + 0.1 * i }), each as never))
        const last = follow(model, ema({ decay: 0.5 }))
        const step = wrap((x) => {
          const loss = model.forward(x.trace()).square().mean()
          optimizer.step(loss.backward())
          for (const shadow of shadows) shadow.update()
          // Reads an average that the same step may have moved.
          update({ target: last.model, source: (shadows[0] ?? last).model } as never, ema({ decay: 0.25 }))
          return loss
        })
        const random = new Random(3)
        return Array.from({ length: 12 }, () => {
          const x = Float32Array.from({ length: 24 }, () => random.between(-1, 1))
          const loss = step(tensor(x, [6, 4]))
          const models = [model, last.model, ...shadows.map((shadow) => shadow.model)] as AnyX[]
          return bitsOf([loss, ...models.flatMap((each) => tensorsOf(each).map(({ tensor: t }) => t))])
        })
      }
      const eager = run((step) => step)
      expect(run((step) => compile(step) as typeof step)).toEqual(eager)
      expect(new Set(eager.map((each) => JSON.stringify(each))).size).toBe(12)
    })
  })
}
