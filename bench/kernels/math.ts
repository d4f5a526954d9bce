/**
 * Speed of the transcendental functions in a loop over 16 K elements in cache, in ns per element, best of many samples.
 *
 *   npx rolldown bench/kernels/math.ts -o .cache/bench-math.mjs --platform node && node .cache/bench-math.mjs [mode]
 */
import v8 from 'node:v8'
import type { MathOp } from '../../src/backends/wasm/math/index.js'
import { type ModeName, modes } from '../../src/backends/wasm/modes.js'
import { mathLoop } from '../../tests/backends/wasm/math-harness.js'

const major = Number(process.versions.node.split('.')[0])
const mode = modes[(process.argv[2] as ModeName | undefined) ?? (major >= 24 ? 'fma' : 'plain')]
if (mode.wide) v8.setFlagsFromString('--experimental-wasm-revectorize')

console.log(`${process.version} mode ${mode.name}`)
const ops: readonly MathOp[] = ['exp', 'expm1', 'log', 'log1p', 'sin', 'cos', 'tanh', 'erf', 'pow']
for (const op of ops) {
  const loop = mathLoop(op, mode, 16384)
  loop.x.forEach((_, i) => {
    loop.x[i] = 0.01 + ((i * 7919) % 16384) / 3000
    loop.y[i] = ((i * 31) % 997) / 200 - 2
  })
  let best = Number.POSITIVE_INFINITY
  const start = performance.now()
  while (performance.now() - start < Number(process.env.MS ?? 600)) {
    const t = performance.now()
    for (let i = 0; i < 8; i++) loop.run(loop.capacity)
    best = Math.min(best, performance.now() - t)
  }
  console.log(op.padEnd(8), ((best * 1e6) / 8 / loop.capacity).toFixed(2))
}
