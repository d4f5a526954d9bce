import { inspect } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { clone } from '../../src/model/clone.js'
import { batchNorm1d, dropout, embedding, linear, relu, sequential } from '../../src/nn/index.js'
import { crossEntropy, oneHot, select, tensor } from '../../src/ops/index.js'
import { adam, sgd } from '../../src/optim/index.js'
import { copy, update } from '../../src/update/index.js'
import { compile, f32, i32 } from '../../src/program/index.js'
import {
  CaptureError,
  DeviceError,
  DisposedError,
  DTypeError,
  OptionError,
  ShapeError,
} from '../../src/shapes/errors.js'
import { type Device, manualSeed, setDefaultDevice } from '../../src/tensor/device.js'
import type { Backend } from '../../src/tensor/backend.js'
import { Device as DeviceOf } from '../../src/tensor/device.js'
import type { AnyX } from '../ops/cases.js'
import { bitsOf } from './bits.js'
import { targets } from './targets.js'

/** What a call throws. */
function caught(call: () => unknown): Error {
  try {
    call()
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('nothing was thrown')
}

for (const { name: on, make } of targets) {
  describe(`errors on ${on}`, () => {
    const { stackTraceLimit } = Error
    // As in Node; vitest shows more calls, and with them lines that users would not see.
    beforeEach(() => {
      Error.stackTraceLimit = 10
    })
    let device: Device
    let kept: AnyX
    beforeAll(() => {
      device = make()
      setDefaultDevice(device)
      kept = linear(2, 2)
    })
    afterAll(() => {
      Error.stackTraceLimit = stackTraceLimit
      return device.close()
    })
    const x = () => tensor([1, 2]) as AnyX

    it.each<[string, (y: AnyX) => unknown]>([
      ['itemSync', (y) => y.sum().itemSync()],
      ['item', (y) => y.sum().item()],
      ['dataSync', (y) => y.dataSync()],
      ['data', (y) => y.data()],
      ['arraySync', (y) => y.arraySync()],
      ['array', (y) => y.array()],
      ['comparison', (y) => (y.sum() > 1 ? y : y.neg())],
      ['arithmetic', (y) => Math.max(y.sum(), 3)],
    ])('reading with %s points at the line that reads and says what to use instead', (_, read) => {
      const { used } = device.memory()
      const y = x()
      const error = caught(() => compile((t: AnyX) => read(t.mul(2)))(y))
      expect(error).toBeInstanceOf(CaptureError)
      expect(error.message).toMatch(/captured.*return the tensor.*where\(\).*update\(…, \{ if:/)
      expect(error.stack).toContain('errors.test.ts')
      y.dispose()
      expect(device.memory().used).toBe(used)
      // Nothing is left in the state of capturing.
      expect(x().add(1).arraySync()).toEqual([2, 3])
    })

    it('errors of layers in layers point at the line that calls the model', () => {
      const model = sequential(sequential(sequential(linear(2, 2), relu()), relu()), linear(2, 1)) as AnyX
      const calls = [
        () => compile((t: AnyX) => model.forward(t.trace()))(tensor([1, 2, 3])),
        () => compile(() => clone(model))(),
        () => model.forward(tensor([1, 2, 3])),
      ]
      for (const call of calls) {
        expect(caught(call).stack).toContain('errors.test.ts')
        expect(Error.stackTraceLimit).toBe(10)
      }
      Error.stackTraceLimit = 0
      expect(caught(() => model.forward(tensor([1, 2, 3]))).stack).not.toContain('errors.test.ts')
    })

    it('print what they know, and nothing that they do not', () => {
      const error = caught(() => linear(2, 2).forward(tensor([1, 2, 3]) as never))
      expect(error).toMatchObject({ code: 'SHAPE', shapes: [[3], [2, 2]] })
      expect(Object.values(error)).not.toContain(undefined)
      expect(inspect(caught(() => compile(() => clone(kept))()))).not.toContain('undefined')
    })

    it('a parameter has no value of this step either', () => {
      const model = linear(2, 1) as AnyX
      expect(caught(() => compile(() => model.weight.arraySync())())).toBeInstanceOf(CaptureError)
    })

    it('printing is no reading', () => {
      const model = linear(2, 1) as AnyX
      const lines: string[] = []
      compile((t: AnyX) => {
        const y = t.trace().mul(2)
        lines.push(String(y), `${t}`, inspect(y), y.toString(), String(model.weight))
        return t
      })(x())
      expect(lines).toEqual([
        'Tensor [2] f32 taped (captured: no value yet)',
        'Tensor [2] f32 (captured: no value yet)',
        'Tensor [2] f32 taped (captured: no value yet)',
        'Tensor [2] f32 taped (captured: no value yet)',
        'Tensor [1, 2] f32 (captured: no value yet)',
      ])
      expect(String(model.weight)).toMatch(/^Tensor \[1, 2\] f32\n\[\[/)
    })

    it('what has leaked from a capture is gone', () => {
      let leaked: AnyX
      const step = compile((t: AnyX) => {
        leaked = t.mul(2)
        return leaked.add(1)
      })
      step(x())
      expect(() => leaked.dataSync()).toThrow(DisposedError)
      expect(() => leaked.dataSync()).toThrow('the compiled function it was made in has ended; return it from there')
    })

    it.each<[string, () => unknown, string]>([
      ['a model', () => linear(2, 2), 'outside the compiled function'],
      ['an optimizer', () => adam(kept), 'outside the compiled function'],
      ['a clone', () => clone(kept), 'outside the compiled function'],
    ])('making %s inside', (_, body, message) => {
      const { used } = device.memory()
      const error = caught(() => compile(body)())
      expect(error).toBeInstanceOf(CaptureError)
      expect(error.message).toContain(message)
      expect(error.stack).toContain('errors.test.ts')
      expect(device.memory().used).toBe(used)
    })

    it('writing host numbers into a tensor that exists', () => {
      const body = () => kept.weight.storage.write(0, new Uint8Array(16))
      expect(caught(() => compile(body)())).toBeInstanceOf(CaptureError)
    })

    it('a compiled function inside another, also one that was captured before', () => {
      const inner = compile((t: AnyX) => t.add(1))
      const bare = compile(() => kept.weight.mul(2))
      expect(inner(x()).arraySync()).toEqual([2, 3])
      bare()
      for (const call of [(t: AnyX) => inner(t), () => bare(), () => inner.profile(x())]) {
        const error = caught(() => compile(call)(x()))
        expect(error).toBeInstanceOf(CaptureError)
        expect(error.message).toContain('inside another')
      }
      expect(inner(x()).arraySync()).toEqual([2, 3])
    })

    it('promises and gradients as results', async () => {
      expect(caught(() => compile(async (t: AnyX) => t.add(1))(x())).message).toMatch(/^compile: .*promise/)
      const rejected = compile(async () => Promise.reject(new RangeError('later')))
      expect(caught(() => rejected()).message).toContain('promise')
      const step = compile((t: AnyX) => ({ gradients: kept.forward(t.trace()).sum().backward() }))
      expect(caught(() => step(x())).message).toContain('gradients.get')
      await new Promise((resolve) => setTimeout(resolve, 0))
    })

    it('generators as functions', () => {
      const body = function* (t: AnyX) {
        yield t.add(1)
      }
      const later = async function* (t: AnyX) {
        yield t.add(1)
      }
      for (const generator of [body, later] as ((t: AnyX) => unknown)[]) {
        const error = caught(() => compile(generator)(x()))
        expect(error).toBeInstanceOf(CaptureError)
        expect(error.message).toBe(
          'compile: the function is a generator, of which nothing has run yet; ' +
            'return the tensors, in arrays or objects if there are several.',
        )
      }
      expect(compile((t: AnyX) => ({ next: t.add(1), sequence: [...body(t)] }))(x()).next.arraySync()).toEqual([2, 3])
    })

    it('arguments and results that hold themselves', () => {
      const circle = (t: AnyX) => {
        const node: { t: AnyX; self?: unknown; list: unknown[] } = { t, list: [] }
        node.list.push(t, { node })
        return node
      }
      const calls = [
        () => compile((node: AnyX) => node.t.add(1))(circle(x())),
        () => compile([f32(2)], (t) => t.add(1))(circle(x()) as never),
        () => compile((t: AnyX) => circle(t.add(1)))(x()),
      ]
      for (const call of calls) {
        const error = caught(call)
        expect(error).toBeInstanceOf(CaptureError)
        expect(error.message).toContain(
          'holds itself, or arrays and objects 1000 deep; take or return only the tensors',
        )
      }
      let deep: AnyX = x()
      for (let i = 0; i < 900; i++) deep = [deep]
      expect((compile((t: AnyX) => t) as AnyX)(deep).flat(Infinity)[0].arraySync()).toEqual([1, 2])
    })

    it('backward() outside, where the tape has ended', () => {
      const loss = compile((t: AnyX) => kept.forward(t.trace()).sum())(x())
      expect(caught(() => loss.backward()).message).toContain(
        '(what compiled functions return is on no tape: call backward() inside them)',
      )
    })

    it('tensors where the program cannot reach them: in maps, sets and instances', () => {
      class Batch {
        constructor(readonly images: AnyX) {}
      }
      const wraps: [string, (t: AnyX) => unknown][] = [
        ['Batch', (t) => new Batch(t)],
        ['Map', (t) => new Map([['t', t]])],
        ['Set', (t) => new Set([t])],
      ]
      for (const [name, wrap] of wraps) {
        const passed = caught(() => compile((_: unknown) => kept.weight.mul(2) as AnyX)(wrap(x())))
        expect(passed).toBeInstanceOf(CaptureError)
        expect(passed.message).toContain(
          `an argument is a ${name} with tensors, whose values would stay in the program`,
        )
        const returned = caught(() => compile((t: AnyX) => [wrap(t.mul(2))])(x()))
        expect(returned).toBeInstanceOf(CaptureError)
        expect(returned.message).toContain(`returned a ${name} with tensors`)
        // What lasts may be in them.
        expect(compile(() => wrap(kept.weight))()).toBeDefined()
      }
      class Model {
        shift = tensor([1, 2])
        forward = (t: AnyX) => t.add(this.shift)
      }
      expect(compile((model: Model, t: AnyX) => model.forward(t))(new Model(), x()).arraySync()).toEqual([2, 4])
      const step = compile([{ images: f32(2) }], ({ images }) => images.mul(2))
      expect(step(new Batch(x()) as never).arraySync()).toEqual([2, 4])
    })

    it('taped, disposed and foreign arguments', () => {
      const step = compile((t: AnyX) => t.add(1))
      expect(caught(() => step(x().trace())).message).toContain('.trace() inside')
      const gone = x()
      gone.dispose()
      expect(caught(() => step(gone))).toBeInstanceOf(DisposedError)
      const other = tensor([1, 2], { device: make() })
      const two = compile((a: AnyX, b: AnyX) => a.add(b))
      const error = caught(() => two(x(), other))
      expect(error).toBeInstanceOf(DeviceError)
      expect(error.message).toMatch(/on (\w+) and on another \1 device/)
      expect(caught(() => compile((a: AnyX) => a)(new Float32Array(2))).message).toContain('state the signature')
      expect(step.programs + two.programs).toBe(0)
    })

    it('computing on another device than the captured one', () => {
      const other = tensor([1, 2], { device: make() }) as AnyX
      const error = caught(() => compile((t: AnyX) => [t, other.mul(2)])(x()))
      expect(error).toBeInstanceOf(CaptureError)
      expect(error.message).toContain('one device')
    })

    it('shape, dtype and number of arguments before the data', () => {
      let captures = 0
      const step = compile([f32(2, 3), i32(2), f32()], (a) => {
        captures++
        return a
      }) as AnyX
      const [a, y] = [new Float32Array(6), new Int32Array(2)]
      const cases: [unknown[], new (...args: never[]) => Error, string][] = [
        [
          [tensor([[1, 2]]), y, 1],
          ShapeError,
          'argument 0 must be a f32 tensor of shape [2, 3], got a f32 tensor of shape [1, 2]',
        ],
        [
          [new Float32Array(5), y, 1],
          ShapeError,
          'argument 0 must be a f32 tensor of shape [2, 3] or its 6 elements, got 5',
        ],
        [[a, tensor([1, 2]), 1], DTypeError, 'argument 1 must be a i32 tensor of shape [2], got f32'],
        [[a, Float32Array.of(1, 2), 1], DTypeError, 'argument 1 must be a i32 tensor of shape [2] or a Int32Array'],
        [[a, [1, 2], 1], DTypeError, 'got Array'],
        [[a, 1, 1], DTypeError, 'argument 1 must be a i32 tensor of shape [2] or a Int32Array of its elements, got 1'],
        [[a, y], ShapeError, 'takes 3 arguments, got 2'],
        [[a, y, 1, 1], ShapeError, 'takes 3 arguments, got 4'],
        [[a, y, undefined], DTypeError, 'got undefined'],
        [[a, y, null], DTypeError, 'got null'],
      ]
      const { used } = device.memory()
      for (const [args, type, message] of cases) {
        const error = caught(() => step(...args))
        expect(error).toBeInstanceOf(type)
        expect(error.message).toContain(message)
      }
      expect(captures).toBe(0)
      expect(device.memory().used).toBeLessThan(used + 1024)
      expect(caught(() => (compile([i32()], (n) => n) as AnyX)(1.5)).message).toContain('no value of i32')
      expect(caught(() => (compile([i32()], (n) => n) as AnyX)(2 ** 31)).message).toContain('no value of i32')
      for (const none of [[[f32(2)]], [], [3]])
        expect(caught(() => (compile as AnyX)(...none)).message).toContain(
          'needs a function, alone or after a signature',
        )
    })

    it('signatures that state no tensors, when compiling', () => {
      const cases: [unknown, string][] = [
        [[[2, 3]], 'argument 0[0] of the signature is 2,'],
        [[f32(2), { x: 'f32' }], 'argument 1.x of the signature is "f32"'],
        [[null], 'argument 0 of the signature is null'],
        [[{ shape: [2], dtype: 'f8' }], 'argument 0.shape[0] of the signature is 2'],
        [[new Map()], 'argument 0 of the signature is Map'],
      ]
      for (const [signature, message] of cases) {
        const error = caught(() => (compile as AnyX)(signature, (t: AnyX) => t))
        expect(error).toBeInstanceOf(OptionError)
        expect(error.message).toContain(message)
        expect(error.message).toContain('state f32(32, 784)')
      }
      for (const wrong of [() => f32(-1), () => i32(1.5), () => (f32 as AnyX)([2, 3])])
        expect(caught(wrong)).toBeInstanceOf(ShapeError)
    })

    it('an index out of range changes nothing that lasts, and the next run is right', () => {
      manualSeed(1)
      const model = sequential(linear(4, 6), batchNorm1d(6), dropout(0.3), linear(6, 3)) as AnyX
      const optimizer = adam(model, { lr: 0.1 })
      const step = compile((input: AnyX, y: AnyX) => {
        const loss: AnyX = crossEntropy(model.forward(input.trace()), y)
        optimizer.step(loss.backward())
        return loss
      })
      const input = tensor([
        [1, 2, 3, 4],
        [4, 3, 2, 1],
        [0, 1, 0, 2],
      ])
      const labels = (...list: number[]) => tensor(list, { dtype: 'i32' })
      step(input, labels(0, 1, 2))
      const lasting = () =>
        bitsOf([model.layers[0].weight, model.layers[0].bias, model.layers[3].weight, optimizer.steps])
      const before = [lasting(), device.generator.state()]
      for (const bad of [labels(0, 3, 1), labels(0, 1, -1), labels(1 << 30, 0, 0)]) {
        const error = caught(() => step(input, bad))
        expect(error).toBeInstanceOf(ShapeError)
        expect(error.message).toMatch(/index -?\d+ at position \d is out of range.*size 3/)
        expect([lasting(), device.generator.state()]).toEqual(before)
        expect(caught(() => step.profile(input, bad))).toBeInstanceOf(ShapeError)
        expect([lasting(), device.generator.state()]).toEqual(before)
      }
      expect(step(input, labels(0, 1, 2)).itemSync()).toBeGreaterThan(0)
      expect(optimizer.steps).toBe(2)
    })

    it('an index out of range is told in the words of the op, compiled as called plainly', () => {
      const x = tensor([
        [1, 2, 3],
        [4, 5, 6],
      ]) as AnyX
      const table = embedding(3, 2) as AnyX
      const index = tensor([0, 7], { dtype: 'i32' }) as AnyX
      const cases: Record<string, (index: AnyX) => AnyX> = {
        crossEntropy: (y) => crossEntropy(x, y),
        select: (i) => select(x as never, 1 as never, i as never),
        gather: (i) => x.gather(1, i),
        oneHot: (i) => oneHot(i, 3 as never),
        embedding: (i) => table.forward(i),
        'a gradient': (y) => (crossEntropy(x.trace(), y) as AnyX).backward().get(x),
      }
      const messages = Object.values(cases).map((run) => {
        const [eager, compiled] = [() => run(index), () => compile(run)(index)].map(
          (call) => caught(call) as ShapeError,
        )
        const told = (error: ShapeError | undefined) => [error?.name, error?.message, error?.op]
        expect(told(compiled)).toEqual(told(eager))
        return eager?.message.match(/^(\w+): index 7 at position 1 is out of range/)?.[1]
      })
      expect(messages).toEqual(['crossEntropy', 'select', 'gather', 'oneHot', 'embedding', 'crossEntropy'])
    })

    it('an index out of range in a large gather, which threads share', () => {
      const weight = tensor(new Float32Array(300 * 64).fill(1), [300, 64])
      const shadow = linear(64, 300, { bias: false } as never) as AnyX
      const optimizer = sgd(shadow, { lr: 1 })
      const step = compile((t: AnyX, at: AnyX) => {
        const rows = t.trace().gather(0, at)
        optimizer.step(
          rows
            .mul(shadow.weight.trace().slice([[0, 256]]))
            .sum()
            .backward(),
        )
        return t.gather(0, at)
      })
      const at = (value: number) =>
        tensor(
          Int32Array.from({ length: 256 }, (_, i) => (i === 200 ? value : i)),
          [256],
        )
      const before = bitsOf(shadow.weight)
      for (const value of [300, -1, 2 ** 31 - 1]) {
        expect(caught(() => step(weight, at(value))).message).toContain(`index ${value} at position 200`)
        expect(bitsOf(shadow.weight)).toEqual(before)
      }
      expect(step(weight, at(7)).arraySync()[200]).toEqual(new Array(64).fill(1))
      expect(optimizer.steps).toBe(1)
    })

    it('an index that was out of range once does not stop later runs that skip it', () => {
      const [source, target] = [linear(2, 2), linear(2, 2)] as [AnyX, AnyX]
      const step = compile((use: AnyX, t: AnyX, at: AnyX) => {
        let rows: AnyX
        device.whenTrue(use.storage, 0, () => {
          rows = t.gather(0, at)
        })
        update({ target, source } as never, copy())
        return rows
      })
      const at = (i: number) => tensor([i], { dtype: 'i32' })
      const before = bitsOf(target.weight)
      expect(caught(() => step(tensor(true), x(), at(2))).message).toContain('index 2 at position 0')
      expect(bitsOf(target.weight)).toEqual(before)
      step(tensor(false), x(), at(2))
      expect(bitsOf(target.weight)).toEqual(bitsOf(source.weight))
    })

    it('exhausted memory is found before the step starts and leaves nothing allocated', async () => {
      const small = make(8 << 20)
      setDefaultDevice(small)
      try {
        const model = linear(256, 256) as AnyX
        const optimizer = adam(model)
        const step = compile((t: AnyX) => {
          const wide = t
            .trace()
            .broadcastTo([4096, 256])
            .add(tensor(new Float32Array(64).fill(1), [64]).sum().broadcastTo([4096, 256]))
          const result = wide.detach().mul(1)
          optimizer.step(model.forward(wide).square().mean().backward())
          return result
        })
        const input = tensor(new Float32Array(256).fill(1), [1, 256])
        const [{ used }, before] = [small.memory(), bitsOf(model.weight)]
        for (let i = 0; i < 2; i++) {
          const error = caught(() => step(input))
          expect(error).toBeInstanceOf(DeviceError)
          expect(error.message).toMatch(/\d.* (were|are) needed/)
          expect(small.memory().used).toBe(used)
        }
        expect([optimizer.steps, step.programs, bitsOf(model.weight)]).toEqual([0, 0, before])
        // The program fits, its result does not: nothing is done either.
        const keep = compile((t: AnyX) => {
          optimizer.step(model.forward(t.trace()).mean().backward())
          return t.broadcastTo([768, 256]).mul(2)
        })
        const results: AnyX[] = []
        const fill = () => {
          for (;;) results.push(keep(input))
        }
        expect(caught(fill)).toBeInstanceOf(DeviceError)
        expect(results.length).toBeGreaterThan(0)
        expect(optimizer.steps).toBe(results.length)
        const full = small.memory().used
        const state = bitsOf(model.weight)
        expect(caught(() => keep(input))).toBeInstanceOf(DeviceError)
        expect([optimizer.steps, small.memory().used, bitsOf(model.weight)]).toEqual([results.length, full, state])
        results.pop()?.dispose()
        keep(input)
        expect(optimizer.steps).toBe(results.length + 2)
      } finally {
        setDefaultDevice(device)
        await small.close()
      }
    })

    it('a schedule that throws counts no step, draws nothing and writes nothing', () => {
      const model = sequential(linear(2, 4), dropout(0.5), linear(4, 1)) as AnyX
      let broken = false
      const lr = () => {
        if (broken) throw new RangeError('no rate for this step')
        return 0.1
      }
      const [first, second] = [sgd(model, { lr: 0.1 }), sgd(model, { lr })]
      const step = compile((t: AnyX) => {
        first.step(model.forward(t.trace()).sum().backward())
        second.step(model.forward(t.trace()).sum().backward())
      })
      const input = tensor([[1, 2]])
      step(input)
      const state = () => [first.steps, second.steps, device.generator.state(), bitsOf(model.layers[0].weight)]
      const before = state()
      broken = true
      expect(caught(() => step(input))).toBeInstanceOf(RangeError)
      expect(state()).toEqual(before)
      broken = false
      step(input)
      expect([first.steps, second.steps]).toEqual([2, 2])
    })

    it('an argument that fails after others were bound changes nothing', () => {
      const model = linear(2, 1) as AnyX
      const optimizer = sgd(model, { lr: 1 })
      const step = compile((a: AnyX, b: AnyX) => optimizer.step(model.forward(a.trace()).add(b).sum().backward()))
      const [a, b] = [tensor([[1, 2]]), tensor([[1]])]
      step(a, b)
      const before = [optimizer.steps, bitsOf(model.weight)]
      b.dispose()
      expect(caught(() => step(a, b))).toBeInstanceOf(DisposedError)
      expect([optimizer.steps, bitsOf(model.weight)]).toEqual(before)
    })

    it('kernels that fail (a dead thread) count no step', () => {
      let fail = false
      const { backend } = device
      const failing: Backend = Object.create(backend, {
        compile: {
          value: undefined,
        },
        run: {
          value: (...args: Parameters<Backend['run']>) => {
            if (fail && args[0].kind === 'foreach') throw new DeviceError('A worker thread did not answer.')
            backend.run(...args)
          },
        },
        ...Object.fromEntries(
          (['allocate', 'free', 'write', 'read', 'readSync', 'copy', 'memory', 'supports'] as const).map((name) => [
            name,
            { value: (...args: never[]) => (backend[name] as AnyX)(...args) },
          ]),
        ),
      })
      const broken = new DeviceOf(failing)
      setDefaultDevice(broken)
      try {
        const model = linear(2, 1) as AnyX
        const optimizer = adam(model)
        const step = compile((t: AnyX) => {
          const loss = model.forward(t.trace()).sum()
          optimizer.step(loss.backward())
          return loss
        })
        const input = tensor([[1, 2]])
        step(input)
        fail = true
        expect(caught(() => step(input)).message).toContain('worker thread')
        expect(optimizer.steps).toBe(1)
        fail = false
        step(input)
        expect(optimizer.steps).toBe(2)
      } finally {
        setDefaultDevice(device)
      }
    })
  })
}
