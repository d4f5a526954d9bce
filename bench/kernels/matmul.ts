/**
 * Speed of the matmul kernels on one core, in GFLOP/s: the plan's own choice, then each packing by itself.
 *
 *   npx rolldown bench/kernels/matmul.ts -o .cache/bench-matmul.mjs --platform node && node .cache/bench-matmul.mjs [mode] [sizes]
 *
 * `mode` is plain, fma or 256; `sizes` is `MxKxN[:NN|TN|NT|TT]`, separated by commas. Best of many short samples.
 */
import v8 from 'node:v8'
import type { MatmulKernel } from '../../src/kernels/kernel.js'
import { ModuleBuilder } from '../../src/backends/wasm/assembler.js'
import type { KernelFunction } from '../../src/backends/wasm/launch.js'
import { addMatmulKernels, matmulEntry, planMatmul } from '../../src/backends/wasm/matmul/index.js'
import { type ModeName, modes } from '../../src/backends/wasm/modes.js'

const major = Number(process.versions.node.split('.')[0])
const mode = modes[(process.argv[2] as ModeName | undefined) ?? (major >= 24 ? 'fma' : 'plain')]
if (mode.wide) v8.setFlagsFromString('--experimental-wasm-revectorize')
const sampleTime = Number(process.env.MS ?? 200)

const module = new ModuleBuilder()
addMatmulKernels(module, mode)
const bytes = module.build()
const memory = new WebAssembly.Memory({ initial: 1024, maximum: 65536 })
const table = new WebAssembly.Table({ element: 'anyfunc', initial: 0 })
const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env: { memory, table } })
const run = exports[matmulEntry] as KernelFunction
const floats = new Float32Array(memory.buffer)
for (let i = 0; i < floats.length; i++) floats[i] = ((i * 2654435761) % 1000) / 1000 - 0.5

const defaults =
  '64x64x64,128x128x128,256x256x256,512x512x512,1024x1024x1024,32x784x512,32x784x512:NT,32x512x128,32x512x128:NT,32x128x10:NT,32x32x10,' +
  '784x32x512,784x32x512:TN,512x32x784:TN,1x512x512,1x512x512:NT,8x512x512:NT,512x512x1,512x512x512:NT,512x512x512:TN,100x100x100,32x512x10'
const megabyte = 2 ** 20
const [aAt, bAt, outputAt, workAt] = [megabyte, 9 * megabyte + 1024, 17 * megabyte + 2048, 25 * megabyte + 3072]

console.log(`${process.version} mode ${mode.name}, module ${bytes.length} bytes`)
console.log('size                chosen    direct    pack b    pack both')
for (const spec of (process.argv[3] ?? defaults).split(',')) {
  const [shape = '', layout = 'NN'] = spec.split(':')
  const [m = 1, k = 1, n = 1] = shape.split('x').map(Number)
  const kernel: MatmulKernel = {
    kind: 'matmul',
    batch: [],
    m,
    n,
    k,
    a: { dtype: 'f32', strides: layout[0] === 'T' ? [1, m] : [k, 1], offset: 0 },
    b: { dtype: 'f32', strides: layout[1] === 'T' ? [1, k] : [n, 1], offset: 0 },
    output: { dtype: 'f32', strides: [n, 1], offset: 0 },
  }
  const cells = [{}, { packA: false, packB: false }, { packA: false, packB: true }, { packA: true, packB: true }].map(
    (packing, i) => {
      if (layout[1] === 'T' && i === 1) return ''
      if (n === 1 && i > 0) return ''
      const { block, pointers } = planMatmul(kernel, mode, i === 0 ? {} : { ...packing, rowByRow: false })
      const filled = block.slice()
      for (const { word, operand } of pointers)
        filled[word] = operand < 0 ? workAt : ([aAt, bAt, outputAt][operand] ?? 0)
      new Int32Array(memory.buffer).set(filled, 4096)
      const rounds = Math.max(1, Math.round(3e6 / (m * n * k)))
      let best = Number.POSITIVE_INFINITY
      const start = performance.now()
      while (performance.now() - start < sampleTime) {
        const t = performance.now()
        for (let r = 0; r < rounds; r++) run(4096 * 4, 0, 1)
        best = Math.min(best, (performance.now() - t) / rounds)
      }
      return ((2 * m * n * k) / best / 1e6).toFixed(1)
    },
  )
  console.log(spec.padEnd(18), ...cells.map((cell) => cell.padStart(9)))
}
