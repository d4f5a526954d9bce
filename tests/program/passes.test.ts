import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import { type Expr, index, input, scalar, uniform } from '../../src/kernels/expr.js'
import { foreachTensors, type PassReduction, type Stretch } from '../../src/model/foreach.js'
import { clone } from '../../src/model/clone.js'
import { linear, relu, sequential } from '../../src/nn/index.js'
import { tensor } from '../../src/ops/index.js'
import { sgd } from '../../src/optim/index.js'
import { capture } from '../../src/program/capture.js'
import { compile } from '../../src/program/compile.js'
import { bytesMoved, explain } from '../../src/program/explain.js'
import { fuse } from '../../src/program/fuse/index.js'
import { isAlternative, type Node } from '../../src/program/node.js'
import { schedule } from '../../src/program/schedule.js'
import { Device, setDefaultDevice } from '../../src/tensor/device.js'
import { emptyTensor, type TensorRecord } from '../../src/tensor/record.js'
import { ema, update } from '../../src/update/index.js'
import type { AnyX } from '../ops/cases.js'
import { expectSameBits } from './bits.js'
import { targets } from './targets.js'

let device: Device
beforeAll(() => {
  device = new Device(createReferenceBackend())
  setDefaultDevice(device)
})

const lengths = [5, 300, 0, 300, 4097]
/** Parts in another order that fits, too. */
const crossing = [0, 3, 2, 1, 4]
const elements = lengths.reduce((sum, n) => sum + n, 0)
/** A tensor of each length. */
const columnOn = (on: Device) => lengths.map((n) => emptyTensor(on, 'f32', [n], 'parameter'))
const perPart = (dtype: 'f32' | 'bool') => emptyTensor(device, dtype, [lengths.length], 'buffer')

/** The whole-model passes of a function after fusing. */
function passesOf(fn: () => unknown): Node[] {
  const captured = capture(device, fn)
  const results = new Set(captured.outputs.map(({ storage }) => storage))
  return fuse(captured.nodes, results).filter(({ kernel }) => kernel.kind === 'foreach')
}
const [a, b] = [input(0, 'f32'), input(1, 'f32')]
const blend = a.add(b.sub(a).mul(0.25))
const over = (
  [target, source]: readonly [readonly TensorRecord[], readonly TensorRecord[]],
  more: (part: number) => Partial<Stretch> = () => ({}),
): Stretch[] =>
  target.map((tensor, part) => ({ reads: [tensor, source[part] ?? tensor], writes: [tensor], ...more(part) }))

describe('fusing', () => {
  it('K shadows of one source are one pass of 1 + 2K accesses, with or without an optimizer', () => {
    const source = sequential(linear(20, 30), relu(), linear(30, 5)) as AnyX
    const parameters = 20 * 30 + 30 + 30 * 5 + 5
    const shadows = [0.9, 0.99, 0.999, 0.9999].map((decay) => ({ decay, target: clone(source) }))
    const follow = () => {
      for (const { decay, target } of shadows) update({ target, source } as never, ema({ decay }))
    }
    expect(passesOf(follow).map(bytesMoved)).toEqual([(1 + 2 * 4) * 4 * parameters])
    const optimizer = sgd(source, { lr: 0.1 })
    const step = (x: AnyX) => {
      optimizer.step(source.forward(x.trace()).square().mean().backward())
      follow()
    }
    const trained = passesOf(() => step(tensor(new Float32Array(80), [4, 20]) as AnyX))
    expect(trained.map(bytesMoved)).toEqual([(3 + 2 * 4) * 4 * parameters])
  })

  it('passes with the same guards are one, with others two', () => {
    const [p, q, r] = [columnOn(device), columnOn(device), columnOn(device)]
    const [flags, others] = [perPart('bool'), perPart('bool')]
    const guarded = (flag: TensorRecord) => (at: number) => ({ guard: { tensor: flag, at } })
    const two = (first: TensorRecord, second: TensorRecord) =>
      passesOf(() => {
        foreachTensors([blend], over([p, r], guarded(first)), [])
        foreachTensors([blend], over([q, r], guarded(second)), [])
      })
    expect(two(flags, flags).map(bytesMoved)).toEqual([5 * 4 * elements + 4 * lengths.length])
    expect(two(flags, others)).toHaveLength(2)
  })

  it('updates under one condition of the step are one pass, under two conditions two', () => {
    const source = linear(20, 30) as AnyX
    const targets = [clone(source), clone(source)]
    const parameters = 20 * 30 + 30
    const follow = (...conditions: AnyX[]) =>
      passesOf(() => {
        for (const [i, target] of targets.entries())
          update({ target, source } as never, ema({ decay: 0.9 }), { if: conditions[i] } as never)
      })
    const [one, other] = [tensor(true), tensor(true)]
    expect(follow(one, one).map(bytesMoved)).toEqual([5 * 4 * parameters])
    expect(follow(one, other)).toHaveLength(2)
    // The first pass may decide what the second does.
    const flag = emptyTensor(device, 'bool', [1], 'buffer')
    const p = [emptyTensor(device, 'bool', [1], 'parameter')]
    const guarded = (body: () => void) => device.whenTrue(flag.storage, 0, body)
    const negated = passesOf(() => {
      guarded(() => foreachTensors([input(0, 'bool').not()], [{ reads: [flag], writes: [flag] }], []))
      guarded(() => foreachTensors([input(0, 'bool')], [{ reads: [flag], writes: p }], []))
    })
    expect(negated).toHaveLength(2)
  })

  it('uniforms and reductions of both passes live side by side; bytes count each of their elements', () => {
    const [p, q, r] = [columnOn(device), columnOn(device), columnOn(device)]
    const [rates, others] = [perPart('f32'), perPart('f32')]
    const rated = (rate: TensorRecord) => (at: number) => ({ uniforms: [{ tensor: rate, at }] })
    const own = a.add(b.sub(a).mul(uniform(0, 'f32')))
    const squares = (): PassReduction[] => [{ combine: 'sum', expr: b.sub(a).square(), over: 'part' }]
    const fused = passesOf(() => [
      foreachTensors([own], over([p, r], rated(rates)), [], squares()),
      foreachTensors([own], over([q, r], rated(others)), [], squares()),
    ])
    expect(fused.map(bytesMoved)).toEqual([5 * 4 * elements + 4 * 4 * lengths.length])
    expect(fused[0]?.kernel).toMatchObject({ uniforms: ['f32', 'f32'], reductions: [{}, {}] })
    const text = explain({ phases: schedule(fused), captured: fused, arenaBytes: 0, effects: 0 })
    expect(text).toContain('5 tensors, 3 read and 2 written an element, 2 reduced')
  })

  it('a pass steered by what another reduces, or by what it writes, comes after it', () => {
    const [p, q, r] = [columnOn(device), columnOn(device), columnOn(device)]
    const largest: PassReduction = { combine: 'max', expr: b.abs(), over: 'part' }
    const finite: PassReduction = { combine: 'min', expr: b.isFinite(), over: 'all' }
    const rated = passesOf(() => {
      const [result] = foreachTensors([blend], over([p, r]), [], [largest])
      const rate = (at: number) => (result ? { uniforms: [{ tensor: result, at }] } : {})
      foreachTensors([a.mul(uniform(0, 'f32')).add(b)], over([q, r], rate), [])
    })
    expect(rated).toHaveLength(2)
    const guarded = passesOf(() => {
      const [result] = foreachTensors(
        [],
        over([p, r]).map((each) => ({ ...each, writes: [] })),
        [],
        [finite],
      )
      foreachTensors(
        [blend],
        over([q, r], () => (result ? { guard: { tensor: result } } : {})),
        [],
      )
    })
    expect(guarded).toHaveLength(2)
    const written = passesOf(() => {
      foreachTensors([blend], over([p, r]), [])
      const rate = p[0] ?? emptyTensor(device, 'f32', [1])
      foreachTensors(
        [blend.mul(uniform(0, 'f32'))],
        over([q, r], () => ({ uniforms: [{ tensor: rate }] })),
        [],
      )
    })
    expect(written).toHaveLength(2)
  })

  it('a scan of what an optimizer writes joins it', () => {
    const [p, q] = [columnOn(device), columnOn(device)]
    const fused = passesOf(() => {
      foreachTensors([blend], over([p, q]), [])
      return foreachTensors(
        [],
        p.map((t) => ({ reads: [t], writes: [] })),
        [],
        [{ combine: 'sum', expr: a.isFinite().not().cast('f32'), over: 'all' }],
      )
    })
    expect(fused.map(bytesMoved)).toEqual([3 * 4 * elements + 4])
  })
})

/** One pass of a random program: which columns it reads and writes, and what steers it. */
const pass = {
  target: fc.nat(3),
  source: fc.nat(3),
  formula: fc.nat(3),
  /** Whether it writes the target, only reads, or writes another column. */
  writes: fc.constantFrom('target', 'none', 'other'),
  rate: fc.constantFrom('none', 'given', 'reduced'),
  guard: fc.constantFrom('none', 'given', 'reduced'),
  measures: fc.boolean(),
  crossed: fc.constantFrom(false, false, false, true),
  /** Which condition of the host it is under. */
  when: fc.constant<0 | 1 | undefined>(undefined),
  parts: fc.constant<'all' | 'first' | 'last'>('all'),
}
const listOf = (each: typeof pass, minLength: number) => fc.array(fc.record(each), { minLength, maxLength: 6 })
const passes = listOf(pass, 1)
/** Under conditions and over parts; steered less, so that more of them fuse. */
const conditional = listOf(
  {
    ...pass,
    source: fc.constantFrom(0, 0, 0, 1, 2, 3),
    formula: fc.constantFrom(0, 0, 1, 2, 3),
    writes: fc.constantFrom('target', 'target', 'target', 'none', 'other'),
    rate: fc.constantFrom('none', 'none', 'given'),
    guard: fc.constantFrom('none', 'none', 'none', 'given'),
    measures: fc.constantFrom(false, false, false, true),
    when: fc.constantFrom(undefined, 0, 1),
    parts: fc.constantFrom('all', 'all', 'first', 'last'),
  },
  2,
)
type Spec = typeof passes extends fc.Arbitrary<infer S> ? S : never

const formulas: readonly ((rate: Expr) => Expr)[] = [
  (rate) => a.add(b.sub(a).mul(rate)),
  (rate) => a.max(b).mul(rate.mul(scalar(0, 'f32'))),
  (rate) => rate.fma(b.sub(a), a),
  (rate) => b.add(index().and(7).cast('f32').mul(rate)),
]

/** Four columns and what each pass reduces to, on one device, and the program as a function of nothing. */
function programOn(on: Device, specs: Spec) {
  const columns = [0, 1, 2, 3].map((c) => {
    const column = columnOn(on)
    for (const [part, record] of column.entries()) {
      const values = Float32Array.from({ length: record.size }, (_, i) => Math.sin(i * 1.7 + c * 5 + part))
      if (c === part) values[2] = Number.NaN
      record.storage.write(0, new Uint8Array(values.buffer))
    }
    return column
  })
  const given = emptyTensor(on, 'f32', [lengths.length], 'buffer')
  given.storage.write(0, new Uint8Array(Float32Array.of(0.5, 0.25, 0, 1, 0.75).buffer))
  const flags = emptyTensor(on, 'bool', [lengths.length], 'buffer')
  flags.storage.write(0, new Uint8Array(Uint32Array.of(1, 1, 0, 1, 1).buffer))
  const results = specs.map(() => ({
    sums: emptyTensor(on, 'f32', [lengths.length], 'buffer'),
    finite: emptyTensor(on, 'bool', [lengths.length], 'buffer'),
    total: emptyTensor(on, 'f32', [], 'buffer'),
  }))
  for (const { sums, finite, total } of results)
    for (const record of [sums, finite, total]) record.storage.write(0, new Uint8Array(record.size * 4))
  const due = [true, true]
  const run = () => {
    for (const [at, spec] of specs.entries()) {
      const { when } = spec
      if (when === undefined) runOne(spec, at)
      else
        on.when(
          () => due[when] === true,
          () => runOne(spec, at),
        )
    }
    return []
  }
  const runOne = (spec: Spec[number], at: number) => {
    const [target, source, other] = [spec.target, spec.source, spec.target + 1].map((c) => columns[c % 4] ?? [])
    const before = results[at === 0 ? 0 : at - 1]
    const own = results[at]
    if (!target || !source || !other || !before || !own) return
    const rates = spec.rate === 'reduced' && at > 0 ? before.sums : given
    const guards = spec.guard === 'reduced' && at > 0 ? before.finite : flags
    const rate = spec.rate === 'none' ? scalar(0, 'f32') : uniform(0, 'f32').abs().min(1)
    const formula = (formulas[spec.formula] ?? formulas[0])?.(rate)
    const written = spec.writes === 'other' ? other : target
    // Parts run in any order: none reads what another one writes.
    const crossed = spec.crossed && (spec.writes === 'none' || written !== source)
    const chosen = { all: target, first: target.slice(0, 2), last: target.slice(1) }[spec.parts]
    const stretches = chosen.map((record, i): Stretch => {
      const part = spec.parts === 'last' ? i + 1 : i
      const writes = written[part]
      return {
        reads: [record, source[crossed ? (crossing[part] ?? part) : part] ?? record],
        writes: spec.writes === 'none' || !writes ? [] : [writes],
        ...(spec.rate !== 'none' && { uniforms: [{ tensor: rates, at: part }] }),
        ...(spec.guard !== 'none' && { guard: { tensor: guards, at: part } }),
      }
    })
    const measures: PassReduction[] = [
      { combine: 'sum', expr: formula ?? a, over: 'part', result: own.sums },
      { combine: 'min', expr: b.isFinite(), over: 'part', result: own.finite },
      { combine: 'sum', expr: b.sub(a).square(), over: 'all', result: own.total },
    ]
    const reads = spec.writes === 'none'
    foreachTensors(reads || !formula ? [] : [formula], stretches, [0.75], reads || spec.measures ? measures : [])
  }
  return { run, due, all: () => [...columns.flat(), ...results.flatMap((each) => Object.values(each))] }
}

describe('compiled = eager, bit for bit', () => {
  const devices = targets.map(({ name, make }) => ({ name, device: make() }))
  afterAll(() => setDefaultDevice(device))

  const generators = [
    { of: 'random passes', generator: passes },
    { of: 'random conditional passes', generator: conditional },
  ]
  it.each(devices.flatMap((each) => generators.map((generator) => ({ ...each, ...generator }))))(
    '$of on $name',
    ({ device: on, generator }) => {
      setDefaultDevice(on)
      fc.assert(
        fc.property(generator, (specs) => {
          const [eager, compiled] = [programOn(on, specs), programOn(on, specs)]
          const step = compile(compiled.run)
          for (const bits of generator === conditional ? [3, 1, 2, 0, 3] : [3, 3]) {
            for (const { due } of [eager, compiled]) due.splice(0, 2, (bits & 1) > 0, (bits & 2) > 0)
            eager.run()
            step()
          }
          expectSameBits(compiled.all(), eager.all())
          step.dispose()
          for (const record of [...eager.all(), ...compiled.all()]) record.dispose()
        }),
        { numRuns: 80, seed: 7 },
      )
    },
    120_000,
  )

  it('the random passes are of all kinds: some fuse, some cannot', () => {
    const counts = fc.sample(passes, { numRuns: 80, seed: 7 }).map((specs) => {
      const before = capture(device, programOn(device, specs).run).nodes.length
      return before - passesOf(programOn(device, specs).run).length
    })
    expect(counts.filter((saved) => saved > 0).length).toBeGreaterThan(10)
    expect(counts.filter((saved) => saved === 0).length).toBeGreaterThan(10)
  })

  it('so are those under conditions and over parts: some become alternatives, some are divided', () => {
    const all = fc.sample(conditional, { numRuns: 80, seed: 7 }).map((specs) => {
      const { run } = programOn(device, specs)
      const before = capture(device, run).nodes.map(partsOf)
      const after = passesOf(run)
      return { alternatives: after.some(isAlternative), divided: after.some((node) => !before.includes(partsOf(node))) }
    })
    console.log(
      all.filter(({ alternatives }) => alternatives).length,
      all.filter(({ divided }) => divided).length,
      all.filter(({ alternatives, divided }) => !alternatives && !divided).length,
    )
    expect(all.filter(({ alternatives }) => alternatives).length).toBeGreaterThan(10)
    expect(all.filter(({ divided }) => divided).length).toBeGreaterThan(10)
    expect(all.filter(({ alternatives, divided }) => !alternatives && !divided).length).toBeGreaterThan(10)
  })
})

const partsOf = ({ kernel }: Node): string =>
  kernel.kind === 'foreach' ? kernel.parts.map(({ length }) => length).join() : kernel.kind
