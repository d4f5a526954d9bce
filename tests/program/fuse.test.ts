import { beforeAll, describe, expect, it } from 'vitest'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import { type Expr, input } from '../../src/kernels/expr.js'
import { clone } from '../../src/model/clone.js'
import { foreachTensors } from '../../src/model/foreach.js'
import { linear, relu, sequential } from '../../src/nn/index.js'
import { crossEntropy, dropout, softmax, tensor } from '../../src/ops/index.js'
import { adam, adamw, rmsprop, sgd } from '../../src/optim/index.js'
import { capture } from '../../src/program/capture.js'
import { compile } from '../../src/program/compile.js'
import { bytesMoved } from '../../src/program/explain.js'
import { fuse } from '../../src/program/fuse.js'
import type { Node } from '../../src/program/node.js'
import { Device, setDefaultDevice } from '../../src/tensor/device.js'
import { emptyTensor } from '../../src/tensor/record.js'
import { copy, ema, update } from '../../src/update/index.js'
import type { AnyX } from '../ops/cases.js'
import { expectSameBits } from './bits.js'
import { targets } from './targets.js'

let device: Device
beforeAll(() => {
  device = new Device(createReferenceBackend())
  setDefaultDevice(device)
})

/** The kernels of a function of f32 tensors of these shapes, before and after fusing. */
function fused(
  shapes: readonly (readonly number[])[],
  fn: (...args: AnyX[]) => unknown,
): { before: Node[]; after: Node[] } {
  const captured = capture(device, (standIn) => fn(...shapes.map((shape) => standIn({ shape, dtype: 'f32' }))))
  const results = new Set(captured.outputs.map(({ storage }) => storage))
  return { before: [...captured.nodes], after: fuse(captured.nodes, results) }
}
const kinds = (nodes: readonly Node[]) => nodes.map(({ kernel }) => kernel.kind)
const moved = (nodes: readonly Node[]) => nodes.reduce((sum, node) => sum + bytesMoved(node), 0)
const passes = (nodes: readonly Node[]) => nodes.filter(({ kernel }) => kernel.kind === 'foreach')

describe('maps and reductions', () => {
  it('a chain of maps is one, and reads and writes each element once', () => {
    const { before, after } = fused([[8, 16]], (x) => x.mul(2).add(1).tanh().neg().relu())
    expect(before).toHaveLength(5)
    expect(kinds(after)).toEqual(['map'])
    expect(moved(after)).toBe(2 * 128 * 4)
  })

  it('a map before a reduction moves into it, also through a reshape', () => {
    const { after } = fused([[8, 16]], (x) => x.mul(x).reshape([128]).add(1).sum())
    expect(kinds(after)).toEqual(['reduce'])
    expect(moved(after)).toBe(129 * 4)
  })

  it('one with several readers is computed again when that is cheap, and stored when not', () => {
    const cheap = fused([[100]], (x) => {
      const y = x.mul(2)
      return [y.sum(), y.exp()]
    })
    expect(kinds(cheap.after)).toEqual(['reduce', 'map'])
    const costly = fused([[100]], (x) => {
      const y = x.exp()
      return [y.sum(), y.add(1)]
    })
    expect(kinds(costly.after)).toEqual(['map', 'reduce', 'map'])
  })

  it('nothing costly is computed twice because a result or another layout needs it stored', () => {
    const exps = ({ after }: { after: Node[] }) =>
      after.filter(({ kernel }) => kernel.kind === 'map' && kernel.exprs.some((e) => e.key.includes('exp'))).length
    expect(exps(fused([[100]], (x) => ((y: AnyX) => [y, y.add(1)])(x.exp())))).toBe(1)
    expect(exps(fused([[10, 10]], (x) => ((y: AnyX) => y.add(y.permute(1, 0)))(x.exp())))).toBe(1)
    const both = fused([[100]], (x) => {
      const y = x.exp()
      const z = y.neg()
      return [z, z.add(1), y.mul(3)]
    })
    expect(exps(both)).toBe(1)
    const result = fused([[100]], (x) => {
      const y = x.exp()
      const z = y.neg()
      return [z, z.add(y)]
    })
    expect(exps(result)).toBe(1)
  })

  it('dead work goes', () => {
    const { before, after } = fused([[10]], (x) => {
      x.exp().sum()
      return x.add(1)
    })
    expect(before).toHaveLength(3)
    expect(kinds(after)).toEqual(['map'])
  })

  it('random numbers stay in their own order when they move into what reads them', () => {
    const { after } = fused([[6, 4]], (x) =>
      dropout(x, { p: 0.5, training: true } as never)
        .reshape([24])
        .sum(),
    )
    expect(kinds(after)).toEqual(['reduce'])
  })

  it('softmax and cross entropy with its gradient', () => {
    expect(fused([[32, 10]], (x) => softmax(x, -1)).after.length).toBeLessThanOrEqual(3)
    const y = tensor(new Int32Array(32), [32])
    const loss = fused([[32, 10]], (x) => {
      const traced = x.trace()
      return (crossEntropy(traced, y) as AnyX).backward().get(x)
    })
    expect(loss.after.length).toBeLessThan(loss.before.length)
  })

  it('a map of a parameter is not moved behind a write to it', () => {
    for (const { make } of targets) {
      setDefaultDevice(make())
      const run = (wrap: (step: (x: AnyX) => AnyX) => typeof step) => {
        const model = linear(3, 1, { bias: false } as never) as AnyX
        model.weight.storage.write(0, new Uint8Array(Float32Array.of(1, 2, 3).buffer))
        const other = clone(model)
        const optimizer = sgd(model, { lr: 0.5 })
        const step = wrap((x) => {
          const before = model.weight.mul(2)
          const kept = other.weight.add(1)
          optimizer.step(model.forward(x.trace()).sum().backward())
          update({ target: other, source: model } as never, copy())
          return [before.add(1), kept.neg(), model.weight.mul(2), other.weight.sum()]
        })
        const x = tensor([[1, 2, 4]])
        return [step(x), step(x)]
      }
      expectSameBits(
        run((step) => compile(step) as never),
        run((step) => step),
      )
    }
    setDefaultDevice(device)
  })
})

describe('whole-model passes', () => {
  const net = () => sequential(linear(20, 30), relu(), linear(30, 5)) as AnyX
  const parameters = 20 * 30 + 30 + 30 * 5 + 5
  const step = (model: AnyX, optimizer: AnyX, after: () => void) => (x: AnyX) => {
    optimizer.step(model.forward(x.trace()).square().mean().backward())
    after()
  }

  it.each([
    ['sgd', (m: object) => sgd(m, { lr: 0.1 }), 3],
    ['sgd with momentum', (m: object) => sgd(m, { lr: 0.1, momentum: 0.9 }), 5],
    ['adam', (m: object) => adam(m), 7],
    ['adamw', (m: object) => adamw(m), 7],
    ['rmsprop', (m: object) => rmsprop(m), 5],
  ])('%s and EMA in one pass: two accesses more than the optimizer alone', (_, make, accesses) => {
    const model = net()
    const teacher = clone(model)
    const optimizer = make(model)
    const alone = fused(
      [[4, 20]],
      step(model, optimizer, () => undefined),
    )
    expect(passes(alone.after).map(bytesMoved)).toEqual([accesses * 4 * parameters])
    const both = fused(
      [[4, 20]],
      step(model, optimizer, () => update({ target: teacher, source: model } as never, ema({ decay: 0.9 }))),
    )
    expect(passes(both.after).map(bytesMoved)).toEqual([(accesses + 2) * 4 * parameters])
  })

  it('Adam and EMA: 9 accesses, 36 bytes a parameter, as explain() says', () => {
    const model = net()
    const teacher = clone(model)
    const optimizer = adam(model)
    const compiled = compile(
      step(model, optimizer, () => update({ target: teacher, source: model } as never, ema({ decay: 0.9 }))),
    )
    compiled(tensor(new Float32Array(80), [4, 20]))
    const line = compiled
      .explain()
      .split('\n')
      .filter((l) => l.includes('foreach'))
    expect(line).toHaveLength(1)
    expect(line[0]).toContain('4 tensors, 5 read and 4 written an element')
    expect(line[0]).toContain(`${((36 * parameters) / 1000).toFixed(1)} kB`)
  })

  it('two shadows and a hard copy: one pass, two accesses each, the copy one', () => {
    const model = net()
    const shadows = [clone(model), clone(model), clone(model)]
    const optimizer = adam(model)
    const rules = [ema({ decay: 0.9 }), ema({ halfLife: 100 }), copy()]
    const { after } = fused(
      [[4, 20]],
      step(model, optimizer, () => {
        rules.forEach((rule, i) => {
          update({ target: shadows[i], source: model } as never, rule)
        })
      }),
    )
    expect(passes(after).map(bytesMoved)).toEqual([(7 + 2 + 2 + 1) * 4 * parameters])
  })

  it('passes in which one reads other elements of what the other writes stay apart', () => {
    const [a, b] = [linear(4, 4, { bias: false } as never), linear(4, 4, { bias: false } as never)] as [AnyX, AnyX]
    const [p, q] = [clone(a), clone(b)]
    const model = { layers: [a, b] }
    const crossed = { layers: [b, a] }
    const target = { layers: [p, q] }
    const optimizer = sgd(model, { lr: 0.1, momentum: 0.5 })
    const body = (x: AnyX) => {
      optimizer.step(b.forward(a.forward(x.trace())).sum().backward())
      update({ target, source: crossed } as never, ema({ decay: 0.5 }))
      update({ target: model, source: { layers: [q, p] } } as never, ema({ decay: 0.75 }))
    }
    expect(passes(fused([[2, 4]], body).after)).toHaveLength(3)
  })

  it('so does one that reads the same element and another one', () => {
    const [p, q, r, s] = Array.from({ length: 4 }, () => emptyTensor(device, 'f32', [8], 'parameter'))
    const pass = (exprs: Expr[], parts: (readonly [reads: AnyX[], write: AnyX])[]) =>
      foreachTensors(
        exprs,
        parts.map(([inputs, write]) => ({ reads: inputs, writes: [write] })),
        [],
      )
    const [a, b] = [input(0, 'f32'), input(1, 'f32')]
    const crossing = fused([], () => {
      pass(
        [a.mul(2)],
        [
          [[p], p],
          [[q], q],
        ],
      )
      pass(
        [a.add(b)],
        [
          [[p, q], r],
          [[q, p], s],
        ],
      )
    })
    expect(passes(crossing.after)).toHaveLength(2)
    const straight = fused([], () => {
      pass(
        [a.mul(2)],
        [
          [[p], p],
          [[q], q],
        ],
      )
      pass(
        [a.add(b)],
        [
          [[p, r], r],
          [[q, s], s],
        ],
      )
    })
    expect(passes(straight.after)).toHaveLength(1)
  })

  it('an optimizer that steps twice in one program does so in two passes', () => {
    const model = net()
    const optimizer = adam(model)
    const { after } = fused([[4, 20]], (x) => {
      for (let i = 0; i < 2; i++) optimizer.step(model.forward(x.trace()).square().mean().backward())
    })
    expect(passes(after)).toHaveLength(2)
  })
})

describe('explain and profile', () => {
  it('print a line a kernel, in one table', () => {
    for (const { make } of targets) {
      setDefaultDevice(make())
      const model = sequential(linear(4, 8), relu(), linear(8, 3)) as AnyX
      const optimizer = adam(model)
      const step = compile((x: AnyX, none: AnyX) => {
        optimizer.step(model.forward(x.trace()).square().mean().backward())
        return none.matmul(tensor(new Float32Array(0), [0, 2]))
      })
      expect(step.explain()).toContain('Not compiled yet')
      const args = [tensor([[1, 2, 3, 4]]), tensor(new Float32Array(0), [0, 0])] as [AnyX, AnyX]
      const profile = step.profile(...args)
      expect(optimizer.steps).toBe(1)
      const [lines, timed] = [step.explain().split('\n'), profile.split('\n')]
      expect(lines.slice(0, 4)).toEqual([
        expect.stringMatching(/^\d+ kernels captured, \d+ left after fusing, in \d+ phases$/),
        expect.stringMatching(/^[\d.]+ k?B moved, [\d.]+ k?FLOP, about [\d.]+ us on one thread$/),
        expect.stringMatching(/^arena [\d.]+ k?B, 2 host effects a run$/),
        expect.stringMatching(/^phase {2}on/),
      ])
      const count = Number(lines[0]?.match(/, (\d+) left/)?.[1])
      expect(lines).toHaveLength(4 + count)
      expect(timed).toHaveLength(4 + count)
      expect(timed[3]).toMatch(/time$/)
      for (const line of timed.slice(4)) expect(line).toMatch(/[\d.]+ [um]s$/)
      // All lines of the table have one width.
      expect(new Set(lines.slice(3).map((l) => l.length)).size).toBe(1)
    }
    setDefaultDevice(device)
  })
})
