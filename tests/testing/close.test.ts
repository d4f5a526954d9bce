import { describe, expect, test } from 'vitest'
import {
  AssertionError,
  assertClose,
  type CloseOptions,
  type NumberArray,
  ulpDistance,
} from '../../src/testing/close.js'

const inf = Number.POSITIVE_INFINITY

function failure(actual: NumberArray, expected: NumberArray, options?: CloseOptions): string {
  try {
    assertClose(actual, expected, options)
  } catch (error) {
    if (error instanceof AssertionError) return error.message
    throw error
  }
  return 'passed'
}

describe('assertClose', () => {
  test('the tolerance is atol + rtol · |expected|', () => {
    const tolerances = { rtol: 0.1, atol: 1 }
    expect(failure(112, 100, tolerances)).not.toBe('passed')
    expect(failure(111, 100, tolerances)).toBe('passed')
    // Relative to expected, not to actual: 100 against 111 would allow 12.1.
    expect(failure(88.5, 100, tolerances)).not.toBe('passed')
    expect(failure(100, 111.9, tolerances)).toBe('passed')
  })
  test('no tolerance at all demands equality', () => {
    expect(failure([1], [1], { rtol: 0, atol: 0 })).toBe('passed')
    expect(failure([0], [Number.MIN_VALUE], { rtol: 0, atol: 0 })).not.toBe('passed')
  })
  test('NaN matches only NaN, an infinity only itself', () => {
    expect(failure([NaN, inf, -inf], [NaN, inf, -inf])).toBe('passed')
    for (const [a, b] of [
      [NaN, 0],
      [0, NaN],
      [inf, 1e300],
      [1e300, inf],
      [inf, -inf],
      [NaN, inf],
    ] as const) {
      expect(failure(a, b, { rtol: 1e10, atol: 1e10 }), `${a} ${b}`).not.toBe('passed')
    }
  })
  test('takes nested arrays, typed arrays and booleans', () => {
    expect(
      failure(
        [
          [1, 2],
          [3, 4],
        ],
        [Float32Array.of(1, 2), [3, 4]],
      ),
    ).toBe('passed')
    expect(
      failure(
        Float64Array.of(1, 2, 3, 4),
        [
          [1, 2],
          [3, 4],
        ],
        { shape: [2, 2] },
      ),
    ).toBe('passed')
    expect(failure([true, false], Uint8Array.of(1, 0))).toBe('passed')
    expect(failure([], [])).toBe('passed')
  })
  test('the message has shape, count, worst index, values, tolerances and seed', () => {
    const message = failure(
      [
        [1, 2, 3],
        [4, 5.5, 7],
      ],
      [
        [1, 2, 3],
        [4, 5, 6],
      ],
      { rtol: 1e-3, atol: 0, name: 'gelu', seed: 42 },
    )
    expect(message).toBe(
      'gelu: 2 of 6 elements of shape [2, 3] are not close. Worst at [1, 2]: got 7, expected 6, difference 1; ' +
        'rtol 0.001, atol 0, seed 42.',
    )
  })
  test('NaN is the worst of all', () => {
    expect(failure([1e9, NaN], [0, 0])).toMatch(/Worst at \[1\]: got NaN, expected 0/)
  })
  test('different shapes fail with both', () => {
    expect(failure([[1, 2]], [1, 2])).toBe('assertClose: shapes differ: got [1, 2], expected [2].')
    expect(failure([1], 1)).toMatch(/got \[1\], expected \[\]/)
    expect(
      failure(
        [[1, 2], [3]],
        [
          [1, 2],
          [3, 4],
        ],
      ),
    ).toMatch(/rows of one array have shapes \[2\] and \[1\]/)
  })
  test('a long array is no deep call', () => {
    expect(failure(new Float32Array(300_000), new Float32Array(300_000))).toBe('passed')
  })
})

test('ulpDistance counts f32 steps', () => {
  const pairs = [
    [1, 1, 0],
    [1, 1 + 2 ** -23, 1],
    [1, 1 - 2 ** -24, 1],
    [0, -0, 0],
    [2 ** -149, -(2 ** -149), 2],
  ]
  for (const [a = 0, b = 0, steps = 0] of pairs) expect(ulpDistance(a, b)).toBe(steps)
  expect(ulpDistance(3.4028234663852886e38, inf)).toBe(1)
  expect(ulpDistance(NaN, NaN)).toBe(0)
  expect(ulpDistance(NaN, 1)).toBe(inf)
  // 2^23 steps from one power of two to the next.
  expect(ulpDistance(1, 2)).toBe(8388608)
})
