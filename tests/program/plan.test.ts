import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import '../../src/ops/fluent.js'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import { capture } from '../../src/program/capture.js'
import { fuse } from '../../src/program/fuse/index.js'
import { planMemory } from '../../src/program/memory-plan.js'
import { accesses, type Node } from '../../src/program/node.js'
import { type Phase, schedule } from '../../src/program/schedule.js'
import { Device, setDefaultDevice } from '../../src/tensor/device.js'
import { emptyTensor } from '../../src/tensor/record.js'
import type { Storage } from '../../src/tensor/storage.js'
import { tensor } from '../../src/ops/index.js'
import { ema, update } from '../../src/update/index.js'
import type { AnyX } from '../ops/cases.js'
import { kindCount, runGraph, type Step, writing } from './graphs.js'

let device: Device
let state: { p: { w: AnyX }; q: { w: AnyX } }
beforeAll(() => {
  device = new Device(createReferenceBackend())
  setDefaultDevice(device)
  const parameter = () => emptyTensor(device, 'f32', [3, 5], 'parameter') as AnyX
  state = { p: { w: parameter() }, q: { w: parameter() } }
})

interface Planned {
  readonly program: readonly Node[]
  readonly phases: readonly Phase[]
  readonly inputs: readonly Storage[]
  readonly results: ReadonlySet<Storage>
  readonly offsets: ReadonlyMap<Storage, number>
  readonly byteLength: number
}

function planned(shape: readonly number[], fn: (inputs: AnyX[]) => unknown): Planned {
  const shapes = [shape, [...shape].reverse(), shape]
  const captured = capture(device, (standIn) => fn(shapes.map((dims) => standIn({ shape: dims, dtype: 'f32' }))))
  const results = new Set(captured.outputs.map(({ storage }) => storage))
  const program = fuse(captured.nodes, results)
  const phases = schedule(program)
  for (const storage of captured.constants) storage.release()
  return { program, phases, inputs: captured.inputs, results, ...planMemory(phases, captured.inputs, results) }
}

const whole = fc.integer({ min: 0, max: 60 })
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.tuple(fc.integer({ min: 0, max: kindCount - 1 }), whole, whole, whole),
  { maxLength: 25 },
)
/** Many gathers (12) and writes in place among other steps. */
const indexed: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.tuple(fc.constantFrom(12, writing), whole, whole, whole),
    fc.tuple(fc.integer({ min: 0, max: kindCount - 1 }), whole, whole, whole),
  ),
  { maxLength: 20 },
)
// Some kernels are worth sharing between threads and some are not.
const shapes = fc.constantFrom<(readonly number[])[]>([3, 4], [20, 10, 4], [100, 130], [30000], [64, 64])

const everyPlan = (check: (plan: Planned) => void, list = steps): void => {
  const property = fc.property(shapes, list, (shape, chosen: Step[]) => {
    check(planned(shape, (inputs) => runGraph(device, chosen, inputs, state, false)))
  })
  fc.assert(property, { seed: 4711, numRuns: 200 })
}

const reads = (node: Node) => accesses(node).flatMap(({ storage, write }) => (write ? [] : [storage]))
const writes = (node: Node) => accesses(node).flatMap(({ storage, write }) => (write ? [storage] : []))
/** Whether the order of the two matters: one writes what the other touches. */
const depend = (a: Node, b: Node): boolean =>
  writes(a).some((storage) => [...reads(b), ...writes(b)].includes(storage)) ||
  writes(b).some((s) => reads(a).includes(s))

describe('the schedule', () => {
  it('holds every kernel once, and every dependency crosses a barrier or is in one chain, in order', () => {
    let shared = 0
    everyPlan(({ program, phases }) => {
      const places = new Map<Node, { phase: number; chain: number }>()
      phases.forEach((phase, at) => {
        for (const node of phase.shared) places.set(node, { phase: at, chain: -1 })
        for (const [i, node] of phase.single.entries()) places.set(node, { phase: at, chain: i })
        shared += phase.shared.length
      })
      expect(places.size).toBe(program.length)
      expect(phases.reduce((sum, phase) => sum + phase.shared.length + phase.single.length, 0)).toBe(program.length)
      program.forEach((later, j) => {
        for (const earlier of program.slice(0, j)) {
          if (!depend(earlier, later)) continue
          const [a, b] = [places.get(earlier), places.get(later)]
          const inChain = a?.phase === b?.phase && (a?.chain ?? -1) >= 0 && (a?.chain ?? 0) < (b?.chain ?? -1)
          expect(inChain || (a?.phase ?? 0) < (b?.phase ?? 0)).toBe(true)
        }
      })
    })
    expect(shared).toBeGreaterThan(100)
  })

  it('keeps a write behind those that still read what it overwrites', () => {
    const { program, phases } = planned([100, 130], ([x]) => {
      const late = state.p.w.mul(x.softmax(-1).exp().sum().broadcastTo([3, 5]))
      update({ target: state.p, source: state.q }, ema({ decay: 0.5 }))
      return late
    })
    const phaseOf = (node: Node | undefined) =>
      phases.findIndex(({ shared, single }) => [...shared, ...single].some((other) => other === node))
    const write = program.find(({ kernel }) => kernel.kind === 'foreach')
    const read = program.find((node) => node !== write && reads(node).includes(state.p.w.storage))
    expect(phaseOf(read)).toBeGreaterThan(1)
    expect(phaseOf(write)).toBeGreaterThanOrEqual(phaseOf(read))
  })

  it('writes what lasts only after the indices of earlier kernels were checked', () => {
    let pairs = 0
    everyPlan(({ program, phases }) => {
      const order = phases.flatMap(({ shared, single }) => [...shared, ...single])
      const phaseOf = (node: Node) => phases.findIndex(({ shared, single }) => [...shared, ...single].includes(node))
      program.forEach((later, j) => {
        if (!writes(later).some((storage) => !storage.captured)) return
        for (const earlier of program.slice(0, j)) {
          if (earlier.kernel.kind !== 'gather' && earlier.kernel.kind !== 'scatter') continue
          pairs++
          expect(phaseOf(earlier)).toBeLessThanOrEqual(phaseOf(later))
          expect(order.indexOf(earlier)).toBeLessThan(order.indexOf(later))
        }
      })
    }, indexed)
    expect(pairs).toBeGreaterThan(20)
  })
})

describe('the memory plan', () => {
  /**
   * When a storage holds numbers that somebody needs: phases, and in them places of the chain that one thread runs. What
   * is shared goes on during the whole of its phase.
   */
  const lifeOf = ({ phases, inputs, results }: Planned, storage: Storage): readonly [first: number, last: number] => {
    const touches = (node: Node) => accesses(node).some((access) => access.storage === storage)
    const times = phases.flatMap(({ shared, single }, phase) => [
      ...(shared.some(touches) ? [phase, phase + 0.999] : []),
      ...single.flatMap((node, i) => (touches(node) ? [phase + (0.999 * i) / single.length] : [])),
    ])
    const first = inputs.includes(storage) ? -1 : Math.min(...times)
    const last = results.has(storage) ? phases.length : Math.max(...times)
    return [first, last]
  }

  it('no two storages that live at the same time overlap, vectors may read past each, offsets are aligned', () => {
    let reused = 0
    everyPlan((plan) => {
      const placed = [...plan.offsets].map(([storage, offset]) => {
        const [first, last] = lifeOf(plan, storage)
        return { storage, offset, end: offset + storage.byteLength, first, last }
      })
      for (const [i, a] of placed.entries()) {
        expect(a.offset % 64).toBe(0)
        expect(a.end + 64).toBeLessThanOrEqual(plan.byteLength)
        for (const b of placed.slice(0, i)) {
          const apart = a.end + 64 <= b.offset || b.end + 64 <= a.offset
          const together = a.first <= b.last && b.first <= a.last
          if (together) expect(apart).toBe(true)
          else if (!apart) reused++
        }
      }
    })
    expect(reused).toBeGreaterThan(50)
  })

  it('has a place for all that kernels touch and results need, and for nothing else', () => {
    everyPlan(({ program, results, offsets }) => {
      const touched = program.flatMap((node) => accesses(node).map(({ storage }) => storage))
      const needed = new Set([...touched, ...results].filter((storage) => storage.captured))
      expect(new Set(offsets.keys())).toEqual(needed)
    })
  })

  it('a long chain takes the memory of two links', () => {
    const { byteLength, program } = planned([1000], ([x]) => {
      let y = x
      for (let i = 0; i < 50; i++) y = y.softmax(0)
      return y
    })
    expect(program.length).toBeGreaterThan(40)
    expect(byteLength).toBeLessThan(4 * 1000 * 3.5)
  })

  it('an argument that nobody reads has none', () => {
    const { inputs, offsets } = planned([8], ([x]) => x.add(tensor([1]).sum().broadcastTo([8])))
    expect(inputs.map((storage) => offsets.has(storage))).toEqual([true, false, false])
  })
})
