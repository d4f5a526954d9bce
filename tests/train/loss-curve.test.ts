import { expect, it } from 'vitest'
import { LossCurve } from '../../src/train/loss-curve.js'

it('means over equal runs of steps', () => {
  const curve = new LossCurve(400)
  expect(curve.window).toBe(2)
  for (const [index, loss] of [4, 2, 3, 1, 7].entries()) curve.add(index + 1, loss)
  expect(curve.points()).toEqual([
    { step: 2, loss: 3 },
    { step: 4, loss: 2 },
    { step: 5, loss: 7 },
  ])
})

it('weighs events that stand for several steps, and ignores one that stands for none', () => {
  const curve = new LossCurve(1000)
  expect(curve.window).toBe(5)
  curve.add(3, 1)
  curve.add(3, 100)
  curve.add(6, 2)
  expect(curve.points()).toEqual([{ step: 6, loss: 1.5 }])
})

it('keeps about 200 points whatever the length', () => {
  for (const steps of [1, 10, 200, 201, 1875, 5625, 1e6]) {
    const { window } = new LossCurve(steps)
    expect(steps / window).toBeLessThanOrEqual(200)
    if (steps > 200) expect(steps / window).toBeGreaterThanOrEqual(80)
  }
})
