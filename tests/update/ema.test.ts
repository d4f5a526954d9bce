import { type Device, setDefaultDevice, type Tensor, tensor } from 'dfdt'
import { parameter } from 'dfdt/nn'
import { copy, ema, update } from 'dfdt/update'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { OptionError } from '../../src/tensor/errors.js'
import { assertClose } from '../../src/testing/close.js'
import { weightsOf } from '../../src/update/rate.js'
import { devices } from '../devices.js'
import { golden } from '../golden-file.js'

type FloatDType = 'f32' | 'f64'
interface Golden {
  readonly torch: string
  readonly start: number[]
  readonly sources: number[][]
  readonly cases: (Record<FloatDType, Record<string, number[]>> & { readonly decay: number })[]
}
const { start, sources, cases } = golden<Golden>('update/ema.json')

/** A model of one parameter. */
const holding = <D extends FloatDType = 'f32'>(values: readonly number[], dtype?: D) => ({
  w: parameter(tensor(values as number[], dtype && { dtype }) as Tensor<[number], D>),
  forward: () => undefined,
})

const kinds: readonly { name: string; dtype: FloatDType; make: () => Device; tolerance: number }[] = devices.flatMap(
  ({ name, make }) => [
    { name: `${name} f32`, dtype: 'f32' as const, make, tolerance: 1e-6 },
    ...(name === 'reference' ? [{ name: `${name} f64`, dtype: 'f64' as const, make, tolerance: 1e-14 }] : []),
  ],
)

describe.each(kinds)('ema as PyTorch on $name', ({ dtype, make, tolerance }) => {
  test.each(cases.map((one) => [one.decay, one[dtype]] as const))('decay %d', (decay, expected) => {
    setDefaultDevice(make())
    const target = holding(start, dtype)
    const models = sources.map((values) => holding(values, dtype))
    for (let step = 1; step <= 50; step++) {
      const source = models[step % models.length]
      if (source) update({ target, source }, ema({ decay }))
      const after = expected[step]
      if (after) assertClose(target.w.dataSync(), after, { rtol: tolerance, atol: tolerance, name: `after ${step}` })
    }
  })
})

describe.each(devices)('ema on $name', ({ make }) => {
  beforeAll(() => setDefaultDevice(make()))

  const float = fc.float({ noNaN: true, min: Math.fround(-1e30), max: Math.fround(1e30) })
  const floats = fc.array(float, { minLength: 1, maxLength: 40 })
  const decays = fc.double({ min: 0, max: 1, noNaN: true })
  const runs = { numRuns: 60 }
  const blended = (t: readonly number[], s: readonly number[], rule: Parameters<typeof update>[1]) => {
    const target = holding(t)
    update({ target, source: holding(s) }, rule)
    return [...target.w.dataSync()]
  }

  test('equal models stay equal bit for bit, at any rate', () => {
    fc.assert(
      fc.property(floats, decays, (values, decay) => {
        // Only the sign of a zero may change.
        expect(blended(values, values, ema({ decay })).map((x) => x + 0)).toEqual(values.map((x) => Math.fround(x) + 0))
      }),
      runs,
    )
  })

  test('the result lies between target and source', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(float, float), { minLength: 1, maxLength: 40 }), decays, (pairs, decay) => {
        const [t, s] = [pairs.map(([a]) => a), pairs.map(([, b]) => b)]
        blended(t, s, ema({ decay })).forEach((x, i) => {
          const [a = 0, b = 0] = [t[i], s[i]]
          // Rounded steps may pass an end by the rounding of the difference.
          const slack = (Math.abs(a) + Math.abs(b)) * 2 ** -22
          expect(x).toBeGreaterThanOrEqual(Math.min(a, b) - slack)
          expect(x).toBeLessThanOrEqual(Math.max(a, b) + slack)
        })
      }),
      runs,
    )
  })

  test('tau is 1 − decay', () => {
    fc.assert(
      fc.property(floats, floats, fc.integer({ min: 0, max: 1024 }), (t, s, n) => {
        const size = Math.min(t.length, s.length)
        const [a, b] = [t.slice(0, size), s.slice(0, size)]
        expect(blended(a, b, ema({ tau: n / 1024 }))).toEqual(blended(a, b, ema({ decay: 1 - n / 1024 })))
      }),
      runs,
    )
  })

  const strange = [Number.NaN, Infinity, -Infinity, 3e38, -0, 1e-45]

  test.each([ema({ decay: 0 }), ema({ tau: 1 }), copy()])(
    'a hard copy overwrites NaN and infinity, exactly',
    (rule) => {
      expect(blended(strange, [1, 2, 3, -3e38, -0, 1], rule)).toEqual([1, 2, 3, Math.fround(-3e38), -0, 1])
      expect(blended([1, 1, 1, 1, 1, 1], strange, rule)).toEqual(strange.map(Math.fround))
    },
  )

  test.each([ema({ decay: 1 }), ema({ tau: 0 }), ema({ halfLife: Infinity })])(
    'a weight of 0 touches nothing',
    (rule) => {
      expect(blended([1, 2, 3, 4, -0, 6], strange, rule)).toEqual([1, 2, 3, 4, -0, 6])
      expect(blended(strange, [1, 2, 3, 4, 5, 6], rule)).toEqual(strange.map(Math.fround))
    },
  )

  test('half of the old value is left after a half-life', () => {
    for (const halfLife of [1, 7, 1000]) {
      const target = holding([1])
      const source = holding([0])
      for (let i = 0; i < halfLife; i++) update({ target, source }, ema({ halfLife }))
      assertClose(target.w.dataSync(), [0.5], { rtol: 1e-4 })
    }
  })
})

describe('rates', () => {
  test.each<[rate: object, tau: number, decay: number]>([
    [{ decay: 0.75 }, 0.25, 0.75],
    [{ tau: 0.25 }, 0.25, 0.75],
    [{ halfLife: 1 }, 0.5, 0.5],
    [{ halfLife: 2 }, 1 - Math.SQRT1_2, Math.SQRT1_2],
    [{ halfLife: Infinity }, 0, 1],
  ])('%o', (rate, tau, decay) => {
    const weights = weightsOf('ema', rate as { decay: number })
    expect(weights.tau).toBeCloseTo(tau, 15)
    expect(weights.decay).toBeCloseTo(decay, 15)
  })

  test('a long half-life keeps its digits, where 1 − decay has lost half of them', () => {
    const { tau } = weightsOf('ema', { halfLife: 1e9 })
    expect(Math.abs(tau / (Math.LN2 / 1e9) - 1)).toBeLessThan(1e-9)
    const { decay } = weightsOf('ema', { halfLife: 1e9 })
    expect(Math.abs((1 - decay) / (Math.LN2 / 1e9) - 1)).toBeGreaterThan(1e-9)
  })

  test.each<[rate: object, message: string]>([
    [
      {},
      'ema: give exactly one of { decay }, { tau }, { halfLife }, { timeConstant } or { sigmaRel }; none was given.',
    ],
    [
      { decay: 0.9, tau: 0.1 },
      'ema: give exactly one of { decay }, { tau }, { halfLife }, { timeConstant } or { sigmaRel }; got decay and tau.',
    ],
    [{ decay: 0.9, halfLife: 3 }, 'got decay and halfLife'],
    [{ decay: undefined }, 'none was given'],
    [{ decay: 1.1 }, 'ema: decay is the weight of the old value and must be in [0, 1], got 1.1.'],
    [{ decay: -0.1 }, 'must be in [0, 1], got -0.1'],
    [{ decay: Number.NaN }, 'must be in [0, 1], got NaN'],
    [{ tau: 2 }, 'ema: tau is the weight of the source and must be in [0, 1], got 2.'],
    [{ halfLife: 0 }, 'ema: halfLife must be a positive number of updates, got 0.'],
    [{ halfLife: -3 }, 'got -3'],
    [{ halfLife: Number.NaN }, 'got NaN'],
  ])('refuses %o', (rate, message) => {
    expect(() => ema(rate as { decay: number })).toThrow(OptionError)
    expect(() => ema(rate as { decay: number })).toThrow(message)
  })
})
