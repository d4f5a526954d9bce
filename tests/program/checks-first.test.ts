import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import '../../src/ops/fluent.js'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import { saveModelSync } from 'dfdt/io'
import { batchNorm1d, dropout, embedding, linear, sequential } from '../../src/nn/index.js'
import { crossEntropy, tensor } from '../../src/ops/index.js'
import { adam, sgd, sparseAdam } from '../../src/optim/index.js'
import { capture } from '../../src/program/capture.js'
import { checksFirst, lookupOf, onlyChecks } from '../../src/program/checks-first.js'
import { compile } from '../../src/program/index.js'
import { accesses, type Node } from '../../src/program/node.js'
import { ShapeError } from '../../src/shapes/errors.js'
import { Device, manualSeed, setDefaultDevice } from '../../src/tensor/device.js'
import { emptyTensor } from '../../src/tensor/record.js'
import { ema, follow, update } from '../../src/update/index.js'
import type { AnyX } from '../ops/cases.js'
import { bitsOf } from './bits.js'
import { kindCount, runGraph, type Step, writing } from './graphs.js'
import { targets } from './targets.js'

/** A training step and all that it changes. */
interface Training {
  readonly step: (x: AnyX, y: AnyX) => AnyX
  readonly state: () => unknown
}

const digits = (model: object) => [...saveModelSync(model as never)].join()

/** A program that writes something lasting ahead of a lookup: the arguments of good steps, and those of bad ones. */
interface Case {
  readonly make: () => Training
  readonly good: () => AnyX[]
  readonly bad: () => AnyX[][]
}
const trainings: Record<string, Case> = {
  'a shadow updated before an embedding': {
    make: () => {
      const model = { table: embedding(7, 4), drop: dropout(0.3), out: linear(4, 3) } as AnyX
      const optimizer = adam(model, { lr: 0.1 })
      const shadow = follow(model, ema({ decay: 0.5 }), { precision: 'stochastic', dtype: 'bf16' }) as AnyX
      return {
        step: (x, y) => {
          shadow.update()
          const loss: AnyX = crossEntropy(model.out.forward(model.drop.forward(model.table.forward(x.trace()))), y)
          optimizer.step(loss.backward())
          return loss
        },
        state: () => [digits(model), digits(shadow.model), shadow.steps, shadow.updates, optimizer.steps],
      }
    },
    good: () => [indices(0, 6, 3), indices(0, 1, 2)],
    bad: () => [
      [indices(0, 7, 3), indices(0, 1, 2)],
      [indices(0, 6, -1), indices(0, 1, 2)],
      [indices(0, 6, 3), indices(0, 1, 3)],
    ],
  },
  'batch norm before cross-entropy': {
    make: () => {
      const model = sequential(linear(4, 6), batchNorm1d(6), dropout(0.3), linear(6, 3)) as AnyX
      const optimizer = adam(model, { lr: 0.1 })
      return {
        step: (x, y) => {
          const loss: AnyX = crossEntropy(model.forward(x.trace()), y)
          optimizer.step(loss.backward())
          return loss
        },
        state: () => [digits(model), optimizer.steps],
      }
    },
    good: () => [rows(), indices(0, 1, 2)],
    bad: () => [
      [rows(), indices(0, 3, 1)],
      [rows(), indices(0, 1, -1)],
      [rows(), indices(1 << 30, 0, 0)],
    ],
  },
  'two training steps in one, where the second lookup reads what the first step has written': twoSteps((model) =>
    sgd(model, { lr: 0.1, momentum: 0.9 }),
  ),
  'two training steps in one that write only rows': twoSteps((model) => sparseAdam(model, { lr: 0.1 })),
}

function twoSteps(optimizerOf: (model: AnyX) => { readonly steps: number; step(gradients: AnyX): void }): Case {
  return {
    make: () => {
      const model = { table: embedding(50, 4), out: linear(4, 3) } as AnyX
      const optimizer = optimizerOf(model)
      return {
        step: (x, y) => {
          const loss = (at: AnyX): AnyX => crossEntropy(model.out.forward(model.table.forward(at.trace())), y)
          optimizer.step(loss(tensor([0, 1, 2], { dtype: 'i32' })).backward())
          const second = loss(x)
          optimizer.step(second.backward())
          return second
        },
        state: () => [digits(model), optimizer.steps],
      }
    },
    good: () => [indices(3, 49, 0), indices(0, 1, 2)],
    bad: () => [
      [indices(3, 50, 0), indices(0, 1, 2)],
      [indices(3, 49, 0), indices(0, 1, 3)],
    ],
  }
}

const indices = (...list: number[]) => tensor(list, { dtype: 'i32' }) as AnyX
const rows = () =>
  tensor([
    [1, 2, 3, 4],
    [4, 3, 2, 1],
    [0, 1, 0, 2],
  ]) as AnyX

for (const { name, make: makeDevice } of targets) {
  describe(`an index out of range on ${name}`, () => {
    let device: Device
    beforeAll(() => {
      device = makeDevice()
      setDefaultDevice(device)
    })
    afterAll(() => device.close())

    it.each(Object.entries(trainings))('%s: changes nothing at all', (_, { make, good, bad }) => {
      const run = (withBad: boolean): unknown => {
        manualSeed(5)
        const { step: body, state } = make()
        const step = compile(body)
        const all = () => [state(), device.generator.state()]
        const history = []
        for (let i = 0; i < 3; i++) {
          history.push(bitsOf(step(...(good() as [AnyX, AnyX]))), all())
          for (const args of withBad ? bad() : []) {
            expect(() => step(...(args as [AnyX, AnyX]))).toThrow(ShapeError)
            expect(all()).toEqual(history.at(-1))
            expect(() => step.profile(...(args as [AnyX, AnyX]))).toThrow(ShapeError)
            expect(all()).toEqual(history.at(-1))
          }
        }
        step.dispose()
        return history
      }
      expect(run(true)).toEqual(run(false))
    })

    it('that was worked out from what the run has written is found there, and counts no step', () => {
      const model = { at: emptyTensor(device, 'f32', [1], 'parameter') as AnyX }
      const source = { at: emptyTensor(device, 'f32', [1], 'parameter') as AnyX }
      const shadow = follow(source as never, ema({ decay: 0.5 })) as AnyX
      source.at.storage.write(0, new Uint8Array(Float32Array.of(1).buffer))
      model.at.storage.write(0, new Uint8Array(Float32Array.of(1).buffer))
      const step = compile((x: AnyX) => {
        update({ target: model, source } as never, ema({ decay: 0 }))
        const found = x.gather(0, model.at.to('i32'))
        shadow.update()
        return found
      })
      expect(step(tensor([1, 2])).arraySync()).toEqual([2])
      source.at.storage.write(0, new Uint8Array(Float32Array.of(2).buffer))
      const before = [bitsOf(shadow.model.at), shadow.steps]
      expect(() => step(tensor([1, 2]))).toThrow('index 2 at position 0')
      expect(model.at.arraySync()).toEqual([2])
      expect([bitsOf(shadow.model.at), shadow.steps]).toEqual(before)
    })
  })
}

describe('the order of a program', () => {
  const device = new Device(createReferenceBackend())
  const parameter = () => emptyTensor(device, 'f32', [3, 5], 'parameter') as AnyX
  const state = { p: { w: parameter() }, q: { w: parameter() } }
  beforeAll(() => setDefaultDevice(device))

  const whole = fc.integer({ min: 0, max: 60 })
  /** Many gathers (12) and writes in place, and what reads them (16, 17), among other steps. */
  const steps: fc.Arbitrary<Step[]> = fc.array(
    fc.oneof(
      fc.tuple(fc.constantFrom(12, 12, writing, 16, 17), whole, whole, whole),
      fc.tuple(fc.integer({ min: 0, max: kindCount - 1 }), whole, whole, whole),
    ),
    { maxLength: 20 },
  )
  const captured = (list: Step[]): readonly Node[] => {
    const { nodes, constants } = capture(device, (standIn) =>
      runGraph(device, list, [standIn({ shape: [3, 4], dtype: 'f32' }) as AnyX], state, false),
    )
    for (const storage of constants) storage.release()
    return nodes
  }
  const writes = (node: Node) => accesses(node).flatMap(({ storage, write }) => (write ? [storage] : []))
  const lasts = (node: Node) => writes(node).some((storage) => !storage.captured)
  const depend = (a: Node, b: Node): boolean =>
    accesses(a).some((x) => accesses(b).some((y) => x.storage === y.storage && (x.write || y.write)))

  it('keeps every kernel, and those that depend on each other in order', () => {
    let moved = 0
    const property = fc.property(steps, (list) => {
      const nodes = captured(list)
      const ordered = checksFirst(nodes)
      const at = new Map(ordered.map((node, i) => [node, i]))
      expect(ordered.filter((node) => !onlyChecks(node)).length).toBe(nodes.length)
      nodes.forEach((later, j) => {
        for (const earlier of nodes.slice(0, j)) {
          const inOrder = (at.get(earlier) ?? Number.NaN) < (at.get(later) ?? Number.NaN)
          if (depend(earlier, later)) expect(inOrder).toBe(true)
          else if (!inOrder) moved++
        }
      })
    })
    fc.assert(property, { seed: 4711, numRuns: 300 })
    expect(moved).toBeGreaterThan(100)
  })

  it('checks every index that is known beforehand ahead of lasting writes, by the lookup where it can come first', () => {
    let [alone, lookups] = [0, 0]
    const property = fc.property(steps, (list) => {
      const nodes = captured(list)
      const ordered = checksFirst(nodes)
      const first = ordered.findIndex(lasts)
      const front = first < 0 ? ordered : ordered.slice(0, first)
      // Every one of these graphs' indices is a constant.
      for (const node of nodes) {
        const lookup = lookupOf(node)
        if (!lookup) continue
        lookups++
        const check = front.find((other) => lookupOf(other)?.indices === lookup.indices)
        expect(check).toBeDefined()
        if (check && onlyChecks(check)) alone++
      }
    })
    fc.assert(property, { seed: 4711, numRuns: 300 })
    expect(lookups).toBeGreaterThan(300)
    expect(alone).toBeGreaterThan(5)
  })

  it('has no kernel more where lookups can come first or repeat what was checked', () => {
    const model = { table: embedding(5, 4), out: linear(4, 3) } as AnyX
    const optimizer = adam(model)
    const shadow = follow(model, ema({ decay: 0.5 })) as AnyX
    const nodes = (fn: (x: AnyX) => unknown) => {
      const { nodes, constants } = capture(device, (standIn) => fn(standIn({ shape: [3], dtype: 'i32' })))
      for (const storage of constants) storage.release()
      return nodes
    }
    const training = (x: AnyX) => {
      const loss: AnyX = crossEntropy(model.out.forward(model.table.forward(x.trace())), x)
      optimizer.step(loss.backward())
    }
    const usual = nodes((x) => {
      training(x)
      shadow.update()
    })
    expect(checksFirst(usual)).toEqual(usual)
    const turned = nodes((x) => {
      shadow.update()
      training(x)
    })
    const ordered = checksFirst(turned)
    expect(ordered.length).toBe(turned.length)
    expect(ordered.findIndex(lasts)).toBeGreaterThan(turned.findIndex(lasts))
    // The gradient of the table looks up the indices of the table again: nobody waits for it.
    const lookups = ordered.flatMap((node, i) => (lookupOf(node) ? [i] : []))
    expect(ordered.findIndex(lasts)).toBeLessThan(Math.max(...lookups))
  })
})
