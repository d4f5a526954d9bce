import { crossEntropy, type Device, setDefaultDevice, type Tensor, tensor } from 'dfdt'
import {
  batchNorm1d,
  clone,
  dropout,
  embedding,
  flatten,
  gelu,
  layerNorm,
  linear,
  relu,
  residual,
  sequential,
} from 'dfdt/nn'
import { adam, rmsprop, sgd } from 'dfdt/optim'
import { ema, update } from 'dfdt/update'
import { afterEach, describe, expect, test } from 'vitest'
import { batches, column } from '../../src/data/batches.js'
import { devices, threaded } from '../devices.js'

/** Bytes in use and bytes taken from the system. */
const held = (device: Device) => {
  const { used, reserved } = device.memory()
  return { used, reserved }
}

describe.each([...devices, threaded])('memory on $name', ({ name, make: create }) => {
  const made: Device[] = []
  const make = (limit?: number): Device => {
    const device = create(limit)
    made.push(device)
    return device
  }
  afterEach(async () => {
    await Promise.all(made.splice(0).map((device) => device.close()))
  })

  // The whole count on the default device only, for time's sake.
  const steps = name === threaded.name ? 10_000 : 1000

  test(`${steps} training steps in a plain loop end with the memory of step 100`, { timeout: 120_000 }, () => {
    const device = make()
    setDefaultDevice(device)
    const student = sequential(linear(4, 8), relu(), dropout(0.2), linear(8, 3))
    const teacher = clone(student)
    const optimizer = adam(student, { lr: 1e-3 })
    const x = tensor([
      [1, 2, 3, 4],
      [4, 3, 2, 1],
    ])
    const y = tensor([0, 2], { dtype: 'i32' })
    let early: object | undefined
    let kept: number | undefined
    for (let step = 1; step <= steps; step++) {
      const loss = crossEntropy(student.forward(x.trace()), y)
      optimizer.step(loss.backward())
      update({ target: teacher, source: student }, ema({ decay: 0.999 }))
      if (step % 500 === 0) kept = loss.itemSync()
      if (step === 100) early = held(device)
    }
    expect(held(device)).toEqual(early)
    expect(kept).toBeGreaterThan(0)
  })

  test('also when each batch is a new one', { timeout: 120_000 }, () => {
    const device = make()
    setDefaultDevice(device)
    const model = sequential(linear(4, 8), relu(), linear(8, 3))
    const optimizer = sgd(model, { lr: 1e-3, momentum: 0.9 })
    const images = column(
      Uint8Array.from({ length: 4 * 64 }, (_, i) => i),
      [4],
      { scale: 1 / 255 },
    )
    const labels = column(
      Uint8Array.from({ length: 64 }, (_, i) => i % 3),
      [],
      { dtype: 'i32' },
    )
    let early: object | undefined
    let step = 0
    while (step < steps) {
      for (const batch of batches({ images, labels }, 2, { shuffle: device.generator, device })) {
        const loss = crossEntropy(model.forward(batch.images.trace()), batch.labels)
        optimizer.step(loss.backward())
        if (++step === 100) early = held(device)
        if (step === steps) expect(held(device)).toEqual(early)
      }
    }
    expect(early).toBeDefined()
  })

  test.each<[name: string, step: (device: Device) => () => void]>([
    ['a network of every layer', () => everyLayer()],
    ['input gradients asked for', () => inputGradients()],
    ['accumulated gradients', () => accumulated()],
    ['a tape kept and used twice', () => retained()],
    ['losses that are never read nor used', () => unusedLoss()],
  ])('%s: step 300 ends with the memory of step 30', (_, prepare) => {
    const device = make()
    setDefaultDevice(device)
    const step = prepare(device)
    for (let i = 0; i < 30; i++) step()
    const early = held(device)
    for (let i = 30; i < 300; i++) step()
    expect(held(device)).toEqual(early)
  })

  test('forgotten untaped tensors are freed after a collection and two turns of the event loop', async () => {
    const device = make()
    setDefaultDevice(device)
    const x = tensor([1, 2, 3])
    const { used } = device.memory()
    const forget = () => {
      for (let i = 0; i < 1000; i++) x.add(i)
    }
    forget()
    expect(device.memory().used).toBeGreaterThan(used)
    await collected()
    expect(device.memory().used).toBe(used)
    expect(x.arraySync()).toEqual([1, 2, 3])
  })

  test('so are forgotten tapes, gradients and models', async () => {
    const device = make()
    setDefaultDevice(device)
    const x = tensor([[1, 2, 3]])
    const stay = linear(3, 2)
    const { used } = device.memory()
    const forget = () => {
      for (let i = 0; i < 20; i++) {
        stay.forward(x.trace())
        stay.forward(x.trace()).sum().backward()
        const model = linear(3, 3)
        adam(model).step(model.forward(x.trace()).sum().backward())
      }
    }
    forget()
    await collected()
    expect(device.memory().used).toBe(used)
  })

  test('an untaped loop that runs out of memory is told about scope', () => {
    const limit = 16 << 20
    const device = make(limit)
    setDefaultDevice(device)
    const x = tensor(new Float32Array(1 << 16), [1 << 16])
    const kept: Tensor<[number]>[] = []
    const run = () => {
      for (let i = 0; i < 1000; i++) kept.push(x.add(i))
    }
    expect(run).toThrow(expect.objectContaining({ name: 'DeviceError', message: expect.stringContaining('scope') }))
    expect(kept.length).toBeGreaterThan(20)
    // The device still works once something is given back.
    for (const t of kept) t.dispose()
    expect(x.add(1).dataSync()[0]).toBe(1)
  })

  test('running out of memory in a backward leaves nothing of it behind', () => {
    const device = make(16 << 20)
    setDefaultDevice(device)
    const w = linear(256, 256)
    const x = tensor(new Float32Array(256 * 256), [256, 256])
    const kept: Tensor<[256, 256]>[] = []
    const fill = () => {
      for (;;) kept.push(x.add(1))
    }
    const loss = w.forward(x.trace()).square().mean()
    expect(fill).toThrow(/scope/)
    const { used } = device.memory()
    expect(() => loss.backward()).toThrow(expect.objectContaining({ name: 'DeviceError' }))
    expect(device.memory().used).toBeLessThanOrEqual(used)
    for (const t of kept) t.dispose()
    w.forward(x.trace()).square().mean().backward().dispose()
  })
})

/** A collection, and the two turns of the event loop in which finalizers run. */
async function collected(): Promise<void> {
  expect(globalThis.gc, 'vitest must run with --expose-gc').toBeTypeOf('function')
  for (let turn = 0; turn < 2; turn++) {
    globalThis.gc?.()
    await new Promise((resolve) => setTimeout(resolve, 0))
  }
}

function everyLayer(): () => void {
  const model = sequential(
    embedding(7, 4),
    flatten(),
    linear(8, 6),
    layerNorm(6),
    gelu(),
    residual(sequential(linear(6, 6), relu())),
    batchNorm1d(6),
    dropout(0.1),
    linear(6, 3),
  )
  const average = clone(model)
  const optimizer = rmsprop(model, { centered: true, momentum: 0.9 })
  const words = tensor(
    [
      [1, 6],
      [0, 3],
      [2, 2],
    ],
    { dtype: 'i32' },
  )
  const labels = tensor([0, 1, 2], { dtype: 'i32' })
  return () => {
    const loss = crossEntropy(model.forward(words.trace()), labels)
    optimizer.step(loss.backward())
    update({ target: average, source: model }, ema({ halfLife: 10 }), { buffers: 'blend' })
  }
}

function inputGradients(): () => void {
  const model = sequential(linear(3, 4), relu(), linear(4, 1))
  const x = tensor([[1, 2, 3]])
  return () => {
    const gradients = model.forward(x.trace().mul(2).exp()).sum().backward()
    gradients.get(x).dispose()
    gradients.dispose()
  }
}

function accumulated(): () => void {
  const model = linear(3, 1)
  const optimizer = adam(model)
  const x = tensor([[1, 2, 3]])
  const lossOf = () => model.forward(x.trace()).square().sum()
  return () => optimizer.step(lossOf().backward({ accumulate: lossOf().backward() }))
}

function retained(): () => void {
  const model = linear(3, 1)
  const x = tensor([[1, 2, 3]])
  return () => {
    const loss = model.forward(x.trace()).exp().sum()
    loss.backward({ retain: true }).dispose()
    loss.backward().dispose()
  }
}

function unusedLoss(): () => void {
  const model = linear(3, 1)
  const x = tensor([[1, 2, 3]])
  return () => {
    const hidden = model.forward(x.trace())
    hidden.square().mean().add(hidden.abs().mean()).backward().dispose()
  }
}
