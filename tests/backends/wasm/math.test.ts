import { describe, expect, test } from 'vitest'
import { erf } from '../../../src/backends/reference/erf.js'
import type { MathOp } from '../../../src/backends/wasm/math/index.js'
import { mathLoop, random, runnableModes, ulpError } from './math-harness.js'

type Unary = Exclude<MathOp, 'pow'>
const inf = Number.POSITIVE_INFINITY

/** The bounds the docstrings state, in ulp. */
const functions: Readonly<Record<Unary, { exact: (x: number) => number; bound: number }>> = {
  exp: { exact: Math.exp, bound: 1.3 },
  expm1: { exact: Math.expm1, bound: 1.6 },
  log: { exact: Math.log, bound: 1 },
  log1p: { exact: Math.log1p, bound: 1.5 },
  sin: { exact: Math.sin, bound: 1.6 },
  cos: { exact: Math.cos, bound: 1.6 },
  tanh: { exact: Math.tanh, bound: 1.7 },
  erf: { exact: erf, bound: 1.4 },
}

/** Results at the edges, by argument; exact. */
const edges: Readonly<Record<Unary, readonly (readonly [x: number, y: number])[]>> = {
  exp: [
    [-inf, 0],
    [inf, inf],
    [89, inf],
    [88.72284, inf],
    [3e38, inf],
    [-3e38, 0],
    [-105, 0],
    [0, 1],
    [-0, 1],
    [1e-40, 1],
  ],
  expm1: [
    [-inf, -1],
    [inf, inf],
    [89, inf],
    [3e38, inf],
    [-3e38, -1],
    [-40, -1],
    [0, 0],
    [-0, -0],
  ],
  log: [
    [0, -inf],
    [-0, -inf],
    [-1, NaN],
    [-inf, NaN],
    [-1e-40, NaN],
    [inf, inf],
    [1, 0],
  ],
  log1p: [
    [-1, -inf],
    [-1.5, NaN],
    [-inf, NaN],
    [inf, inf],
    [0, 0],
    [-0, -0],
  ],
  sin: [
    [inf, NaN],
    [-inf, NaN],
    [0, 0],
    [-0, -0],
  ],
  cos: [
    [inf, NaN],
    [-inf, NaN],
    [0, 1],
    [-0, 1],
    [1e-40, 1],
  ],
  tanh: [
    [inf, 1],
    [-inf, -1],
    [50, 1],
    [-3e38, -1],
    [0, 0],
    [-0, -0],
  ],
  erf: [
    [inf, 1],
    [-inf, -1],
    [4, 1],
    [-3e38, -1],
    [0, 0],
    [-0, -0],
  ],
}

const bits = new Uint32Array(1)
const asFloat = new Float32Array(bits.buffer)
/** Mantissas spread over the whole range, the first and last among them. */
const mantissa = (i: number, exponent: number) =>
  i === 0 ? 0 : i === 4095 ? 0x7fffff : (i * 2048 + ((i * 997 + exponent * 331) & 2047)) & 0x7fffff

for (const mode of runnableModes) {
  describe(`mode ${mode.name}`, () => {
    describe.each(Object.keys(functions) as Unary[])('%s', (op) => {
      const loop = mathLoop(op, mode, 8192)
      const { exact, bound } = functions[op]

      test('keeps its bound on every exponent and both signs', () => {
        let worst = 0
        let where = NaN
        for (let exponent = 0; exponent < 256; exponent++) {
          for (let i = 0; i < 4096; i++) {
            bits[0] = ((exponent << 23) | mantissa(i, exponent)) >>> 0
            loop.x[i] = asFloat[0] ?? 0
            bits[0] = (bits[0] ?? 0) | 0x80000000
            loop.x[4096 + i] = asFloat[0] ?? 0
          }
          loop.run(8192)
          for (let i = 0; i < 8192; i++) {
            const x = loop.x[i] ?? 0
            const error = ulpError(loop.result[i] ?? 0, exact(x))
            if (error > worst) [worst, where] = [error, x]
          }
        }
        if (process.env.SHOW_ULPS) console.log(`${mode.name} ${op} ${worst.toFixed(3)} ulp at ${where}`)
        expect(worst, `${op}(${where})`).toBeLessThanOrEqual(bound)
      })

      test('is exact at the edges', () => {
        for (const [x, y] of edges[op]) {
          loop.x.fill(x, 0, 16)
          loop.run(16)
          for (let i = 0; i < 16; i++) expect(loop.result[i], `${op}(${x})`).toBe(y)
        }
      })

      test('keeps NaN, whatever its bits', () => {
        const words = new Uint32Array(loop.x.buffer, loop.x.byteOffset, 16)
        const nans = [0x7fc00000, 0xffc00000, 0x7fffffff, 0xffffffff, 0x7fc00001, 0xffd55555]
        for (let i = 0; i < 16; i++) words[i] = nans[i % nans.length] ?? 0
        loop.run(16)
        for (let i = 0; i < 16; i++) expect(loop.result[i]).toBeNaN()
      })

      test('does not depend on the place of the element', () => {
        const values = [0.3, -1.7, 1e5, 3e9, -2e20, 12, 1e-3, NaN, 88, inf, -0, 0.999, 7e37, -5e6, 2, -88]
        loop.x.set(values)
        loop.run(16)
        const together = Array.from(loop.result.subarray(0, 16))
        values.forEach((x, i) => {
          loop.x.fill(x, 0, 16)
          loop.run(16)
          for (let j = 0; j < 16; j++) expect(loop.result[j]).toBe(together[i])
        })
      })
    })

    describe('dense samples', () => {
      test.each([
        ['exp', -104, 89],
        ['expm1', -2, 2],
        ['expm1', -20, 89],
        ['log', 0.4, 2.5],
        ['log1p', -1, 3],
        ['sin', -8, 8],
        ['cos', -8, 8],
        ['sin', -2e6, 2e6],
        ['cos', 9e5, 1.2e6],
        ['tanh', -1, 1],
        ['tanh', -10, 10],
        ['erf', -1.2, 1.2],
        ['erf', 0.8, 4.2],
      ] as const)('%s from %f to %f', (op, from, to) => {
        const loop = mathLoop(op, mode)
        const { exact, bound } = functions[op]
        const next = random(17)
        let worst = 0
        let where = NaN
        for (let round = 0; round < 8; round++) {
          for (let i = 0; i < loop.capacity; i++) loop.x[i] = from + (to - from) * next()
          loop.run(loop.capacity)
          for (let i = 0; i < loop.capacity; i++) {
            const error = ulpError(loop.result[i] ?? 0, exact(loop.x[i] ?? 0))
            if (error > worst) [worst, where] = [error, loop.x[i] ?? 0]
          }
        }
        if (process.env.SHOW_ULPS)
          console.log(`${mode.name} ${op} [${from}, ${to}] ${worst.toFixed(3)} ulp at ${where}`)
        expect(worst, `${op}(${where})`).toBeLessThanOrEqual(bound)
      })
    })
  })
}
