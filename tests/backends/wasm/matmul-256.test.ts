import v8 from 'node:v8'
import { describe, expect, test } from 'vitest'
import type { MathOp } from '../../../src/backends/wasm/math/index.js'
import { modes } from '../../../src/backends/wasm/modes.js'
import { mathLoop } from './math-harness.js'
import { firstDifference, product, reference, runMatmul } from './matmul-harness.js'

// The flag holds for the whole process from here on, which is why these tests have a file, and so a process, of their own.
const possible = Number(process.versions.node.split('.')[0]) >= 24 && process.arch === 'x64'
if (possible) v8.setFlagsFromString('--experimental-wasm-revectorize')

/** Until the optimizing compiler has certainly replaced the first code: its 256-bit code is what is tested. */
function untilOptimized(run: () => void): void {
  const start = performance.now()
  for (let i = 0; i < 300 || performance.now() - start < 400; i++) run()
}

describe.skipIf(!possible)('256-bit code fused by the engine', () => {
  test.each([
    { m: 40, n: 64, k: 300 },
    { m: 40, n: 64, k: 300, transposed: { b: true } },
    { m: 37, n: 53, k: 41, transposed: { a: true } },
    { m: 1, n: 200, k: 64 },
    { m: 1, n: 50, k: 64, transposed: { b: true } },
  ])('a product keeps its bits: %o', (layout) => {
    const { kernel, operands } = product(layout)
    const expected = reference(kernel, operands, true)
    for (const choices of [{}, { packA: true, packB: true, rowByRow: false }]) {
      let got = runMatmul(kernel, modes['256'], operands, { choices })
      expect(firstDifference(got, expected)).toBeUndefined()
      untilOptimized(() => {
        got = runMatmul(kernel, modes['256'], operands, { choices })
      })
      expect(firstDifference(got, expected)).toBeUndefined()
    }
  })

  test.each(['exp', 'expm1', 'log', 'log1p', 'sin', 'cos', 'tanh', 'erf', 'pow'] satisfies MathOp[])(
    '%s keeps its bits',
    (op) => {
      const loop = mathLoop(op, modes['256'], 4096)
      const words = new Uint32Array(loop.x.buffer, loop.x.byteOffset, loop.capacity)
      for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + 1, 2654435761)
      for (let i = 0; i < loop.capacity; i++) loop.y[i] = (i % 37) - 18.5
      loop.run(loop.capacity)
      const first = loop.result.slice()
      untilOptimized(() => loop.run(loop.capacity))
      for (const [i, x] of loop.result.entries()) {
        expect(Object.is(x, first[i]), `${op}(${loop.x[i]}): ${x} and ${first[i]}`).toBe(true)
      }
    },
  )
})
