import { beforeAll, describe, expect, it } from 'vitest'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import { type Expr, input } from '../../src/kernels/expr.js'
import { longestRow } from '../../src/kernels/kernel.js'
import { clone } from '../../src/model/clone.js'
import { foreachTensors } from '../../src/model/foreach.js'
import { linear, parameter, relu, sequential } from '../../src/nn/index.js'
import {
  conv2d,
  crossEntropy,
  dropout,
  layerNorm,
  logSoftmax,
  maxPool2d,
  softmax,
  tensor,
} from '../../src/ops/index.js'
import { adam, adamw, rmsprop, sgd } from '../../src/optim/index.js'
import { capture } from '../../src/program/capture.js'
import { compile } from '../../src/program/compile.js'
import { bytesMoved } from '../../src/program/explain.js'
import { fuse } from '../../src/program/fuse/index.js'
import type { Node } from '../../src/program/node.js'
import { Device, setDefaultDevice } from '../../src/tensor/device.js'
import { emptyTensor } from '../../src/tensor/record.js'
import { copy, ema, follow, schedules, update } from '../../src/update/index.js'
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

const passesOf = (nodes: readonly Node[]) =>
  nodes.flatMap(({ kernel }) => (kernel.kind === 'rows' ? [kernel.stages.map(({ pass }) => pass)] : []))

describe('rows', () => {
  it('softmax is one kernel that reads its input once, and so is its gradient', () => {
    const { before, after } = fused([[32, 100]], (x) => softmax(x, -1))
    expect(kinds(before)).toEqual(['reduce', 'reduce', 'map'])
    expect(passesOf(after)).toEqual([['max', 'sum', 'each']])
    expect(moved(after)).toBe(2 * 3200 * 4)
    const back = fused([[32, 100]], (x) => (softmax(x.trace(), -1) as AnyX).square().sum().backward().get(x))
    expect(passesOf(back.after)).toEqual([
      ['max', 'sum', 'each'],
      ['sum', 'each'],
    ])
  })

  it('log-softmax, layer normalisation, a mean', () => {
    expect(passesOf(fused([[4, 8, 16]], (x) => logSoftmax(x, -1)).after)).toEqual([['max', 'sum', 'each']])
    expect(
      kinds(
        fused([[6, 50]], (x) =>
          layerNorm(x, tensor(new Float32Array(50), [50]) as AnyX, tensor(new Float32Array(50), [50]) as AnyX),
        ).after,
      ),
    ).toEqual(['rows'])
    const mean = fused([[6, 50]], (x) => x.mean(1 as never))
    expect(passesOf(mean.after)).toEqual([['sum', 'once']])
    expect(moved(mean.after)).toBe((300 + 6) * 4)
  })

  it('cross entropy with its gradient: one kernel between the gather and the scatter', () => {
    const y = tensor(new Int32Array(32), [32])
    const { after } = fused([[32, 10]], (x) => {
      const loss = crossEntropy(x.trace(), y) as AnyX
      return [loss, loss.backward().get(x)]
    })
    expect(kinds(after).filter((kind) => kind !== 'map')).toEqual(['gather', 'rows', 'rows', 'scatter'])
    expect(passesOf(after)).toEqual([
      ['max', 'once', 'sum', 'once', 'each'],
      ['sum', 'once'],
    ])
    // What is constant is left: the gradient that is scattered.
    expect(after.filter(({ kernel }) => kernel.kind === 'map' && kernel.inputs.length > 0)).toEqual([])
  })

  it('not along another axis than the last, for rows that threads share, or across rows', () => {
    expect(passesOf(fused([[32, 10]], (x) => softmax(x, 0)).after)).toEqual([])
    expect(passesOf(fused([[2, longestRow + 1]], (x) => softmax(x, 1)).after)).toEqual([])
    expect(passesOf(fused([[2, longestRow]], (x) => softmax(x, 1)).after)).toHaveLength(1)
    // The sum of all rows is needed before any of them can go on.
    const { after } = fused([[4, 5]], (x) => {
      const sums = x.sum(1 as never)
      const all = sums.sum().broadcastTo([4, 5])
      return x.mul(all).sub(sums.reshape([4, 1]).broadcastTo([4, 5]))
    })
    expect(kinds(after)).toEqual(['reduce', 'reduce', 'map'])
  })

  it('numbers that something else reads are stored, others are not', () => {
    const spread = (row: AnyX) => row.reshape([4, 1]).broadcastTo([4, 5])
    const stored = fused([[4, 5]], (x) => {
      const sums = x.sum(1 as never)
      return [sums, x.sub(spread(sums))]
    })
    expect(kinds(stored.after)).toEqual(['rows'])
    expect(moved(stored.after)).toBe((20 + 4 + 20) * 4)
    const dropped = fused([[4, 5]], (x) => x.sub(spread(x.sum(1 as never))))
    expect(moved(dropped.after)).toBe((20 + 20) * 4)
  })
})

describe('epilogues', () => {
  const carried = (nodes: readonly Node[]) =>
    nodes.flatMap(({ kernel }) => ('epilogue' in kernel && kernel.epilogue ? [kernel.epilogue] : []))

  it('bias and activation are computed where the product is stored', () => {
    const w = tensor(new Float32Array(48), [6, 8]) as AnyX
    const bias = tensor(new Float32Array(8), [8]) as AnyX
    const { before, after } = fused([[4, 6]], (x) =>
      x
        .matmul(w)
        .add(bias.broadcastTo([4, 8]))
        .relu(),
    )
    expect(kinds(before)).toEqual(['matmul', 'map', 'map'])
    expect(kinds(after)).toEqual(['matmul'])
    expect(moved(before)).toBe((24 + 48 + 32 + 32 + 8 + 32 + 32 + 32) * 4)
    expect(moved(after)).toBe((24 + 48 + 8 + 32) * 4)
  })

  it('also through a reshape, with a residual, and what computes the other side moves in, too', () => {
    const w = tensor(new Float32Array(36), [6, 6]) as AnyX
    const { after } = fused([[4, 6]], (x) => x.matmul(w).reshape([24]).mul(0.5).reshape([4, 6]).add(x.tanh()))
    expect(kinds(after)).toEqual(['matmul'])
    expect(carried(after)[0]?.inputs).toHaveLength(1)
    expect(moved(after)).toBe((24 + 36 + 24 + 24) * 4)
  })

  it('the activation of a convolution, and its mask behind the pooling', () => {
    const w = tensor(new Float32Array(18), [2, 1, 3, 3]) as AnyX
    const bias = tensor(new Float32Array(2), [2]) as AnyX
    const { after } = fused([[3, 1, 8, 8]], (x) => {
      const y = relu().forward(conv2d(x.trace(), w, bias, { padding: 1 } as never) as never)
      const loss = (maxPool2d(y as never, 2 as never) as AnyX).square().sum()
      return [loss, loss.backward().get(x)]
    })
    expect(carried(after)).toHaveLength(2)
    // What is left is the gradient of the loss.
    expect(kinds(after).filter((kind) => kind === 'map')).toHaveLength(1)
  })

  it('not where something else reads the product, or the map reads it in another way', () => {
    const w = tensor(new Float32Array(36), [6, 6]) as AnyX
    const both = fused([[6, 6]], (x) => {
      const y = x.matmul(w)
      return [y.exp(), y.sum()]
    })
    expect(carried(both.after)).toEqual([])
    const turned = fused([[6, 6]], (x) => {
      const y = x.matmul(w)
      return y.add(y.permute(1, 0))
    })
    expect(carried(turned.after)).toEqual([])
    expect(carried(fused([[6, 6]], (x) => x.matmul(w).permute(1, 0).exp()).after)).toEqual([])
    const result = fused([[6, 6]], (x) => {
      const y = x.matmul(w)
      return [y, y.exp()]
    })
    expect(carried(result.after)).toEqual([])
  })
})

describe('a whole step', () => {
  it('of an MLP takes 21 kernels instead of 39, and explain() says what each does and what it saves', () => {
    const model = sequential(
      linear(20, 16),
      relu(),
      linear(16, 12),
      relu(),
      linear(12, 8),
      relu(),
      linear(8, 5),
    ) as AnyX
    const optimizer = adam(model)
    const y = tensor(new Int32Array(6), [6])
    const step = (x: AnyX) => {
      const loss = crossEntropy(model.forward(x.trace()), y) as AnyX
      optimizer.step(loss.backward())
      return loss
    }
    const { before, after } = fused([[6, 20]], step)
    expect([before.length, after.length]).toEqual([39, 21])
    const count = (kind: string) => after.filter(({ kernel }) => kernel.kind === kind).length
    expect(['matmul', 'reduce', 'rows', 'gather', 'scatter', 'map', 'foreach'].map(count)).toEqual([
      11, 4, 2, 1, 1, 1, 1,
    ])
    const compiled = compile(step)
    compiled(tensor(new Float32Array(120), [6, 20]) as AnyX)
    const text = compiled.explain()
    expect(text).toMatch(/^39 kernels captured, 21 left after fusing/)
    expect(text).toContain(`fusing saves ${((moved(before) - moved(after)) / 1000).toFixed(1)} kB`)
    expect(text).toContain('[6, 20] x [20, 16] then add, max')
    expect(text).toContain('[6, 8] x [8, 12] then le, select')
    expect(text).toContain('max, once, sum, once, each of rows [6, 5]')
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

  it("shadows with schedules cost two accesses each, Kahan's four, all in the optimizer's pass", () => {
    const model = net()
    const optimizer = adam(model)
    const warming = follow(model, ema({ decay: schedules.inverse() }))
    const steady = follow(model, ema({ halfLife: 100 }), { nonFinite: 'skipElement' })
    const exact = follow(model, ema({ decay: 0.999999 }), { precision: 'kahan' })
    const all = fused(
      [[4, 20]],
      step(model, optimizer, () => {
        for (const shadow of [warming, steady, exact]) shadow.update()
      }),
    )
    expect(passes(all.after).map(bytesMoved)).toEqual([(7 + 2 + 2 + 4) * 4 * parameters])
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

  it('passes over the same tensors in another order are one; what writes what they have read comes after it', () => {
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
    const left = passes(fused([[2, 4]], body).after)
    expect(left.map(bytesMoved)).toEqual([(5 + 2) * 4 * 32, 3 * 4 * 32])
    for (const { make } of targets) {
      const run = (wrap: (step: (x: AnyX) => AnyX) => typeof step) => {
        setDefaultDevice(make())
        const pair = (...values: number[]) => values.map((value) => parameter(tensor([value, value + 1]))) as AnyX[]
        const [model, average] = [pair(1, 3), pair(5, 7)]
        const optimizer = sgd({ layers: model }, { lr: 0.5 })
        const step = wrap((x) => {
          const outputs = model.map((weight, i) =>
            weight
              .mul(x.trace())
              .sum()
              .mul(i + 1),
          )
          optimizer.step(outputs[0].add(outputs[1]).backward())
          update({ target: { average }, source: { average: [...model].reverse() } } as never, ema({ decay: 0.5 }))
          update({ target: { model }, source: { model: [...average].reverse() } } as never, ema({ decay: 0.75 }))
        })
        const x = tensor([0.25, -1]) as AnyX
        for (let i = 0; i < 3; i++) step(x)
        return [...model, ...average]
      }
      expectSameBits(
        run((step) => compile(step) as never),
        run((step) => step),
      )
    }
    setDefaultDevice(device)
  })

  it('one that reads the same element and another one stays apart', () => {
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
  const lines = (fn: (x: AnyX) => unknown) => {
    const step = compile(fn)
    step(tensor(new Float32Array(64), [8, 8]) as AnyX)
    return step.explain().split('\n')
  }

  it('names what was fused, counts by hand and speaks of one kernel', () => {
    const [first, second, third, ...table] = lines((x) => x.add(1).mul(2).exp())
    expect(first).toBe('3 kernels captured, 1 left after fusing, in 1 phase')
    // Three reads and three writes of 64 f32 have become one of each.
    expect(second).toMatch(/^512 B moved \(fusing saves 1\.0 kB\), 192 FLOP, about /)
    expect(third).toMatch(/^arena \d+ B, 0 host effects a run$/)
    expect(table.at(-1)).toMatch(/^ +0 +one +map +\[8, 8\]: add, mul, exp +512 B +192 FLOP$/)
    const long = (x: AnyX) => x.add(1).mul(2).exp().sub(1).neg()
    expect(lines(long).at(-1)).toContain('[8, 8]: 5 operations')
    expect(lines((x) => long(x).sum(1)).at(-1)).toContain('over 1 of 5 operations')
    expect(lines((x) => x.sum(1)).at(-1)).toMatch(/sum \[8, 8\] over 1 +288 B +64 FLOP$/)
    expect(lines((x) => x.sub(1).square().sum(1)).at(-1)).toMatch(/over 1 of sub, mul +288 B +192 FLOP$/)
  })

  it('counts what is added to twice: it is read and written', () => {
    const table = lines((x) => {
      const at = tensor(Int32Array.of(1, 2, 3), [3])
      return x.trace().gather(0, at).sum().backward().get(x)
    })
    const scatter = table.find((line) => line.includes('scatter'))
    expect(scatter).toContain(`${3 * 8 * 4 + 3 * 4 + 2 * 3 * 8 * 4} B`)
  })

  it('print a line a kernel, in one table', async () => {
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
      const profile = await step.profile(...args)
      expect(optimizer.steps).toBe(1)
      const [lines, timed] = [step.explain().split('\n'), profile.split('\n')]
      expect(lines.slice(0, 4)).toEqual([
        expect.stringMatching(/^\d+ kernels captured, \d+ left after fusing, in \d+ phases?$/),
        expect.stringMatching(
          /^[\d.]+ k?B moved \(fusing saves [\d.]+ k?B\), [\d.]+ k?FLOP, about [\d.]+ us on one thread$/,
        ),
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
