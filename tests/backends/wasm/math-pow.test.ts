import { describe, expect, test } from 'vitest'
import { mathLoop, random, runnableModes, ulpError } from './math-harness.js'

const inf = Number.POSITIVE_INFINITY
const bound = 0.51

/** IEEE's pow, which C and PyTorch follow. */
function pow(x: number, y: number): number {
  if (x === 1) return 1
  if (x === -1 && Math.abs(y) === inf) return 1
  return x ** y
}

const f = Math.fround
const special = [
  0,
  -0,
  1,
  -1,
  2,
  -2,
  3,
  -3,
  0.5,
  -0.5,
  2.5,
  -2.5,
  inf,
  -inf,
  NaN,
  1e-40,
  -1e-40,
  f(1e-45),
  f(3.4e38),
  f(-3.4e38),
  1 + 2 ** -23,
  1 - 2 ** -24,
  -1 - 2 ** -23,
  2 ** 24,
  2 ** 24 + 2,
  2 ** 23 + 1,
  -(2 ** 23) - 1,
  2 ** 31,
  -(2 ** 31),
  f(1e10),
  f(1e-10),
  f(0.1),
  f(-0.1),
  127,
  128,
  -149,
  -150,
].map(f)

const words = new Uint32Array(1)
const asFloat = new Float32Array(words.buffer)

for (const mode of runnableModes) {
  describe(`mode ${mode.name}`, () => {
    const loop = mathLoop('pow', mode, 65536)
    const worstOf = (count: number) => {
      loop.run(count)
      let worst = 0
      let where = ''
      for (let i = 0; i < count; i++) {
        const [x = 0, y = 0] = [loop.x[i], loop.y[i]]
        const error = ulpError(loop.result[i] ?? 0, pow(x, y))
        if (error > worst) [worst, where] = [error, `${x} ** ${y} gave ${loop.result[i]}`]
      }
      return { worst, where }
    }

    test('special numbers in every combination', () => {
      for (const x of special) {
        for (const y of special) {
          loop.x.fill(x, 0, 16)
          loop.y.fill(y, 0, 16)
          loop.run(16)
          const exact = pow(x, y)
          for (let i = 0; i < 16; i++) {
            const got = loop.result[i] ?? 0
            expect(ulpError(got, exact), `${x} ** ${y} gave ${got}, expected ${exact}`).toBeLessThanOrEqual(bound)
            if (f(exact) === 0 || Math.abs(exact) === inf || exact === 1) expect(got, `${x} ** ${y}`).toBe(f(exact))
          }
        }
      }
    })

    test('every exponent of x, with y that keeps the result finite', () => {
      const next = random(3)
      for (let exponent = 0; exponent < 255; exponent++) {
        for (let i = 0; i < 4096; i++) {
          words[0] = (exponent << 23) | (next() * 2 ** 23)
          const x = asFloat[0] ?? 0
          loop.x[i] = x
          loop.y[i] = (next() * 280 - 150) / Math.log2(x)
        }
        const { worst, where } = worstOf(4096)
        expect(worst, where).toBeLessThanOrEqual(bound)
      }
    })

    test.each([
      ['near 1', (r: () => number) => 1 + (r() - 0.5) * 2 ** -12, (r: () => number) => (r() - 0.5) * 2 ** 17],
      [
        'integer powers, both signs',
        (r: () => number) => (r() - 0.5) * 8,
        (r: () => number) => Math.round((r() - 0.5) * 60),
      ],
      ['any bits', (r: () => number) => fromBits(r() * 2 ** 32), (r: () => number) => fromBits(r() * 2 ** 32)],
    ] as const)('%s', (_, xOf, yOf) => {
      const next = random(5)
      for (let i = 0; i < 65536; i++) {
        loop.x[i] = xOf(next)
        loop.y[i] = yOf(next)
      }
      const { worst, where } = worstOf(65536)
      if (process.env.SHOW_ULPS) console.log(`${mode.name} pow ${worst.toFixed(4)} ulp at ${where}`)
      expect(worst, where).toBeLessThanOrEqual(bound)
    })
  })
}

function fromBits(bits: number): number {
  words[0] = bits
  return asFloat[0] ?? 0
}
