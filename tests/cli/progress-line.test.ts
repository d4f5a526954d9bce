import { describe, expect, it } from 'vitest'
import { Pace } from '../../src/cli/pace.js'
import { barLine, type ProgressState, plainLine } from '../../src/cli/progress-line.js'

const state: ProgressState = { step: 2310, steps: 5625, epoch: 2, epochs: 3, loss: 0.07123, rate: 711.6 }

describe('the progress line', () => {
  it('tells epoch, step, loss, steps a second and time left', () => {
    expect(plainLine(state)).toBe('epoch 2/3  2310/5625  loss 0.0712  712 steps/s  0:05 left')
    expect(plainLine({ ...state, rate: 0 })).toBe('epoch 2/3  2310/5625  loss 0.0712')
    expect(plainLine({ ...state, rate: 0.5, step: 5 })).toContain('0.5 steps/s  3:07:20 left')
    expect(plainLine({ ...state, loss: Number.NaN })).toContain('loss NaN')
  })

  it('fills its bar with the share of steps done', () => {
    const filled = (step: number) => barLine({ ...state, step }, 120).match(/█/g)?.length ?? 0
    expect([filled(0), filled(2812), filled(5625)]).toEqual([0, 20, 40])
  })

  it.each([200, 80, 72, 60, 50, 40, 30, 20, 10, 4, 1])('stays within %i columns', (width) => {
    for (const some of [state, { ...state, rate: 0 }, { ...state, step: 0, loss: Number.POSITIVE_INFINITY }])
      expect(barLine(some, width).length).toBeLessThan(width)
  })

  it('has a bar at 80 columns and gives it up before the words', () => {
    expect(barLine(state, 80)).toMatch(
      /^epoch 2\/3 {2}█+░+ {2}2310\/5625 {2}loss 0\.0712 {2}712 steps\/s {2}0:05 left$/,
    )
    expect(barLine(state, 60)).toBe('epoch 2/3  2310/5625  loss 0.0712  712 steps/s  0:05 left')
    expect(barLine(state, 40)).toBe('epoch 2/3  loss 0.0712  0:05 left')
    expect(barLine(state, 12)).toBe('0:05 left')
  })
})

describe('Pace', () => {
  it('is the rate of the last seconds', () => {
    const pace = new Pace()
    expect(pace.at(0, 0)).toBe(0)
    expect(pace.at(100, 10)).toBe(0)
    for (let time = 200; time <= 10_000; time += 100) pace.at(time, time / 10)
    expect(pace.at(10_100, 1010)).toBeCloseTo(100)
    // Twice as slow from here on: after a few seconds only that counts.
    let last = 0
    for (let time = 10_200; time <= 20_000; time += 100) last = pace.at(time, 1010 + (time - 10_100) / 20)
    expect(last).toBeCloseTo(50)
  })

  it('does not count a pause', () => {
    const pace = new Pace()
    for (let time = 0; time <= 1000; time += 100) pace.at(time, time / 10)
    pace.pause()
    expect(pace.at(60_000, 100)).toBeCloseTo(100)
    expect(pace.at(60_500, 150)).toBeCloseTo(100)
  })
})
