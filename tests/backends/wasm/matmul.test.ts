import { describe, expect, test } from 'vitest'
import { hasRelaxedSimd, type Mode, modes } from '../../../src/backends/wasm/modes.js'
import { planMatmul } from '../../../src/backends/wasm/matmul/index.js'
import { candidatesOf } from '../../../src/backends/wasm/matmul/tile.js'
import { firstDifference, type Layout, product, reference, runMatmul, written } from './matmul-harness.js'

// The 256-bit tile is ordinary code where the engine does not fuse its pairs: its bits are tested here, its speed is not.
const runnable: readonly Mode[] = hasRelaxedSimd() ? [modes.plain, modes.fma, modes['256']] : [modes.plain]

const sizes: readonly (readonly [m: number, n: number, k: number])[] = [
  [1, 1, 1],
  [1, 1, 7],
  [1, 5, 3],
  [1, 16, 16],
  [1, 70, 33],
  [1, 131, 300],
  [2, 3, 5],
  [3, 17, 9],
  [4, 8, 4],
  [5, 16, 8],
  [6, 8, 6],
  [7, 9, 11],
  [12, 32, 5],
  [13, 33, 64],
  [17, 1, 40],
  [31, 10, 32],
  [32, 32, 10],
  [33, 65, 2],
  [64, 24, 260],
  [9, 20, 521],
  [241, 3, 19],
  [250, 18, 30],
]
const cases = [
  { a: false, b: false },
  { a: true, b: false },
  { a: false, b: true },
  { a: true, b: true },
]

function check(layout: Layout, mode: Mode, options: Parameters<typeof runMatmul>[3] = {}): void {
  const { kernel, operands } = product(layout)
  const got = runMatmul(kernel, mode, operands, options)
  expect(
    firstDifference(got, reference(kernel, operands, mode.fma)),
    JSON.stringify({ layout, options }),
  ).toBeUndefined()
}

for (const mode of runnable) {
  describe(`mode ${mode.name}: bit for bit one sum per element, k ascending`, () => {
    test.each(cases)('every size, transposed %o', (transposed) => {
      for (const [m, n, k] of sizes) check({ m, n, k, transposed }, mode)
    })

    test.each(cases)('transposed output, transposed %o', (transposed) => {
      for (const [m, n, k] of sizes) check({ m, n, k, transposed: { ...transposed, output: true } }, mode)
    })

    test('every tile that may be chosen gives the same bits', () => {
      const tiles = new Set([16, 32].flatMap((registers) => candidatesOf(mode, registers)))
      expect(tiles.size).toBeGreaterThan(3)
      for (const tile of tiles) {
        for (const transposed of cases) {
          for (const [m, n, k] of [
            [19, 53, 21],
            [8, 16, 24],
            [1, 70, 9],
          ] as const)
            check({ m, n, k, transposed }, mode, { tile })
        }
      }
    })

    test('every packing and blocking gives the same bits', () => {
      for (const transposed of cases) {
        for (const [m, n, k] of [
          [37, 53, 41],
          [5, 16, 64],
          [1, 40, 20],
        ] as const) {
          for (const packA of [false, true]) {
            for (const packB of transposed.b ? [true] : [false, true]) {
              for (const blocks of [
                {},
                { kBlock: 7 },
                { kBlock: 16, mBlock: 12 },
                { mBlock: 1, nBlock: 16 },
                { kBlock: 3, nBlock: 32, mBlock: 30 },
              ]) {
                check({ m, n, k, transposed }, mode, { choices: { packA, packB, rowByRow: false, ...blocks } })
              }
            }
          }
        }
      }
    })

    test('computed transposed, chosen or not, on any number of threads', () => {
      for (const b of [false, true]) {
        for (const [m, n, k] of [
          [3, 40, 61],
          [17, 53, 41],
          [32, 66, 300],
          [5, 70, 1100],
        ] as const) {
          for (const blocks of [{}, { kBlock: 16 }, { mBlock: 12 }]) {
            const choices = { turned: true, packA: false, packB: true, rowByRow: false, ...blocks }
            for (const threads of [1, 3])
              check({ m, n, k, transposed: { a: false, b }, padding: 1 }, mode, { choices, threads })
          }
          check({ m, n, k, transposed: { a: false, b } }, mode)
        }
      }
    })

    test('one row at a time, with b transposed on the way', () => {
      for (const n of [1, 3, 4, 5, 7, 15, 16, 17, 33, 50]) {
        for (const k of [1, 2, 3, 4, 5, 8, 23]) {
          for (const [m, a] of [
            [1, false],
            [2, false],
            [2, true],
            [5, false],
          ] as const) {
            check({ m, n, k, transposed: { a, b: true }, padding: 1 }, mode, {
              choices: { turned: false, rowByRow: true, packA: false, packB: false },
            })
          }
        }
      }
    })

    test('every number of threads gives the same bits', () => {
      for (const threads of [2, 3, 4, 7]) {
        for (const transposed of cases) {
          for (const [m, n, k] of [
            [37, 53, 41],
            [100, 9, 12],
            [1, 90, 30],
            [2, 2, 2],
          ] as const) {
            check({ m, n, k, transposed }, mode, { threads })
            check({ m, n, k, transposed, batch: [3] }, mode, { threads })
          }
        }
      }
    })

    test('every element is written by exactly one thread', () => {
      for (const [m, n, k] of [
        [37, 53, 41],
        [100, 9, 12],
        [1, 90, 30],
        [2, 2, 2],
      ] as const) {
        for (const batch of [[], [3]]) {
          for (const b of [false, true]) {
            const { kernel, operands } = product({ m, n, k, batch, transposed: { b } })
            const all = [0, 1, 2, 3].flatMap((only) => written(runMatmul(kernel, mode, operands, { threads: 4, only })))
            expect(all.sort((x, y) => x - y)).toEqual(Array.from({ length: operands.outputLength }, (_, i) => i))
          }
        }
      }
    })

    test('batches: own, shared and folded', () => {
      for (const transposed of cases) {
        for (const [m, n, k] of [
          [3, 5, 4],
          [1, 8, 9],
          [7, 1, 6],
          [1, 1, 12],
          [20, 18, 11],
        ] as const) {
          for (const shared of [
            {},
            { sharedA: [0] },
            { sharedB: [0] },
            { sharedA: [1] },
            { sharedB: [1] },
            { sharedB: [0, 1] },
            { sharedA: [0], sharedB: [1] },
          ]) {
            check({ batch: [2, 3], m, n, k, transposed, ...shared }, mode, { threads: 2 })
          }
        }
      }
    })

    test('row steps, any column steps, offsets', () => {
      for (const transposed of cases) {
        for (const layout of [{ padding: 3 }, { offset: 5 }, { spread: 2 }, { spread: 3, padding: 1, offset: 2 }]) {
          for (const [m, n, k] of [
            [9, 21, 14],
            [1, 40, 6],
            [16, 16, 16],
            [40, 1, 9],
          ] as const)
            check({ m, n, k, transposed, ...layout }, mode)
        }
      }
    })

    test('an operand that repeats along rows, columns or k', () => {
      const { kernel, operands } = product({ m: 9, n: 21, k: 14 })
      for (const strides of [
        [0, 1],
        [1, 0],
        [0, 0],
      ]) {
        for (const changed of [
          { ...kernel, a: { ...kernel.a, strides } },
          { ...kernel, b: { ...kernel.b, strides } },
        ]) {
          const got = runMatmul(changed, mode, operands)
          expect(firstDifference(got, reference(changed, operands, mode.fma))).toBeUndefined()
        }
      }
    })

    test('rows in reverse', () => {
      const { kernel, operands } = product({ m: 9, n: 21, k: 14 })
      const reversed = {
        ...kernel,
        a: { ...kernel.a, strides: [-14, 1], offset: 8 * 14 },
        b: { ...kernel.b, strides: [-21, 1], offset: 13 * 21 },
      }
      expect(
        firstDifference(runMatmul(reversed, mode, operands), reference(reversed, operands, mode.fma)),
      ).toBeUndefined()
    })

    test('no k gives zeros, no rows or columns touches nothing', () => {
      for (const output of [false, true]) {
        const layout = { m: 3, n: 5, k: 0, transposed: { output } }
        const { kernel, operands } = product(layout)
        expect([...runMatmul(kernel, mode, operands)]).toEqual(Array.from({ length: 15 }, () => 0))
      }
      for (const [m, n] of [
        [0, 5],
        [5, 0],
        [0, 0],
      ] as const)
        check({ m, n, k: 4 }, mode, { threads: 2 })
      check({ batch: [0], m: 2, n: 2, k: 2 }, mode)
    })

    test('infinities and NaN stay in their rows and columns', () => {
      const { kernel, operands } = product({ m: 7, n: 19, k: 10 })
      operands.a[3 * 10 + 4] = Number.POSITIVE_INFINITY
      operands.a[5 * 10] = NaN
      operands.b[2 * 19 + 18] = Number.NEGATIVE_INFINITY
      const got = runMatmul(kernel, mode, operands)
      const expected = reference(kernel, operands, mode.fma)
      for (const [i, x] of expected.entries())
        expect(Number.isNaN(got[i]) ? 'NaN' : got[i]).toBe(Number.isNaN(x) ? 'NaN' : x)
    })
  })
}

describe('planMatmul', () => {
  const { kernel } = product({ batch: [8], m: 32, n: 64, k: 16, sharedB: [0] })
  test('takes a batch that shares b into the rows', () => {
    const { block } = planMatmul(kernel, modes.plain)
    expect([...block.subarray(5, 8)]).toEqual([256, 64, 16])
  })
  test('refuses other dtypes', () => {
    expect(() => planMatmul({ ...kernel, a: { ...kernel.a, dtype: 'i32' } }, modes.plain)).toThrow(
      'matmul on the wasm device takes f32, got i32',
    )
  })
  test('expects larger products to take longer', () => {
    const small = planMatmul(product({ m: 8, n: 8, k: 8 }).kernel, modes.plain).nanoseconds
    expect(planMatmul(product({ m: 64, n: 64, k: 64 }).kernel, modes.plain).nanoseconds).toBeGreaterThan(50 * small)
  })
})
