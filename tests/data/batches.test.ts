import { Generator, setDefaultDevice, wasmDevice } from 'dfdt'
import { batches, column } from 'dfdt/data'
import { beforeAll, describe, expect, test } from 'vitest'
import { OptionError } from '../../src/tensor/errors.js'

beforeAll(() => setDefaultDevice(wasmDevice({ threads: 1 })))

const x = column(Float32Array.of(0, 1, 2, 3, 4), [])
const read = (all: Iterable<{ readonly x: { dataSync(): ArrayLike<number> } }>, most: number) => {
  const found: number[][] = []
  for (const { x: values } of all) {
    found.push(Array.from(values.dataSync()))
    if (found.length === most) break
  }
  return found
}

describe('passes of batches', () => {
  test('one, several, and for ever', () => {
    expect(read(batches({ x }, 2), 9)).toEqual([
      [0, 1],
      [2, 3],
    ])
    expect(read(batches({ x }, 2, { dropLast: false, passes: 2 }), 9)).toEqual([
      [0, 1],
      [2, 3],
      [4],
      [0, 1],
      [2, 3],
      [4],
    ])
    expect(read(batches({ x }, 5, { passes: Number.POSITIVE_INFINITY }), 100)).toHaveLength(100)
  })

  test('each is shuffled anew, as one after another would be', () => {
    const together = read(batches({ x }, 5, { shuffle: new Generator(3), passes: 4 }), 9)
    const shuffle = new Generator(3)
    const apart = [1, 2, 3, 4].flatMap(() => read(batches({ x }, 5, { shuffle }), 9))
    expect(together).toEqual(apart)
    expect(new Set(together.map(String)).size).toBeGreaterThan(1)
  })

  test.each([0, -1, 1.5, Number.NaN, '2'])('refuses %j of them', (passes) => {
    expect(() => batches({ x }, 2, { passes: passes as number }).next()).toThrow(OptionError)
  })

  test('for ever needs a batch to give', () => {
    expect(() => batches({ x }, 8, { passes: Number.POSITIVE_INFINITY }).next()).toThrow(
      'batches: 5 items do not fill a batch of 8; passes without end would never give one; take smaller batches.',
    )
    expect(read(batches({ x }, 8), 9)).toEqual([])
  })
})
