import '../../src/ops/fluent.js'
import { beforeAll, describe, expect, it } from 'vitest'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import { createWasmBackend } from '../../src/backends/wasm/node.js'
import * as d from '../../src/ops/index.js'
import { Device, manualSeed, setDefaultDevice } from '../../src/tensor/device.js'
import { assertClose } from '../../src/testing/close.js'

const device = new Device(createReferenceBackend())
const wasm = new Device(createWasmBackend({ mode: 'plain', threads: 1 }))
beforeAll(() => setDefaultDevice(device))

describe('tensors of given values', () => {
  it('from literals', () => {
    expect(
      d
        .tensor([
          [1, 2, 3],
          [4, 5, 6],
        ])
        .arraySync(),
    ).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ])
    expect(d.tensor(2.5).itemSync()).toBe(2.5)
    expect(d.tensor([true, false]).dtype).toBe('bool')
    expect(d.tensor([true, false]).arraySync()).toEqual([1, 0])
    expect(d.tensor([]).shape).toEqual([0])
    expect(d.tensor([1.9, -1.9], { dtype: 'i32' }).arraySync()).toEqual([1, -1])
    expect(d.tensor([2, 0], { dtype: 'bool' }).arraySync()).toEqual([1, 0])
  })
  it('from typed arrays, of their dtype, copied', () => {
    const values = Float64Array.of(1, 2, 3, 4)
    const x = d.tensor(values, [2, 2])
    values[0] = 9
    expect([x.dtype, x.arraySync()]).toEqual([
      'f64',
      [
        [1, 2],
        [3, 4],
      ],
    ])
    expect(d.tensor(Int32Array.of(-1), [1]).dtype).toBe('i32')
    expect(d.tensor(Uint32Array.of(1), [1]).dtype).toBe('u32')
    expect(d.tensor(Float32Array.of(1), []).dtype).toBe('f32')
    expect([d.tensor(Uint8Array.of(1, 0), [2]).dtype, d.tensor(Uint8Array.of(1, 0), [2]).arraySync()]).toEqual([
      'bool',
      [1, 0],
    ])
  })
  it('of one value, in every dtype and on another device', () => {
    expect(d.zeros([2, 0]).arraySync()).toEqual([[], []])
    expect(d.ones([2], { dtype: 'bool' }).arraySync()).toEqual([1, 1])
    expect(d.full([2], -3, { dtype: 'i32' }).arraySync()).toEqual([-3, -3])
    expect(d.full([], 0.1, { dtype: 'f64' }).itemSync()).toBe(0.1)
    expect(d.full([2], 7, { device: wasm }).device).toBe(wasm)
    expect(d.zerosLike(d.ones([2], { dtype: 'u32' })).dtype).toBe('u32')
    expect(d.onesLike(d.zeros([2, 2], { device: wasm })).arraySync()).toEqual([
      [1, 1],
      [1, 1],
    ])
  })
  it('in sequence', () => {
    expect(d.arange(3).arraySync()).toEqual([0, 1, 2])
    expect(d.arange(5, { start: 2 }).arraySync()).toEqual([2, 3, 4])
    expect(d.arange(0, { start: 3, step: -1, dtype: 'i32' }).arraySync()).toEqual([3, 2, 1])
    expect(d.arange(1, { step: 0.25 }).arraySync()).toEqual([0, 0.25, 0.5, 0.75])
    expect(d.arange(0).shape).toEqual([0])
    expect(d.linspace(0, 1, 5).arraySync()).toEqual([0, 0.25, 0.5, 0.75, 1])
    expect(d.linspace(3, 9, 1).arraySync()).toEqual([3])
    const third = d.linspace(-1, 1, 4, { dtype: 'f64' }).arraySync() as number[]
    expect(third).toEqual([...third].reverse().map((x) => -x))
    expect(d.eye(2, { dtype: 'i32' }).arraySync()).toEqual([
      [1, 0],
      [0, 1],
    ])
    expect(d.dim('batch', 3)).toBe(3)
  })
})

describe('random numbers', () => {
  const draw = (on: Device) => {
    on.generator.manualSeed(7)
    const first = d.uniform([1000], { low: -2, high: 4, device: on }).dataSync()
    const second = d.normal([1000], { mean: 3, std: 2, device: on }).dataSync()
    return { first, second }
  }
  const statistics = (x: ArrayLike<number>) => {
    const values = Array.from(x)
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
    return { mean, deviation: Math.sqrt(variance), low: Math.min(...values), high: Math.max(...values) }
  }
  it('have the stated distribution', () => {
    const { first, second } = draw(device)
    const flat = statistics(first)
    expect(flat.low).toBeGreaterThanOrEqual(-2)
    expect(flat.high).toBeLessThan(4)
    expect(flat.low).toBeLessThan(-1.9)
    expect(flat.high).toBeGreaterThan(3.9)
    // Three standard errors of a thousand draws.
    expect(Math.abs(flat.mean - 1)).toBeLessThan(0.17)
    expect(Math.abs(flat.deviation - 6 / Math.sqrt(12))).toBeLessThan(0.12)
    const bell = statistics(second)
    expect(Math.abs(bell.mean - 3)).toBeLessThan(0.19)
    expect(Math.abs(bell.deviation - 2)).toBeLessThan(0.14)
  })
  it('depend on the seed and the number of draws, not on the device', () => {
    const here = draw(device)
    expect(draw(device)).toEqual(here)
    const there = draw(wasm)
    expect(there.first).toEqual(here.first)
    assertClose(there.second, here.second, { rtol: 1e-5, atol: 1e-5 })
    const again = d.uniform([1000], { low: -2, high: 4 }).dataSync()
    expect(again).not.toEqual(here.first)
  })
  it('manualSeed starts the default device over, f64 gets the same numbers', () => {
    manualSeed(3)
    const x = d.uniform([4]).arraySync()
    manualSeed(3)
    expect(d.uniform([4], { dtype: 'f64' }).arraySync()).toEqual(x)
    manualSeed(4)
    expect(d.uniform([4]).arraySync()).not.toEqual(x)
  })
})
