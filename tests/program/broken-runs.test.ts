import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  compile,
  crossEntropy,
  Device,
  DeviceError,
  HalfWrittenError,
  manualSeed,
  setDefaultDevice,
  tensor,
} from 'dfdt'
import { loadModel, saveModel, saveModelSync } from 'dfdt/io'
import { clone, linear, relu, sequential } from 'dfdt/nn'
import { adam } from 'dfdt/optim'
import { copy, ema, follow, update } from 'dfdt/update'
import { WasmBackend } from '../../src/backends/wasm/backend.js'
import { nodeHost } from '../../src/backends/wasm/node.js'
import { median } from '../../bench/harness/median.js'
import type { Backend } from '../../src/tensor/backend.js'
import { recordOf } from '../../src/tensor/record.js'
import { block, watchWorkers } from '../backends/wasm/workers.js'
import { targets } from './targets.js'

const trials = 100
const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

describe('a thread that dies', () => {
  const backend = new WasmBackend({ mode: 'plain', threads: 2 }, { ...nodeHost, shareAll: true })
  const device = new Device(backend)
  const folder = mkdtempSync(join(tmpdir(), 'dfdt-broken-'))
  const { workers, stop } = watchWorkers()
  beforeAll(() => setDefaultDevice(device))
  afterAll(async () => {
    stop()
    rmSync(folder, { recursive: true })
    await device.close()
  })

  function training() {
    manualSeed(1)
    const student = sequential(linear(256, 512), relu(), linear(512, 256), relu(), linear(256, 10))
    const teacher = clone(student)
    const optimizer = adam(student)
    const x = tensor(
      Float32Array.from({ length: 64 * 256 }, (_, i) => Math.sin(i)),
      [64, 256],
    )
    const y = tensor(
      Int32Array.from({ length: 64 }, (_, i) => i % 10),
      [64],
    )
    const body = () => {
      const loss = crossEntropy(student.forward(x.trace()), y)
      optimizer.step(loss.backward())
      update({ target: teacher, source: student }, ema({ decay: 0.9 }))
      return loss
    }
    const weights = () => [student, teacher].map((model) => digest(saveModelSync(model)))
    return { student, teacher, optimizer, x, body, step: compile(body), weights }
  }

  /** Ends a thread at some moment of the steps that follow; what the first of them to fail throws, and after how long. */
  function broken(step: () => unknown): { readonly error: unknown; readonly milliseconds: number } {
    expect(backend.startThreads()).toBe(2)
    step()
    // Not awaited, and no turn of the event loop follows: the calling thread cannot hear of it.
    void workers.at(-1)?.terminate()
    block(Math.random() * 3)
    for (let i = 0; i < 5000; i++) {
      const start = performance.now()
      try {
        step()
      } catch (error) {
        return { error, milliseconds: performance.now() - start }
      }
    }
    throw new Error('no step failed')
  }

  it(`makes the run throw in ${trials} trials, and after loading all is as if nothing had been`, async () => {
    const { student, teacher, optimizer, step, weights } = training()
    const files = { student: join(folder, 'student.safetensors'), teacher: join(folder, 'teacher.safetensors') }
    writeFileSync(files.student, await saveModel(student))
    writeFileSync(files.teacher, await saveModel(teacher))
    const onDisk = () => Object.values(files).map((file) => digest(readFileSync(file)))
    const saved = onDisk()
    step()
    const expected = weights()
    const times: number[] = []
    for (let trial = 0; trial < trials; trial++) {
      loadModel(student, readFileSync(files.student))
      loadModel(teacher, readFileSync(files.teacher))
      optimizer.reset()
      step()
      expect([optimizer.steps, weights()]).toEqual([1, expected])

      const { error, milliseconds } = broken(step)
      times.push(milliseconds)
      expect(error).toBeInstanceOf(DeviceError)
      expect(error).toBeInstanceOf(HalfWrittenError)
      expect(String(error)).toMatch(/A worker thread ended while kernels ran.*loadModel.*optimizer\.reset\(\)/)
      const counted = optimizer.steps
      for (const use of [
        () => step(),
        () => student.layers[0].weight.dataSync(),
        () => saveModelSync(student),
        () => saveModelSync(teacher),
        () => writeFileSync(files.student, saveModelSync(student)),
        () => student.layers[2].weight.mul(2),
        () => clone(teacher),
        () => update({ target: teacher, source: student }, copy()),
      ])
        expect(use).toThrow(HalfWrittenError)
      await expect(saveModel(student)).rejects.toThrow(/half-written.*loadModel/)
      expect(optimizer.steps).toBe(counted)
      expect(onDisk()).toEqual(saved)
    }
    expect(device.halfWritten).toBeGreaterThan(0)
    loadModel(student, readFileSync(files.student))
    loadModel(teacher, readFileSync(files.teacher))
    optimizer.reset()
    expect(device.halfWritten).toBe(0)
    // Far less than the deadline on progress, also where a trial was held up by other work.
    expect(median(times)).toBeLessThan(300)
  }, 120_000)
})

for (const { name, make } of targets) {
  describe(`what a broken run leaves, on ${name}`, () => {
    const sound = make()
    /** While set, whole-model passes break off. */
    let broken = false
    const failing: Backend = new Proxy(sound.backend, {
      get(backend, key) {
        // Kernels one after another, so that the proxy sees them.
        if (key === 'compile') return undefined
        if (key === 'run')
          return (...[kernel, ...rest]: Parameters<Backend['run']>) => {
            if (broken && kernel.kind === 'foreach') throw new HalfWrittenError('A worker thread ended.')
            backend.run(kernel, ...rest)
          }
        const value: unknown = Reflect.get(backend, key, backend)
        return typeof value === 'function' ? value.bind(backend) : value
      },
    })
    const device = new Device(failing)
    beforeAll(() => setDefaultDevice(device))
    afterAll(() => sound.close())

    const setting = () => {
      manualSeed(3)
      const model = linear(3, 2)
      const optimizer = adam(model, { lr: 0.1 })
      const x = tensor([[1, 2, 3]])
      const step = () => optimizer.step(model.forward(x.trace()).square().sum().backward())
      return { model, optimizer, x, step, saved: saveModelSync(model) }
    }
    const breakOff = (step: () => unknown) => {
      broken = true
      try {
        expect(step).toThrow(HalfWrittenError)
      } finally {
        broken = false
      }
    }

    it.each(['eager', 'compiled'])('%s: the parameters and the state of the optimizer, and nothing else', (how) => {
      const { model, optimizer, x, step: body, saved } = setting()
      const step = how === 'compiled' ? compile(body) : body
      step()
      const fresh = digest(saveModelSync(model))
      loadModel(model, saved)
      optimizer.reset()
      expect(optimizer.steps).toBe(0)
      breakOff(step)
      expect(optimizer.steps).toBe(0)
      expect(device.halfWritten).toBe(6)
      expect(String(model.weight)).toBe('Tensor [2, 3] f32 (half-written: a run broke off)')
      expect(() => model.forward(x)).toThrow(HalfWrittenError)
      expect(x.sum().itemSync()).toBe(6)

      loadModel(model, saved)
      expect(model.forward(x).shape).toEqual([1, 2])
      // The moments are as lost as the parameters were.
      expect(step).toThrow(/half-written.*call its reset\(\)/)
      expect(digest(saveModelSync(model))).toBe(digest(saved))
      optimizer.reset()
      expect(device.halfWritten).toBe(0)
      step()
      expect(digest(saveModelSync(model))).toBe(fresh)
      expect(optimizer.steps).toBe(1)
    })

    it.each(['eager', 'compiled'])('%s: copying a whole model over it makes it whole', (how) => {
      const { model, optimizer, step } = setting()
      const spare = clone(model)
      const target = clone(model)
      const body = () => update({ target, source: spare }, copy())
      const restore = how === 'compiled' ? compile(body) : body
      restore()
      breakOff(() => update({ target, source: model }, ema({ decay: 0.5 })))
      breakOff(restore)
      expect(device.halfWritten).toBe(2)
      restore()
      expect(device.halfWritten).toBe(0)
      expect(digest(saveModelSync(target))).toBe(digest(saveModelSync(spare)))
      breakOff(step)
      // A blend reads what it replaces.
      expect(() => update({ target: model, source: spare }, ema({ decay: 0.5 }))).toThrow(HalfWrittenError)
      update({ target: model, source: spare }, copy())
      optimizer.reset()
      expect(device.halfWritten).toBe(0)
    })

    it('a shadow starts anew with reset() or from its state', async () => {
      const { model } = setting()
      const shadow = follow(model, ema({ decay: 0.5 }), { precision: 'kahan' })
      shadow.update()
      const state = await shadow.state()
      const average = () => digest(saveModelSync(shadow.model))
      const before = average()
      breakOff(() => shadow.update())
      expect(average).toThrow(HalfWrittenError)
      await expect(shadow.state()).rejects.toThrow(HalfWrittenError)
      shadow.load(state)
      expect(device.halfWritten).toBe(0)
      expect(average()).toBe(before)
      breakOff(() => shadow.update())
      shadow.reset()
      expect(device.halfWritten).toBe(0)
      expect(average()).toBe(digest(saveModelSync(model)))
      shadow.dispose()
    })

    it('saving says which parameter it is, and tensors that go take their mark along', async () => {
      const { model } = setting()
      const target = clone(model)
      const { storage } = recordOf(target.weight)
      breakOff(() => update({ target, source: model }, ema({ decay: 0.5 })))
      expect(() => saveModelSync({ head: target })).toThrow(/^save: "head\.weight" is half-written/)
      await expect(saveModel({ head: target })).rejects.toThrow(/^save: "head\.weight" is half-written/)
      storage.write(0, new Uint8Array(8))
      expect(() => target.weight.dataSync()).toThrow(HalfWrittenError)
      storage.write(0, new Uint8Array(24))
      expect([...target.weight.dataSync()]).toEqual([0, 0, 0, 0, 0, 0])
      const { halfWritten } = device
      recordOf(target.bias).dispose()
      expect(device.halfWritten).toBe(halfWritten - 1)
    })
  })
}
