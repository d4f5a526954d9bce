import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { rolldown } from 'rolldown'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { ModuleBuilder } from '../../../src/backends/wasm/assembler.js'
import { WasmBackend } from '../../../src/backends/wasm/backend.js'
import { newEntryId } from '../../../src/backends/wasm/generated.js'
import { type Entry, type KernelFunction, kernelParameters } from '../../../src/backends/wasm/launch.js'
import { DeviceMemory } from '../../../src/backends/wasm/memory.js'
import { tiles } from '../../../src/backends/wasm/matmul/tile.js'
import { modes } from '../../../src/backends/wasm/modes.js'
import { nodeHost } from '../../../src/backends/wasm/node.js'
import { nodeThreadPool } from '../../../src/backends/wasm/node-threads.js'
import { makeProgram, type ProgramHost } from '../../../src/backends/wasm/program.js'
import type { ThreadPoolFactory } from '../../../src/backends/wasm/thread-pool.js'
import { input, scalar, uniform } from '../../../src/kernels/expr.js'
import type { Combine, ForeachKernel, Kernel } from '../../../src/kernels/kernel.js'
import { HalfWrittenError } from '../../../src/tensor/errors.js'
import { bufferOf, bytesOf, packed } from './bound.js'
import { block, watchWorkers } from './workers.js'

const x = input(0, 'f32')
const y = input(1, 'f32')
const noise = (n: number, seed = 1) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * 12.9898 + seed) * 3)

/** A backend whose threads, once started, share all that can be shared, faster or not. */
const sharing = (threads: number, threadPool: ThreadPoolFactory = nodeThreadPool): WasmBackend =>
  new WasmBackend({ threads, mode: 'plain' }, { ...nodeHost, threadPool, shareAll: true })

/** The bytes of the last buffer after the kernel, on a fresh device. */
async function result(
  kernel: Kernel,
  inputs: readonly Float32Array[],
  outputLength: number,
  threads: number,
): Promise<Buffer> {
  const backend = sharing(threads)
  expect(backend.startThreads()).toBe(threads)
  const buffers = [...inputs.map((values) => bufferOf(backend, values)), backend.allocate(outputLength * 4)]
  backend.run(kernel, buffers, [0.25, 0.75])
  const output = buffers.at(-1)
  const bytes = Buffer.from(output ? bytesOf(backend, output) : [])
  await backend.close()
  return bytes
}

const reduce = (combine: Combine, shape: readonly number[], axes: readonly number[]): Kernel => {
  const kept = shape.filter((_, axis) => !axes.includes(axis))
  const output = packed(kept, combine.startsWith('arg') ? 'i32' : 'f32')
  return { kind: 'reduce', combine, shape, axes, inputs: [packed(shape)], expr: x.mul(1.1).add(0.3), output }
}
const whole = 300_001
const lerp = x.lerp(y, scalar(0, 'f32'), scalar(1, 'f32'))
const parts = [70_001, 3, 100_000, 130_000]
const foreach: ForeachKernel = {
  kind: 'foreach',
  inputs: ['f32', 'f32'],
  outputs: ['f32'],
  exprs: [lerp.exp()],
  parts: parts.map((length, i) => ({
    length,
    operands: [0, 1, 2].map((buffer) => ({ buffer, offset: parts.slice(0, i).reduce((a, b) => a + b, 0) })),
  })),
}
/** Parts of many and of few chunks, one of them skipped, with results behind the output. */
const measured: ForeachKernel = {
  ...foreach,
  exprs: [lerp.mul(uniform(0, 'f32'))],
  parts: foreach.parts.map((part, i) => ({
    length: part.length,
    operands: part.operands.map(({ buffer, offset }) => ({ buffer: buffer === 2 ? 3 : buffer, offset })),
    uniforms: [{ buffer: 1, offset: i }],
    ...(i >= 2 && { guard: { buffer: 2, offset: i - 2 } }),
  })),
  uniforms: ['f32'],
  reductions: [
    { combine: 'sum', expr: x.mul(y), over: 'all', result: { buffer: 3, offset: 300_010 } },
    { combine: 'sum', expr: y.sub(x).square(), over: 'part', result: { buffer: 3, offset: 300_012 } },
    { combine: 'max', expr: x.abs(), over: 'all', result: { buffer: 3, offset: 300_020 } },
    { combine: 'min', expr: y.mul(uniform(0, 'f32')), over: 'part', result: { buffer: 3, offset: 300_021 } },
    { combine: 'sum', expr: x.gt(y).cast('u32'), over: 'all', result: { buffer: 3, offset: 300_030 } },
    { combine: 'min', expr: x.isFinite(), over: 'part', result: { buffer: 3, offset: 300_031 } },
  ],
}
const cases: readonly (readonly [string, Kernel, readonly Float32Array[], number])[] = [
  [
    'map',
    {
      kind: 'map',
      shape: [whole],
      inputs: [packed([whole]), packed([whole])],
      outputs: [packed([whole])],
      exprs: [lerp],
    },
    [noise(whole), noise(whole, 2)],
    whole,
  ],
  [
    'map of a transposed view plus a row',
    {
      kind: 'map',
      shape: [501, 303],
      outputs: [packed([501, 303])],
      exprs: [x.add(y).tanh()],
      inputs: [
        { dtype: 'f32', strides: [1, 501], offset: 0 },
        { dtype: 'f32', strides: [0, 1], offset: 0 },
      ],
    },
    [noise(501 * 303), noise(303)],
    501 * 303,
  ],
  ['foreach', foreach, [noise(300_004), noise(300_004, 2)], 300_004],
  [
    'foreach with uniforms, guards and reductions',
    measured,
    [noise(300_004), noise(300_004, 2), Float32Array.of(0, 1)],
    300_040,
  ],
  ['sum of everything', reduce('sum', [whole], [0]), [noise(whole)], 1],
  ['sum along rows', reduce('sum', [301, 1001], [1]), [noise(301 * 1001)], 301],
  ['sum along columns', reduce('sum', [5001, 61], [0]), [noise(5001 * 61)], 61],
  ['sum of the outer and inner axes', reduce('sum', [40, 30, 250], [0, 2]), [noise(300_000)], 30],
  ['max', reduce('max', [300, 1000], [1]), [noise(300_000)], 300],
  ['argmin', reduce('argmin', [300, 1000], [0]), [noise(300_000)], 1000],
]

it.each(cases)('%s gives the same bits on 1, 2, 3, 4 and 8 threads', async (_name, kernel, inputs, length) => {
  const alone = await result(kernel, inputs, length, 1)
  expect(alone.byteLength).toBe(length * 4)
  for (const threads of [2, 3, 4, 8]) expect((await result(kernel, inputs, length, threads)).equals(alone)).toBe(true)
})

it.each(['add', 'set'] as const)('%ss rows with equal indices in order on any number of threads', async (combine) => {
  const index = Float32Array.from({ length: 2000 }, (_, i) => (i * 7) % 50)
  const words = new Float32Array(Int32Array.from(index).buffer)
  const kernel: Kernel = {
    kind: 'scatter',
    combine,
    outer: 1,
    size: 50,
    inner: 300,
    count: 2000,
    perOuter: false,
    source: packed([2000, 300]),
    index: packed([2000], 'i32'),
    output: packed([50, 300]),
  }
  const run = async (threads: number) => {
    const backend = sharing(threads)
    expect(backend.startThreads()).toBe(threads)
    const buffers = [noise(600_000), words, noise(15_000, 3)].map((values) => bufferOf(backend, values))
    backend.run(kernel, buffers, [])
    const bytes = Buffer.from(buffers[2] ? bytesOf(backend, buffers[2]) : [])
    await backend.close()
    return bytes
  }
  const alone = await run(1)
  expect((await run(2)).equals(alone)).toBe(true)
  expect((await run(4)).equals(alone)).toBe(true)
})

/** Some 20 ms of work. */
const length = 3_000_000
const large: Kernel = {
  kind: 'map',
  shape: [length],
  inputs: [packed([length])],
  outputs: [packed([length])],
  exprs: [x.tanh().exp()],
}
const values = noise(length)
function runLarge(backend: WasmBackend): Uint8Array {
  const buffers = [bufferOf(backend, values), backend.allocate(length * 4)]
  backend.run(large, buffers, [])
  const bytes = buffers[1] ? bytesOf(backend, buffers[1]) : new Uint8Array()
  for (const buffer of buffers) backend.free(buffer)
  return bytes
}

/** A backend on two threads whose threads end after `idle` ms without work. */
const withIdleTime = (idle: number): WasmBackend =>
  sharing(2, (memory, threads, control) => nodeThreadPool(memory, threads, control, idle))
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

describe('when a worker has gone', () => {
  const { workers, stop } = watchWorkers()
  afterAll(stop)

  it('between runs, another takes its place when there is work', async () => {
    const backend = sharing(2)
    expect(backend.startThreads()).toBe(2)
    const before = runLarge(backend)
    await Promise.all(workers.map((worker) => worker.terminate()))
    expect(backend.facts().threads).toContain('1 checked in')
    expect(Buffer.from(runLarge(backend)).equals(Buffer.from(before))).toBe(true)
    expect(backend.startThreads()).toBe(2)
    expect(Buffer.from(runLarge(backend)).equals(Buffer.from(before))).toBe(true)
    await backend.close()
  })

  it('while one runs, the run throws soon instead of hanging, and the next are right', async () => {
    const backend = sharing(2)
    for (let i = 0; i < 3; i++) {
      expect(backend.startThreads()).toBe(2)
      const before = runLarge(backend)
      // Not awaited: this thread hears of the end only after the run.
      void workers.at(-1)?.terminate()
      block(100)
      const start = performance.now()
      expect(() => runLarge(backend)).toThrow(HalfWrittenError)
      expect(performance.now() - start).toBeLessThan(2000)
      expect(Buffer.from(runLarge(backend)).equals(Buffer.from(before))).toBe(true)
    }
    await backend.close()
  }, 20_000)

  it('because it was idle, others start at the next work', async () => {
    const backend = withIdleTime(300)
    expect(backend.startThreads()).toBe(2)
    const before = runLarge(backend)
    const worker = workers.at(-1)
    const ended = new Promise((resolve) => worker?.once('exit', resolve))
    for (let i = 0; i < 6; i++) {
      await sleep(50)
      runLarge(backend)
      expect(backend.facts().threads).toContain('2 checked in')
    }
    await ended
    expect(backend.facts().threads).toContain('1 checked in')
    expect(Buffer.from(runLarge(backend)).equals(Buffer.from(before))).toBe(true)
    expect(backend.startThreads()).toBe(2)
    expect(workers.at(-1)).not.toBe(worker)
    expect(Buffer.from(runLarge(backend)).equals(Buffer.from(before))).toBe(true)
    await backend.close()
  })

  it('nor do threads start for kernels shorter than 0.1 ms, or take part in them', async () => {
    const backend = new WasmBackend({ threads: 2, mode: 'plain' }, nodeHost)
    const buffer = backend.allocate(length * 4)
    const run = (n: number, times: number) => {
      const kernel: Kernel = { ...large, shape: [n], inputs: [packed([n])], outputs: [packed([n])] }
      for (let i = 0; i < times; i++) backend.run(kernel, [buffer, buffer], [])
    }
    const before = workers.length
    run(1000, 1000)
    expect(workers).toHaveLength(before)
    run(length, 1)
    expect(workers).toHaveLength(before + 1)
    expect(backend.startThreads()).toBe(2)
    // Not awaited: a run that it takes part in breaks off.
    void workers.at(-1)?.terminate()
    block(100)
    run(1000, 1000)
    expect(() => run(length, 1)).toThrow(HalfWrittenError)
    await backend.close()
  })

  it('nor do threads start once the backend is closed', async () => {
    const backend = new WasmBackend({ threads: 2, mode: 'plain' }, nodeHost)
    await backend.close()
    expect(backend.startThreads(20)).toBe(1)
  })
})

it('one thread computes where threads cannot be started', async () => {
  const start = vi.spyOn(Worker.prototype, 'on').mockImplementation(() => {
    throw new Error('Access to this API has been restricted')
  })
  const backend = new WasmBackend({ threads: 2, mode: 'plain' }, nodeHost)
  expect(backend.startThreads(20)).toBe(1)
  start.mockRestore()
  expect(runLarge(backend)).toHaveLength(length * 4)
  expect(backend.startThreads(20)).toBe(1)
  await backend.close()
})

describe('a kernel that traps', () => {
  /** A kernel in which one thread traps and the others take their time. */
  function trap(thread: number, backend: { readonly shared: boolean; readonly maximum: number }): Entry {
    const module = new ModuleBuilder(backend)
    const fn = module.function('run', kernelParameters, { export: true })
    const spin = fn.local('i32')
    fn.if(
      fn.params[1].eq(thread),
      () => fn.unreachable(),
      () => fn.while(spin.lt(2_000_000), () => fn.inc(spin, 1)),
    )
    return { id: newEntryId(), module: new WebAssembly.Module(module.build()), name: 'run' }
  }

  it.each([0, 1, 2])(
    'on thread %i of three, alone or in a program, makes the run throw at once',
    async (thread) => {
      const memory = new DeviceMemory({ shared: true, maxBytes: 1 << 24, reserved: 65536 })
      const pool = nodeThreadPool(memory.wasm, 3, 256)
      const bad = trap(thread, { shared: true, maximum: memory.maximumPages })
      const env = { memory: memory.wasm, waited: () => pool.waited() }
      const instance = ({ module, name, imports = [] }: Entry): KernelFunction => {
        const kernels = Object.fromEntries(imports.map((entry) => [entry.id, instance(entry)]))
        return new WebAssembly.Instance(module, { env, kernels }).exports[name] as KernelFunction
      }
      const step = { kernel: large, buffers: [], scalars: [], guards: [] }
      const host: ProgramHost = {
        target: { mode: modes.plain, tile: tiles.plain, shared: true, maximumPages: memory.maximumPages },
        threads: 3,
        words: memory.words,
        prepare: () => ({
          launches: [{ entry: bad, block: new Int32Array(4), pointers: [], scalars: [], nanoseconds: 1e6 }],
          scratchBytes: () => 0,
        }),
        address: () => 0,
        allocate: (byteLength) => memory.allocate(byteLength),
        free: () => {},
        run: ({ entry, params, nanoseconds, fills }) => {
          for (let i = 0; i < fills.length; i += 2) memory.words[fills[i] ?? 0] = fills[i + 1] ?? 0
          pool.run(entry, instance(entry), params, nanoseconds)
        },
        profile: () => Promise.resolve([]),
      }
      const program = makeProgram(
        { phases: Array.from({ length: 3 }, () => ({ shared: [step], single: [] })), scalarCount: 0 },
        host,
      )
      for (let trial = 0; trial < 10; trial++) {
        pool.start()
        expect(pool.ready(5000)).toBe(true)
        const start = performance.now()
        const run = () => (trial % 2 ? program.run(new Float64Array()) : pool.run(bad, instance(bad), 4096, 1e6))
        expect(run).toThrow(/^A kernel trapped while kernels ran/)
        expect(performance.now() - start).toBeLessThan(2000)
        expect(pool.threads).toBe(1)
      }
      await pool.close()
    },
    20_000,
  )

  it('also where there is one thread', async () => {
    const backend = new WasmBackend({ threads: 1, mode: 'plain' }, nodeHost)
    const trapNow = () => {
      throw new WebAssembly.RuntimeError('unreachable')
    }
    class Trapping {
      readonly exports = new Proxy({}, { get: () => trapNow })
    }
    const run = vi.spyOn(WebAssembly, 'Instance').mockImplementation(Trapping as never)
    expect(() => runLarge(backend)).toThrow(HalfWrittenError)
    run.mockRestore()
    await backend.close()
  })
})

it('never keeps the process alive, also when threads sleep and nobody closed the backend', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dfdt-threads-'))
  const bundle = await rolldown({ input: 'src/backends/wasm/node.ts', platform: 'node' })
  await bundle.write({ file: join(folder, 'wasm.mjs'), format: 'esm' })
  const program = `
    import { createWasmBackend } from ${JSON.stringify(join(folder, 'wasm.mjs'))}
    const backend = createWasmBackend({ threads: 3 })
    console.log(backend.startThreads())
  `
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', program], { timeout: 20_000, encoding: 'utf8' })
  rmSync(folder, { recursive: true })
  expect(run).toMatchObject({ status: 0, stdout: '3\n', stderr: '' })
}, 30_000)
