/**
 * Speed of the convolution kernels on one core, in GFLOP/s: forward, gradient of the input, gradient of the weight.
 *
 *   npx rolldown bench/kernels/conv.ts -o .cache/bench-conv.mjs --platform node && node .cache/bench-conv.mjs [mode] [shapes]
 *
 * `mode` is plain, fma or 256; `shapes` are `batch,channels,size>filters` with `k`, `s`, `p` and `g` for window, stride,
 * padding and groups where they are not 3, 1, 1 and 1, separated by spaces. Best of many samples.
 */
import { createWasmBackend } from '../../src/backends/wasm/node.js'
import type { ModeName } from '../../src/backends/wasm/modes.js'
import { type Conv2dKernel, conv2dSizes, conv2dTerms, type Pair } from '../../src/kernels/kernel.js'

const major = Number(process.versions.node.split('.')[0])
const mode = (process.argv[2] as ModeName | undefined) ?? (major >= 24 ? 'fma' : 'plain')
const sampleTime = Number(process.env.MS ?? 300)
const defaults =
  '32,1,28>16 32,16,14>32 8,64,56>64 8,128,28>128 8,512,7>512 4,3,224>64k7s2p3 8,64,56>128s2 8,64,56>64k1p0 ' +
  '8,64,56>128k1s2p0 8,64,28>64g64 1,64,56>64'

const backend = createWasmBackend({ mode, threads: 1 })
const operand = { dtype: 'f32', strides: [], offset: 0 } as const
const pair = (value: number): Pair => [value, value]

function kernelOf(shape: string, pass: Conv2dKernel['pass']): Conv2dKernel {
  const [batch = 1, inChannels = 1, size = 1, outChannels = 1] = (shape.match(/^(\d+),(\d+),(\d+)>(\d+)/) ?? [])
    .slice(1)
    .map(Number)
  const option = (letter: string, usual: number) => Number(shape.match(`${letter}(\\d+)`)?.[1] ?? usual)
  const [kernel, stride, padding, groups] = [option('k', 3), option('s', 1), option('p', 1), option('g', 1)]
  const out = Math.floor((size + 2 * padding - kernel) / stride) + 1
  return {
    ...{
      kind: 'conv2d',
      native: {},
      pass,
      batch,
      inChannels,
      outChannels,
      groups,
      size: pair(size),
      outSize: pair(out),
    },
    ...{ kernel: pair(kernel), stride: pair(stride), padding: pair(padding), dilation: [1, 1] },
    ...{ a: operand, b: operand, output: operand },
  }
}

function speedOf(kernel: Conv2dKernel): string {
  const buffers = conv2dSizes(kernel).map((length) => {
    const buffer = backend.allocate(length * 4)
    const values = Float32Array.from({ length }, (_, i) => ((i * 2654435761) % 1000) / 1000 - 0.5)
    backend.write(buffer, 0, new Uint8Array(values.buffer))
    return buffer
  })
  let best = Number.POSITIVE_INFINITY
  const start = performance.now()
  for (let run = 0; run < 8 || performance.now() - start < sampleTime; run++) {
    const from = performance.now()
    backend.run(kernel, buffers, [])
    best = Math.min(best, performance.now() - from)
  }
  for (const buffer of buffers) backend.free(buffer)
  return ((2 * conv2dTerms(kernel)) / best / 1e6).toFixed(1)
}

console.log(`${process.version} mode ${mode}`)
console.log('shape                 forward     input    weight')
for (const shape of (process.argv.slice(3).join(' ') || defaults).split(' ')) {
  const passes = ['forward', 'inputGradient', 'weightGradient'] as const
  const cells = passes.map((pass) => speedOf(kernelOf(shape, pass)).padStart(9))
  console.log(shape.padEnd(19), ...cells)
}
await backend.close()
