import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { clone } from '../../src/model/clone.js'
import { tensorsOf } from '../../src/model/walk.js'
import {
  batchNorm1d,
  convert,
  dropout,
  embedding,
  flatten,
  gelu,
  layerNorm,
  linear,
  relu,
  residual,
  sequential,
} from '../../src/nn/index.js'
import { crossEntropy, tensor } from '../../src/ops/index.js'
import { adam, adamw, rmsprop, sgd } from '../../src/optim/index.js'
import { compile } from '../../src/program/compile.js'
import { type Device, manualSeed, setDefaultDevice } from '../../src/tensor/device.js'
import { copy, ema, update } from '../../src/update/index.js'
import type { AnyX } from '../ops/cases.js'
import { Random } from '../../src/testing/conformance/random.js'
import { bitsOf, expectSameBits } from './bits.js'
import { targets } from './targets.js'

const optimizers: Record<string, (model: object) => AnyX> = {
  sgd: (model) => sgd(model, { lr: 0.05 }),
  'sgd with momentum': (model) => sgd(model, { lr: 0.05, momentum: 0.9, nesterov: true, weightDecay: 1e-3 }),
  adam: (model) => adam(model, { lr: 0.01 }),
  adamw: (model) => adamw(model, { lr: (step) => 0.01 / step }),
  rmsprop: (model) => rmsprop(model, { lr: 0.01, centered: true, momentum: 0.5 }),
}
const rules = {
  ema: () => [ema({ decay: 0.9 })],
  'ema of buffers too': () => [ema({ halfLife: 3 }), { buffers: 'blend' }],
  copy: () => [copy()],
}
const models: Record<string, () => AnyX> = {
  plain: () => sequential(linear(4, 16), relu(), linear(16, 3)),
  dropout: () => sequential(linear(4, 16), dropout(0.3), relu(), linear(16, 3)),
  batchNorm: () => sequential(linear(4, 12), batchNorm1d(12), relu(), dropout(0.2), linear(12, 3)),
  half: () => new Half(convert(models.batchNorm?.() ?? [], 'bf16')),
  layerNorm: () =>
    sequential(linear(4, 8), layerNorm(8), gelu(), residual(sequential(linear(8, 8), gelu())), linear(8, 3)),
}

/** Parameters and everything computed in bf16; batches and the loss are f32. */
class Half {
  constructor(readonly inner: AnyX) {}
  forward(x: AnyX): AnyX {
    return this.inner.forward(x.to('bf16')).to('f32')
  }
}

/** Everything that training changes. */
const stateOf = (device: Device, tensors: readonly object[], optimizer: { steps: number }): unknown => ({
  tensors: bitsOf(tensors.flatMap((model) => tensorsOf(model).map(({ tensor: t }) => t))),
  steps: optimizer.steps,
  draws: device.generator.state(),
})

/** Trains for some steps on new batches; the optimizer's state shows in the steps after. */
function train(
  device: Device,
  { make, optimize, rule }: { make: () => AnyX; optimize: (model: object) => AnyX; rule: () => AnyX },
  wrap: <F extends (...args: AnyX[]) => AnyX>(step: F) => F,
): unknown {
  manualSeed(11)
  const student = make()
  const teacher = clone(student)
  const optimizer = optimize(student)
  const step = wrap((x: AnyX, y: AnyX) => {
    const loss: AnyX = crossEntropy(student.forward(x.trace()), y)
    optimizer.step(loss.backward())
    const [how, options]: AnyX = rule()
    update({ target: teacher, source: student } as AnyX, how, options)
    return loss
  })
  const random = new Random(5)
  const losses: number[] = []
  for (let i = 0; i < 6; i++) {
    const x = tensor(
      Float32Array.from({ length: 24 }, () => random.between(-1, 1)),
      [6, 4],
    )
    const y = tensor(
      Int32Array.from({ length: 6 }, () => random.whole(0, 2)),
      [6],
    )
    losses.push(step(x, y).itemSync())
  }
  return { losses, state: stateOf(device, [student, teacher], optimizer) }
}

for (const { name: on, make: makeDevice } of targets) {
  describe(`compiled training = eager training on ${on}`, () => {
    const device = makeDevice()
    beforeAll(() => setDefaultDevice(device))
    afterAll(() => device.close())

    for (const [optimizerName, optimize] of Object.entries(optimizers)) {
      for (const [ruleName, rule] of Object.entries(rules)) {
        // Every optimizer with every rule on two models, and the others where they differ.
        const chosen = ruleName === 'ema' ? Object.keys(models) : ['plain', 'batchNorm']
        it.each(chosen)(`${optimizerName}, ${ruleName}, %s`, (model) => {
          const parts = { make: models[model] ?? (() => undefined), optimize, rule }
          const eager = train(device, parts, (step) => step)
          const compiled = train(device, parts, (step) => compile(step) as AnyX)
          expect(compiled).toEqual(eager)
        })
      }
    }

    it('several optimizers, shadows and updates in one step, also of one model twice', () => {
      const run = (wrap: (step: (x: AnyX) => AnyX) => (x: AnyX) => AnyX) => {
        manualSeed(3)
        const a = sequential(linear(4, 8), relu(), linear(8, 2)) as AnyX
        const b = sequential(linear(2, 8), relu(), linear(8, 1)) as AnyX
        const shadows = [clone(a), clone(a), clone(b)] as AnyX[]
        const [first, second] = [adam(a, { lr: 0.01 }), rmsprop(b, { lr: 0.01 })]
        const step = wrap((x) => {
          const hidden = a.forward(x.trace())
          first.step(b.forward(hidden).square().mean().backward())
          update({ target: shadows[0], source: a }, ema({ decay: 0.5 }))
          // Reads what has just been written.
          const again = b.forward(a.forward(x.trace())).square().mean()
          second.step(again.backward())
          first.step(a.forward(x.trace()).abs().mean().backward())
          update({ target: shadows[1], source: a }, ema({ decay: 0.9 }))
          update({ target: shadows[2], source: b }, copy())
          update({ target: a, source: shadows[0] }, ema({ decay: 0.75 }))
          return { loss: again, after: a.forward(x).sum(0) }
        })
        const x = tensor([
          [1, -2, 0.5, 3],
          [0.25, 2, -1, 1],
        ])
        const results = [0, 1, 2].map(() => bitsOf(step(x)))
        return { results, state: stateOf(device, [a, b, ...shadows], first) }
      }
      expect(run((step) => compile(step) as typeof step)).toEqual(run((step) => step))
    })

    it('embeddings and losses that are gathered', () => {
      const run = (wrap: (step: (words: AnyX, y: AnyX) => AnyX) => typeof step) => {
        manualSeed(4)
        const model = sequential(embedding(7, 4), flatten(), linear(8, 3)) as AnyX
        const optimizer = sgd(model, { lr: 0.1 })
        const step = wrap((words, y) => {
          const loss: AnyX = crossEntropy(model.forward(words), y)
          optimizer.step(loss.backward())
          return loss
        })
        const words = tensor(
          [
            [1, 6],
            [0, 3],
            [2, 2],
          ],
          { dtype: 'i32' },
        )
        const y = tensor([0, 2, 1], { dtype: 'i32' })
        return { losses: [step(words, y), step(words, y)].map(bitsOf), model: stateOf(device, [model], optimizer) }
      }
      // The tape starts at the weights here: nothing else can be traced.
      const traced = (wrap: <F>(step: F) => F) => run((step) => wrap((words: AnyX, y: AnyX) => step(words.trace(), y)))
      expect(traced((step) => compile(step as never) as never)).toEqual(traced((step) => step))
    })

    it('schedules and changed options take effect without capturing anew', () => {
      let captures = 0
      const run = (wrap: (step: () => void) => () => void) => {
        const model = linear(1, 1, { bias: false } as never) as AnyX
        model.weight.storage.write(0, new Uint8Array(Float32Array.of(10).buffer))
        const optimizer = sgd(model, { lr: (n) => 1 / n }) as AnyX
        const x = tensor([[1]])
        const step = wrap(() => {
          captures++
          optimizer.step(model.forward(x.trace()).sum().backward())
        })
        const weights = Array.from({ length: 20 }, (_, i) => {
          if (i === 10) optimizer.options.lr = 0.5
          if (i === 15) optimizer.options.lr = (n: number) => n
          step()
          return model.weight.itemSync()
        })
        return { weights, lr: optimizer.lr }
      }
      const eager = run((step) => step)
      expect(eager.weights[0]).toBe(9)
      expect((eager.weights[13] ?? 0) - (eager.weights[12] ?? 0)).toBeCloseTo(-0.5)
      captures = 0
      expect(run((step) => compile(step))).toEqual(eager)
      expect(captures).toBe(1)
    })

    it('options that are wrong, or change the formula, are refused and count no step', () => {
      const model = linear(1, 1, { bias: false } as never) as AnyX
      const optimizer = adam(model, { lr: 0.1 })
      const x = tensor([[1]])
      const step = compile(() => optimizer.step(model.forward(x.trace()).sum().backward()))
      step()
      const before = bitsOf([model.weight, optimizer.steps])
      const refused = (change: Partial<typeof optimizer.options>, message: string) => {
        const options = { ...optimizer.options }
        Object.assign(optimizer.options, change)
        expect(() => step()).toThrow(
          expect.objectContaining({ name: 'OptionError', message: expect.stringContaining(message) }),
        )
        expect(bitsOf([model.weight, optimizer.steps])).toEqual(before)
        Object.assign(optimizer.options, options)
      }
      refused({ lr: Number.NaN }, 'lr must be at least 0')
      refused({ beta1: 1 }, 'beta1 must be in [0, 1)')
      refused({ weightDecay: 0.1 }, 'compile the step again')
      optimizer.options.beta1 = 0.5
      step()
      expect(optimizer.steps).toBe(2)
    })

    it('eager and compiled steps of one model follow each other', () => {
      const run = (turns: readonly boolean[]) => {
        manualSeed(9)
        const model = sequential(linear(4, 8), dropout(0.5), relu(), linear(8, 2)) as AnyX
        const optimizer = adam(model, { lr: 0.01 })
        const eager = (x: AnyX): AnyX => {
          const loss = model.forward(x.trace()).square().mean()
          optimizer.step(loss.backward())
          return loss
        }
        const compiled = compile(eager)
        const x = tensor([[1, -2, 0.5, 3]])
        return {
          losses: turns.map((turn) => (turn ? compiled(x) : eager(x)).itemSync()),
          model: stateOf(device, [model], optimizer),
        }
      }
      expect(run([true, false, true, true, false])).toEqual(run([false, false, false, false, false]))
    })

    it('an evaluation after compiled steps sees the new parameters', () => {
      const model = linear(2, 1) as AnyX
      const optimizer = sgd(model, { lr: 0.5 })
      const step = compile((x: AnyX) => optimizer.step(model.forward(x.trace()).sum().backward()))
      const x = tensor([[1, 2]])
      const before = model.forward(x).itemSync()
      expect(step(x)).toBeUndefined()
      expect(model.forward(x).itemSync()).toBeCloseTo(before - 0.5 * (1 + 4 + 1), 5)
      expectSameBits(compile((input: AnyX) => model.forward(input))(x), model.forward(x))
    })
  })
}
