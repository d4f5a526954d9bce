import { afterEach, describe, expect, it } from 'vitest'
import { linear, relu, sequential } from '../../src/nn/index.js'
import { crossEntropy, tensor } from '../../src/ops/index.js'
import { adam, sgd } from '../../src/optim/index.js'
import { compile, f32, i32 } from '../../src/program/index.js'
import { type Device, manualSeed, setDefaultDevice } from '../../src/tensor/device.js'
import { ema, update } from '../../src/update/index.js'
import { clone } from '../../src/model/clone.js'
import type { AnyX } from '../ops/cases.js'
import { targets } from './targets.js'

/** Bytes in use and bytes taken from the system. */
const held = (device: Device) => {
  const { used, reserved } = device.memory()
  return { used, reserved }
}

/** JavaScript memory after collections and the turns of the event loop in which finalizers run. */
async function heap(): Promise<number> {
  expect(globalThis.gc, 'vitest must run with --expose-gc').toBeTypeOf('function')
  for (let turn = 0; turn < 3; turn++) {
    globalThis.gc?.()
    await new Promise((resolve) => setTimeout(resolve, 0))
  }
  return process.memoryUsage().heapUsed
}

describe.each(targets)('memory of compiled steps on $name', ({ name, make }) => {
  let device: Device
  afterEach(() => device.close())
  const start = () => {
    device = make()
    setDefaultDevice(device)
    manualSeed(1)
  }

  it('steady state: a training loop keeps neither device memory nor heap', { timeout: 120_000 }, async () => {
    start()
    // Plain loops are slow; what they would show later they show early.
    const steps = { reference: 60, 'wasm, 1 thread': 100_000 }[name] ?? 20_000
    const model = sequential(linear(4, 64), relu(), linear(64, 64), relu(), linear(64, 2)) as AnyX
    const teacher = clone(model)
    const optimizer = adam(model, { lr: 1e-4 })
    const step = compile((x: AnyX, y: AnyX) => {
      const loss: AnyX = crossEntropy(model.forward(x.trace()), y)
      optimizer.step(loss.backward())
      update({ target: teacher, source: model } as never, ema({ decay: 0.99 }))
      return loss
    })
    const x = tensor(
      Float32Array.from({ length: 128 }, (_, i) => Math.sin(i)),
      [32, 4],
    )
    const y = tensor(
      Int32Array.from({ length: 32 }, (_, i) => i % 2),
      [32],
    )
    const first = step(x, y).itemSync()
    let last = 0
    const run = (count: number) => {
      for (let i = 0; i < count; i++) last = step(x, y).itemSync()
    }
    run(Math.min(2000, steps))
    const early = held(device)
    const before = await heap()
    run(steps)
    expect(held(device)).toEqual(early)
    const grown = (await heap()) - before
    expect(grown).toBeLessThan(1e6)
    expect(last).toBeLessThan(first)
    expect(optimizer.steps).toBe(1 + Math.min(2000, steps) + steps)
  })

  it('results that nobody reads cost no device memory', () => {
    start()
    const model = linear(3, 2) as AnyX
    const optimizer = sgd(model, { lr: 1e-3 })
    const step = compile([f32(2, 3)], (x) => {
      const loss: AnyX = model.forward(x.trace()).square().mean()
      optimizer.step(loss.backward())
      return { loss, more: [loss.detach().mul(2)] }
    })
    const x = Float32Array.of(1, 2, 3, 4, 5, 6)
    step(x)
    const early = held(device)
    for (let i = 0; i < 300; i++) step(x)
    expect(held(device)).toEqual(early)
  })

  it('arguments of a stated signature are given back, whatever happens', () => {
    start()
    const step = compile([f32(1000), i32(4)], (x, at) => x.gather(0, at))
    const x = new Float32Array(1000)
    step(x, Int32Array.of(1, 2, 3, 4)).dispose()
    const early = held(device)
    for (let i = 0; i < 100; i++) step(x, Int32Array.of(1, 2, 3, 999)).dispose()
    expect(() => step(x, Int32Array.of(1, 2, 3, 1000))).toThrow('out of range')
    expect(() => step(x, Int32Array.of(1, 2, 3))).toThrow('4 elements')
    expect(held(device)).toEqual(early)
  })

  it('dispose() returns everything: arena, constants, what it kept alive', () => {
    start()
    const kept = tensor(new Float32Array(5000).fill(2), [5000]) as AnyX
    const { used } = device.memory()
    const step = compile((x: AnyX) => {
      const constant = tensor(new Float32Array(10_000).fill(3), [10_000])
      const dead = tensor(new Float32Array(20_000), [20_000])
      return [x.mul(kept.sum()).add(constant.sum()), dead.shape]
    })
    expect(step(tensor(1))[0].itemSync()).toBe(40_000)
    // The constant that nobody reads is gone, the other is there.
    expect(device.memory().used - used).toBeGreaterThan(40_000)
    expect(device.memory().used - used).toBeLessThan(80_000)
    kept.dispose()
    expect(step(tensor(1))[0].itemSync()).toBe(40_000)
    step.dispose()
    step.dispose()
    // Smaller by what was kept; what is left are the scalars that went in.
    expect(device.memory().used).toBeLessThan(used - 20_000 + 1000)
  })
})
