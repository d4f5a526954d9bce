import { setDefaultDevice, tensor } from 'dfdt'
import { buffer, clone, parameter } from 'dfdt/nn'
import {
  average,
  copy,
  ema,
  follow,
  gammaOf,
  type ModelSnapshot,
  postHocEma,
  postHocWeights,
  powerEma,
  sigmaRelOf,
  snapshotMetadata,
  update,
} from 'dfdt/update'
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { OptionError, ShapeError } from '../../src/tensor/errors.js'
import { snapshotOf, withoutSnapshot } from '../../src/update/post-hoc.js'
import { devices } from '../devices.js'
import { goldenBytes } from '../golden-file.js'

interface Golden {
  readonly gammas: [number, number][]
  readonly cases: {
    readonly steps: number[]
    readonly sigmas: number[]
    readonly step: number
    readonly sigma: number
    readonly weights: number[]
    readonly fit: number
    readonly condition: number
  }[]
}
/** EDM2's published formulas, computed with NumPy: tools/golden/post_hoc.py. */
const { gammas, cases }: Golden = JSON.parse(new TextDecoder().decode(goldenBytes('update/post-hoc.json')))

describe('the exponent of a width', () => {
  test.each(gammas)('%d as numpy.roots finds it', (sigma, gamma) => {
    expect(gammaOf(sigma)).toBeCloseTo(gamma, 9)
    expect(sigmaRelOf(gamma)).toBeCloseTo(sigma, 12)
  })

  test('the values people know', () => {
    expect([0.05, 0.1, 0.28].map((sigma) => Number(gammaOf(sigma).toPrecision(4)))).toEqual([16.97, 6.937, 0.1693])
    // The uniform average, whose profile is flat.
    expect(sigmaRelOf(0)).toBeCloseTo(Math.sqrt(1 / 12), 15)
    // Centre of mass of the profile t^γ: where an average of width 0.1 lies in the training.
    const gamma = gammaOf(0.1)
    expect((gamma + 1) / (gamma + 2)).toBeCloseTo(0.888, 3)
  })

  test('and back, over the whole range', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-6, max: 0.3, noNaN: true }), (sigma) => {
        expect(Math.abs(sigmaRelOf(gammaOf(sigma)) / sigma - 1)).toBeLessThan(1e-8)
      }),
    )
  })

  test.each([0, -0.1, 0.31, Number.NaN, Number.POSITIVE_INFINITY])('refuses %d', (sigma) => {
    expect(() => gammaOf(sigma)).toThrow(OptionError)
    expect(() => gammaOf(sigma)).toThrow(/sigmaRel must be above 0 and at most 0\.3, got/)
  })
})

describe('post-hoc weights', () => {
  test.each(cases.map((one, i) => [i, one] as const))('case %i as NumPy solves it', (_, one) => {
    const snapshots = one.steps.map((step, i) => ({ step, sigmaRel: one.sigmas[i] ?? 0 }))
    const { weights, fitError, conditionNumber } = postHocWeights(snapshots, { step: one.step, sigmaRel: one.sigma })
    weights.forEach((weight, i) => {
      expect(weight).toBeCloseTo(one.weights[i] ?? Number.NaN, 10)
    })
    expect(weights.reduce((a, b) => a + b)).toBeCloseTo(1, 14)
    expect(fitError).toBeCloseTo(one.fit, 6)
    expect(conditionNumber / one.condition).toBeCloseTo(1, 8)
  })

  test('a snapshot that is the target itself is taken as it is', () => {
    const snapshots = [0.03, 0.05, 0.1].flatMap((sigmaRel) => [500, 1000].map((step) => ({ step, sigmaRel })))
    snapshots.forEach((target, i) => {
      const { weights, fitError } = postHocWeights(snapshots, target)
      expect(weights.map((weight) => weight.toFixed(9))).toEqual(
        snapshots.map((_, j) => (i === j ? '1.000000000' : expect.stringMatching(/^-?0\.000000000$/))),
      )
      expect(fitError).toBeLessThan(1e-6)
    })
  })

  test('the unit of the steps does not matter, nor the order of the snapshots', () => {
    const snapshots = [1000, 2000].flatMap((step) => [0.05, 0.1].map((sigmaRel) => ({ step, sigmaRel })))
    const one = postHocWeights(snapshots, { step: 2000, sigmaRel: 0.07 })
    const scaled = snapshots.map(({ step, sigmaRel }) => ({ step: step * 32, sigmaRel })).reverse()
    const other = postHocWeights(scaled, { step: 64000, sigmaRel: 0.07 })
    const turned = [...other.weights].reverse()
    turned.forEach((weight, i) => {
      expect(weight).toBeCloseTo(one.weights[i] ?? Number.NaN, 12)
    })
    expect(other.conditionNumber).toBeCloseTo(one.conditionNumber, 9)
  })

  test('says when more snapshots help', () => {
    const target = { step: 1000, sigmaRel: 0.07 }
    const few = postHocWeights([{ step: 1000, sigmaRel: 0.1 }], target)
    const more = postHocWeights(
      [0.05, 0.1].map((sigmaRel) => ({ step: 1000, sigmaRel })),
      target,
    )
    expect(few.weights).toEqual([1])
    expect(more.fitError).toBeLessThan(few.fitError / 3)
  })

  test.each([
    [[], { step: 1, sigmaRel: 0.1 }, /at least one snapshot/],
    [
      [{ step: 0, sigmaRel: 0.1 }],
      { step: 1, sigmaRel: 0.1 },
      /the step of snapshot 1 must be a positive number, got 0/,
    ],
    [[{ step: 5, sigmaRel: 0.1 }], { step: -1, sigmaRel: 0.1 }, /the target's step must be a positive number, got -1/],
    [[{ step: 5, gamma: -0.5 }], { step: 5, sigmaRel: 0.1 }, /gamma must be a number above -0\.5, got -0\.5/],
    [
      [
        { step: 5, sigmaRel: 0.05 },
        { step: 5, sigmaRel: 0.1 },
        { step: 5, sigmaRel: 0.1 },
      ],
      { step: 5, sigmaRel: 0.1 },
      /snapshots 2 and 3 \(.*\) cannot be told apart; leave one of them out/,
    ],
  ])('refuses %j for %j', (snapshots, target, message) => {
    expect(() => postHocWeights(snapshots, target)).toThrow(OptionError)
    expect(() => postHocWeights(snapshots, target)).toThrow(message)
  })
})

describe('metadata of a snapshot', () => {
  test('is read as it was written, and taken out again', () => {
    for (const snapshot of [
      { sigmaRel: 0.05, step: 20000 },
      { gamma: 6.937203937601809, step: 1e21 },
    ]) {
      const metadata = { format: 'pt', ...snapshotMetadata(snapshot) }
      expect(snapshotOf(metadata)).toEqual(snapshot)
      expect(withoutSnapshot(metadata)).toEqual({ format: 'pt' })
    }
    expect(snapshotOf({ power_ema_step: '', power_ema_gamma: 'x' })).toEqual({})
  })
})

describe.each(devices)('postHocEma on $name', ({ make }) => {
  beforeEach(() => setDefaultDevice(make()))

  class Net {
    readonly w
    readonly running_var
    readonly seen
    constructor(at: number) {
      this.w = parameter(tensor([Math.sin(at / 40), 2 + Math.cos(at / 90), at / 400, 7]))
      this.running_var = buffer(tensor([1 + at]))
      this.seen = buffer(tensor([at], { dtype: 'i32' }))
    }
    forward(): void {}
  }
  const valuesOf = ({ w }: { readonly w: { dataSync(): Float32Array } }) => [...w.dataSync()]
  const steps = 400

  /** Two averages kept as they were at every 50th step, and a third as a training that knew its width would keep it. */
  function trained(sigmaRel: number) {
    const source = new Net(0)
    const kept = [0.05, 0.1].map((width) => follow(source, powerEma({ sigmaRel: width })))
    const wanted = follow(source, powerEma({ sigmaRel }))
    const snapshots: ModelSnapshot<Net>[] = []
    for (let step = 1; step <= steps; step++) {
      update({ target: source, source: new Net(step) }, copy())
      for (const shadow of [...kept, wanted]) shadow.update()
      if (step % 50 > 0) continue
      for (const shadow of kept) snapshots.push(shadow.snapshot())
    }
    return { snapshots, kept, wanted: valuesOf(wanted.model) }
  }

  test('is the average that the training would have kept', () => {
    const { snapshots, kept, wanted } = trained(0.15)
    const away = (values: readonly number[]) => Math.hypot(...values.map((x, i) => x - (wanted[i] ?? Number.NaN)))
    const before = snapshots.map(({ model }) => valuesOf(model))
    const model = postHocEma(snapshots, { sigmaRel: 0.15 })
    const { weights } = postHocWeights(snapshots, { sigmaRel: 0.15, step: steps })
    expect(Math.min(...weights)).toBeLessThan(-0.01)
    expect(away(valuesOf(model))).toBeLessThan(Math.min(...kept.map((shadow) => away(valuesOf(shadow.model)))) / 10)
    // What all snapshots agree on stays so, bit for bit; running statistics and integers are the latest.
    expect(valuesOf(model)[3]).toBe(7)
    expect([model.running_var.itemSync(), model.seen.itemSync()]).toEqual([1 + steps, steps])
    expect(snapshots.map((one) => valuesOf(one.model))).toEqual(before)
    // In any order: the latest is known by its step.
    const turned = postHocEma([...snapshots].reverse(), { sigmaRel: 0.15 })
    expect(turned.seen.itemSync()).toBe(steps)
    valuesOf(turned).forEach((value, i) => {
      expect(value).toBeCloseTo(valuesOf(model)[i] ?? Number.NaN, 5)
    })
    // One of those kept, at a step before the last.
    const earlier = postHocEma(snapshots, { gamma: gammaOf(0.1), step: 300 })
    const there = snapshots.find(({ step, gamma }) => step === 300 && gamma === gammaOf(0.1))
    valuesOf(earlier).forEach((value, i) => {
      expect(value).toBeCloseTo(there ? (valuesOf(there.model)[i] ?? Number.NaN) : Number.NaN, 5)
    })
  })

  test('a snapshot knows its profile and the units that it is of', () => {
    const source = new Net(0)
    const shadow = follow(source, ema({ sigmaRel: 0.1 }), { every: 5, after: 10 })
    expect(() => shadow.snapshot()).toThrow('there was no update yet')
    for (let i = 0; i < 32; i++) shadow.update()
    const { gamma, step, model } = shadow.snapshot()
    // The last of the updates at 15, 20, 25 and 30; following begins after 10.
    expect([gamma, step]).toEqual([gammaOf(0.1), 20])
    expect(model).not.toBe(shadow.model)
    expect(() => follow(source, ema({ decay: 0.9 })).snapshot()).toThrow('ema is no power average')
  })

  test('an average of the same, positive weights has the same bits', () => {
    const { snapshots } = trained(0.07)
    const few = snapshots.slice(-2)
    const { weights } = postHocWeights(few, { sigmaRel: 0.07, step: steps })
    const target = clone(few[0]?.model ?? expect.unreachable())
    average({ target, sources: few.map(({ model }) => model) }, { weights })
    expect(valuesOf(postHocEma(few, { sigmaRel: 0.07 }))).toEqual(valuesOf(target))
  })

  test('refuses, before it makes anything', () => {
    const { snapshots } = trained(0.1)
    const [first = expect.unreachable(), second = expect.unreachable()] = snapshots.slice(-2)
    const refuses = (given: readonly ModelSnapshot<object>[], target: Parameters<typeof postHocEma>[1]) => {
      const run = () => postHocEma(given, target)
      expect(run).toThrow(OptionError)
      return expect(run)
    }
    refuses([], { sigmaRel: 0.1 }).toThrow('postHocEma: needs at least one snapshot, { sigmaRel, step, model }.')
    refuses([first, { ...second, model: first.model }], { sigmaRel: 0.1 }).toThrow(
      'snapshots 1 and 2 are the same model; keep copies, shadow.snapshot()',
    )
    refuses([first, second], { sigmaRel: 0.25 }).toThrow(
      /the snapshots do not give sigmaRel 0\.25 at step 400: the fit error is 10\d\.\d %, over 25\.0 %; keep snapshots/,
    )
    refuses(snapshots, { sigmaRel: 0.1, step: 900 }).toThrow('do not give sigmaRel 0.1 at step 900')
    refuses(snapshots, { sigmaRel: 0.4 }).toThrow('sigmaRel must be above 0 and at most 0.3')
    refuses(snapshots, { sigmaRel: 0.1, steps: 900 } as never).toThrow('there is no option "steps"')
    refuses([{ ...first, sigmaRel: Number.NaN } as never], { sigmaRel: 0.1 }).toThrow('sigmaRel must be above 0')
    expect(postHocEma([first, second], { sigmaRel: 0.25, mostFitError: 2 }).w.shape).toEqual([4])
    const other = { w: parameter(tensor([1])), seen: buffer(tensor([1], { dtype: 'i32' })), forward() {} }
    const unlike = () => postHocEma<object>([{ ...first, model: other }, second], { sigmaRel: 0.08 })
    expect(unlike).toThrow(ShapeError)
    expect(
      unlike,
    ).toThrow(`the latest snapshot and snapshot 1 must have the same structure; 2 differences, nothing was written:
  parameter "w" is [4] f32 in the latest snapshot but [1] f32 in snapshot 1
  snapshot 1 has no buffer "running_var" [1] f32`)
  })
})
