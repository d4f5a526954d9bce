import '../../src/autodiff/fluent.js'
import '../../src/ops/fluent.js'
import { describe, expect, it } from 'vitest'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import { createWasmBackend } from '../../src/backends/wasm/node.js'
import { dropout, ones } from '../../src/ops/index.js'
import { Device } from '../../src/tensor/device.js'
import { gradcheck } from '../../src/testing/gradcheck.js'

const devices = [new Device(createReferenceBackend()), new Device(createWasmBackend({ mode: 'plain', threads: 1 }))]

for (const device of devices) {
  describe(`dropout on ${device.name}`, () => {
    const x = ones([100, 100], { device })

    it('drops a share of p and scales the rest, so that the mean stays', () => {
      device.generator.manualSeed(1)
      const y = dropout(x.trace(), { p: 0.3 }).dataSync()
      const kept = y.filter((value) => value !== 0)
      expect([...new Set(kept)]).toEqual([Math.fround(1 / 0.7)])
      // Four standard errors of 10 000 draws.
      expect(Math.abs(kept.length / y.length - 0.7)).toBeLessThan(0.02)
    })
    it('has a gradient that knows the same elements', () => {
      const y = dropout(x.trace(), { p: 0.5 })
      const values = y.dataSync()
      expect(y.sum().backward().get(x).dataSync()).toEqual(values)
    })
    it('draws anew each time and repeats after manualSeed', () => {
      const draw = () => dropout(x.trace()).dataSync()
      device.generator.manualSeed(5)
      const [first, second] = [draw(), draw()]
      device.generator.manualSeed(5)
      expect(second).not.toEqual(first)
      expect(draw()).toEqual(first)
    })
    it('leaves an untaped input alone, and a taped one when told so', () => {
      expect(dropout(x)).toBe(x)
      const traced = x.trace()
      expect(dropout(traced, { training: false })).toBe(traced)
      expect(dropout(traced, { p: 0 })).toBe(traced)
      expect(dropout(x, { training: true }).dataSync()).toContain(0)
    })
    it('drops everything with p = 1, without NaN', () => {
      const y = dropout(x.trace(), { p: 1 })
      expect(new Set(y.dataSync())).toEqual(new Set([0]))
      expect(new Set(y.sum().backward().get(x).dataSync())).toEqual(new Set([0]))
    })
  })
}

it('dropout gives the same on both devices', () => {
  const [first, second] = devices.map((device) => {
    device.generator.manualSeed(11)
    return dropout(ones([17, 5], { device }).trace()).dataSync()
  })
  expect(second).toEqual(first)
})

it('the gradient of dropout agrees with differences while the mask stands still', () => {
  const [device] = devices
  if (!device) return
  const x = ones([4, 5], { dtype: 'f64', device })
  gradcheck(
    (traced) => {
      device.generator.manualSeed(2)
      return dropout(traced, { p: 0.4 })
    },
    [x],
  )
})
