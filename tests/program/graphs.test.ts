import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { permute, tensor } from '../../src/ops/index.js'
import { compile } from '../../src/program/compile.js'
import type { Device } from '../../src/tensor/device.js'
import { emptyTensor } from '../../src/tensor/record.js'
import { Random } from '../../src/testing/conformance/random.js'
import { scope } from '../../src/tensor/scope.js'
import type { AnyX } from '../ops/cases.js'
import { bitsOf } from './bits.js'
import { kindCount, runGraph, type State, type Step, writing } from './graphs.js'
import { queued, targets } from './targets.js'

const whole = fc.integer({ min: 0, max: 60 })
const step = (kinds: number): fc.Arbitrary<Step> =>
  fc.tuple(fc.integer({ min: 0, max: kinds - 1 }), whole, whole, whole)

/** A tensor of random numbers; every second one is a permuted view. */
function random(device: Device, shape: readonly number[], seed: number): AnyX {
  const source = new Random(seed)
  const size = shape.reduce((product, n) => product * n, 1)
  const values = Float32Array.from({ length: size }, () => source.between(-2, 2))
  if (seed % 2 === 0) return tensor(values, [...shape], { device })
  const axes = shape.map((_, i) => shape.length - 1 - i)
  const reversed = tensor(values, [...shape].reverse(), { device }) as AnyX
  return permute(reversed, ...(axes as [0, 1]))
}

/** One program on one device: twice eager and twice compiled from the same state, with two sets of inputs. */
function compare(
  device: Device,
  shape: readonly number[],
  steps: readonly Step[],
  seed: number,
  gradient: boolean,
): void {
  const parameter = (at: number) => {
    const made = emptyTensor(device, 'f32', [3, 5], 'parameter')
    const source = new Random(at)
    made.storage.write(0, new Uint8Array(Float32Array.from({ length: 15 }, () => source.between(-1, 1)).buffer))
    return made as AnyX
  }
  const run = (use: (body: (inputs: AnyX[]) => AnyX[]) => (inputs: AnyX[]) => AnyX[]): unknown =>
    scope(() => {
      const state: State = { p: { w: parameter(1) }, q: { w: parameter(2) } }
      device.generator.manualSeed(seed)
      const body = use((inputs) => runGraph(device, steps, inputs, state, gradient))
      const results = [0, 1].map((round) => {
        const shapes = [shape, [...shape].reverse(), shape]
        const inputs = shapes.map((dims, i) => random(device, dims, seed + 10 * round + i))
        return scope(() => bitsOf(body(inputs)))
      })
      const after = bitsOf({ p: state.p, q: state.q })
      for (const { w } of [state.p, state.q]) w.dispose()
      return { results, after, draws: device.generator.state() }
    })
  const eager = run((body) => body)
  const step = compile((inputs: AnyX[]) => program(inputs))
  let program: (inputs: AnyX[]) => AnyX[] = () => []
  const compiled = run((body) => {
    program = body
    return step
  })
  step.dispose()
  expect(compiled).toEqual(eager)
}

const tiny = fc.constantFrom<(readonly number[])[]>([3, 4], [2, 3, 2], [5], [1, 6], [4, 1], [2, 2, 2, 2])
const large = fc.constantFrom<(readonly number[])[]>([96, 130], [40, 33, 7], [20000], [3, 7000])

for (const { name, make } of [...targets, queued]) {
  describe(`random programs on ${name}: compiled = eager`, { timeout: 120_000 }, () => {
    const device = make()
    afterAll(() => device.close())
    const check = (shapes: typeof tiny, steps: fc.Arbitrary<Step[]>, gradient: boolean, numRuns: number): void => {
      const property = fc.property(shapes, steps, fc.integer({ min: 0, max: 1000 }), (shape, list, seed) => {
        compare(device, shape, list, seed, gradient)
      })
      fc.assert(property, { seed: 20260, numRuns })
    }
    it('values', () => check(tiny, fc.array(step(kindCount), { minLength: 1, maxLength: 14 }), false, 150))
    it('gradients', () => check(tiny, fc.array(step(writing), { minLength: 1, maxLength: 9 }), true, 60))
    it.skipIf(name === 'reference')('values of tensors that threads share', () =>
      check(large, fc.array(step(kindCount), { minLength: 2, maxLength: 12 }), false, 25),
    )
    it.skipIf(name === 'reference')('gradients of tensors that threads share', () =>
      check(large, fc.array(step(writing), { minLength: 2, maxLength: 7 }), true, 12),
    )
  })
}
