import { describe, expect, it } from 'vitest'
import { teacherLag } from '../../src/train/teacher-lag.js'

describe('teacherLag', () => {
  it('is silent once at most a tenth of the start is left', () => {
    expect(teacherLag(0.999, 5625)).toBeUndefined()
    expect(teacherLag(0.99, 625)).toBeUndefined()
    expect(teacherLag(0.999, 2302)).toBeUndefined()
    expect(teacherLag(0.999, 2301)).toBeDefined()
    expect(teacherLag(0, 1)).toBeUndefined()
  })

  it('names the share, the steps that would do and a decay that would do', () => {
    expect(teacherLag(0.999, 625)).toBe(
      'The teacher lags: after 625 steps it still carries 54 % of its random start (decay 0.999). Train for 2302 steps or more, or take a decay of 0.99 or less.',
    )
    expect(0.99 ** 625).toBeLessThan(0.1)
  })

  it('offers no decay when none of 0.9, 0.99, … would do', () => {
    expect(teacherLag(0.9, 5)).toBe(
      'The teacher lags: after 5 steps it still carries 59 % of its random start (decay 0.9). Train for 22 steps or more.',
    )
  })

  it('knows a decay of 1, with which more steps do not help', () => {
    expect(teacherLag(1, 5625)).toContain('With decay 1 it never moves')
    expect(teacherLag(1, 5625)).toContain('100.0 %')
  })
})
