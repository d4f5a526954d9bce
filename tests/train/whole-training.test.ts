import { crossEntropy, type Device, setDefaultDevice, type Tensor } from 'dfdt'
import { layerNorm, linear, relu, sequential } from 'dfdt/nn'
import { adam } from 'dfdt/optim'
import { afterAll, describe, expect, test } from 'vitest'
import { batches, column } from '../../src/data/batches.js'
import { loadModel } from '../../src/io/model-file.js'
import { parseSafetensors } from '../../src/io/safetensors.js'
import { decode } from '../../src/io/raw-tensor.js'
import { tensorsOf } from '../../src/model/walk.js'
import { assertClose } from '../../src/testing/close.js'
import { devices, threaded } from '../devices.js'
import { golden, goldenBytes } from '../golden-file.js'

interface Golden {
  readonly torch: string
  readonly batch: number
  readonly inputs: number[]
  readonly labels: number[]
  readonly f32: number[]
  readonly f64: number[]
}
const { batch, inputs, labels, ...losses } = golden<Golden>('training/losses.json')

type FloatDType = 'f32' | 'f64'
const kinds: readonly { name: string; dtype: FloatDType; make: () => Device; tolerance: number }[] = [
  ...devices,
  threaded,
].flatMap(({ name, make }) => [
  { name: `${name} f32`, dtype: 'f32' as const, make, tolerance: 2e-5 },
  ...(name === 'reference' ? [{ name: `${name} f64`, dtype: 'f64' as const, make, tolerance: 1e-10 }] : []),
])

describe.each(kinds)('20 steps from the weights of a PyTorch network on $name', ({ dtype, make, tolerance }) => {
  const made: Device[] = []
  afterAll(async () => {
    await Promise.all(made.map((device) => device.close()))
  })
  const trained = () => {
    const device = make()
    made.push(device)
    setDefaultDevice(device)
    const model = sequential(linear(8, 16, { dtype }), relu(), layerNorm(16, { dtype }), linear(16, 4, { dtype }))
    loadModel(model, goldenBytes('training/first.safetensors'))
    const optimizer = adam(model, { lr: 1e-2 })
    const data = { x: column(inputs, [8], { dtype }), y: column(labels, [], { dtype: 'i32' }) }
    const seen: number[] = []
    while (seen.length < losses[dtype].length) {
      for (const { x, y } of batches(data, batch as 16, { device })) {
        const loss = crossEntropy(model.forward((x as Tensor<[16, 8], typeof dtype>).trace()), y)
        optimizer.step(loss.backward())
        seen.push(loss.itemSync())
      }
    }
    return { model, seen }
  }

  test('gives its losses and its last weights', () => {
    const { model, seen } = trained()
    assertClose(seen, losses[dtype], { rtol: tolerance, atol: 0, name: 'losses' })
    if (dtype === 'f64') return
    const last = parseSafetensors(goldenBytes('training/last.safetensors')).tensors
    for (const { path, tensor: t } of tensorsOf(model)) {
      const raw = last.get(path)
      assertClose(t.dataSync(), raw ? decode(raw, 'f32') : [], { rtol: 1e-4, atol: 1e-5, name: path })
    }
  })

  test('gives the same bits again', () => {
    expect(trained().seen).toEqual(trained().seen)
  })
})

test('the losses fall, so that equal losses say something', () => {
  expect(losses.f32).toHaveLength(20)
  expect(losses.f32[19]).toBeLessThan((losses.f32[0] ?? 0) / 3)
})
