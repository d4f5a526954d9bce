import { gammaOf, postHocWeights, sigmaRelOf, snapshotMetadata } from 'dfdt/update'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { OptionError } from '../../src/tensor/errors.js'
import { snapshotOf, withoutSnapshot } from '../../src/update/post-hoc.js'
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
