import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { createReferenceBackend } from '../../../src/backends/reference/index.js'
import { BrowserQueue } from '../../../src/backends/wasm/browser-queue.js'
import { WasmBackend } from '../../../src/backends/wasm/backend.js'
import { Sharing } from '../../../src/backends/wasm/sharing.js'
import { input } from '../../../src/kernels/expr.js'
import type { Kernel } from '../../../src/kernels/kernel.js'
import type { PlanGuard } from '../../../src/kernels/plan.js'
import type { Buffer as DeviceBuffer } from '../../../src/tensor/backend.js'
import { HalfWrittenError, ShapeError } from '../../../src/tensor/errors.js'
import { conformanceCases, runConformance } from '../../../src/testing/conformance.js'
import { bufferOf, packed } from './bound.js'
import { queuedBackend } from './queue-harness.js'

const x = input(0, 'f32')
const length = 1_000_000
const map = (n: number, expr = x.add(1)): Kernel => ({
  kind: 'map',
  shape: [n],
  inputs: [packed([n])],
  outputs: [packed([n])],
  exprs: [expr],
})
/** Milliseconds of work. */
const long = map(length, x.tanh().exp().tanh().exp().add(x))
const gather: Kernel = {
  kind: 'gather',
  outer: 1,
  size: 4,
  inner: 1,
  count: 2,
  perOuter: false,
  source: packed([4]),
  index: packed([2], 'i32'),
  output: packed([2]),
}
const floats = async (backend: WasmBackend, buffer: DeviceBuffer) =>
  new Float32Array((await backend.read(buffer, 0, buffer.byteLength)).buffer)
const same = (a: Float32Array, b: Float32Array) => Buffer.from(a.buffer).equals(Buffer.from(b.buffer))
const indices = (...list: number[]) => new Float32Array(Int32Array.from(list).buffer)

/** Whose workers cannot be started. */
function refusedBackend(): { readonly backend: WasmBackend } {
  const spawn = () => {
    throw new Error('refused')
  }
  const backend = new WasmBackend(
    { mode: 'plain', threads: 2 },
    {
      cores: 2,
      enableWide: () => 'is not for tests.',
      queue: (memory, threads, control, perform, sharing) =>
        new BrowserQueue(memory, threads, control, perform, sharing, { spawn, canBlock: false, inline: [-1, 0] }),
    },
  )
  return { backend }
}

describe('a queue of workers', () => {
  it.each([
    ['may not wait', false, 5],
    ['may wait', true, 1],
  ] as const)(
    'for a thread that %s conforms',
    async (_name, canBlock, every) => {
      const { backend } = queuedBackend({}, { canBlock })
      const failures: string[] = []
      // A bad index is told later, which has a test of its own.
      const cases = conformanceCases().filter(({ mustThrow }, i) => !mustThrow && i % every === 0)
      await runConformance(
        backend,
        createReferenceBackend(),
        ({ name, status, message }) => {
          if (status === 'failed') failures.push(`${name}: ${message}`)
        },
        cases,
      )
      expect(failures).toEqual([])
      expect(backend.memory().used).toBe(0)
      await backend.close()
    },
    120_000,
  )

  it('reads, writes and kernels take effect in the order they were given', async () => {
    const { backend } = queuedBackend()
    const buffer = bufferOf(backend, new Float32Array(8).fill(1))
    const bytes = new Uint8Array(new Float32Array(8).fill(10).buffer)
    const step = () => backend.run(map(8), [buffer, buffer], [])
    const seen = [floats(backend, buffer)]
    step()
    step()
    seen.push(floats(backend, buffer))
    backend.write(buffer, 0, bytes)
    // The caller may use its array again at once.
    bytes.fill(0)
    seen.push(floats(backend, buffer))
    step()
    seen.push(floats(backend, buffer))
    expect((await Promise.all(seen)).map(([first]) => first)).toEqual([1, 3, 10, 11])
    await backend.close()
  })

  it('memory that was freed is not used again before what was queued with it has run', async () => {
    const { backend } = queuedBackend()
    const source = bufferOf(backend, new Float32Array(length).fill(0.5))
    const result = backend.allocate(4 * length)
    backend.run(long, [source, result], [])
    const address = (buffer: DeviceBuffer) => (buffer as unknown as { readonly address: number }).address
    backend.free(source)
    const other = bufferOf(backend, new Float32Array(length).fill(9))
    expect(address(other)).not.toBe(address(source))
    const [first] = await floats(backend, result)
    expect(first).toBeCloseTo(Math.exp(Math.tanh(Math.exp(Math.tanh(0.5)))) + 0.5, 4)
    const third = backend.allocate(4 * length)
    expect(address(third)).toBe(address(source))
    await backend.close()
  })

  it('a bad index rejects what was read after it, leaves what was there, and is told once', async () => {
    const { backend } = queuedBackend()
    const source = bufferOf(backend, Float32Array.of(1, 2, 3, 4))
    const kept = bufferOf(backend, new Float32Array(8))
    const good = backend.allocate(8)
    backend.run(gather, [source, bufferOf(backend, indices(3, 1)), good], [])
    const before = floats(backend, good)
    const bad = backend.allocate(8)
    backend.run(gather, [source, bufferOf(backend, indices(0, 7)), bad], [])
    const outcomes: unknown[] = []
    backend.afterwards?.((error) => outcomes.push(['gather', error?.name]))
    backend.run(map(8), [kept, kept], [])
    backend.afterwards?.((error) => outcomes.push(['map', error?.name]))
    const after = floats(backend, kept)
    await expect(after).rejects.toThrow(ShapeError)
    await expect(after).rejects.toThrow(/index 7 at position 1 is out of range/)
    expect(await before).toEqual(Float32Array.of(4, 2))
    // The latest first, so that what the host counted is taken back in order.
    expect(outcomes).toEqual([
      ['map', 'ShapeError'],
      ['gather', 'ShapeError'],
    ])
    expect(await floats(backend, kept)).toEqual(new Float32Array(8))
    await expect(floats(backend, bad)).rejects.toThrow(/index 7/)
    expect(() => backend.run(map(2), [bad, good], [])).toThrow(/index 7/)
    // Written again, it is as good as new.
    backend.run(gather, [source, bufferOf(backend, indices(0, 2)), bad], [])
    expect(await floats(backend, bad)).toEqual(Float32Array.of(1, 3))

    // Nobody reads: the next call hears of it, and only that one.
    backend.run(gather, [source, bufferOf(backend, indices(-1, 0)), bad], [])
    await pause(300)
    const call = () => backend.run(map(8), [kept, kept], [])
    expect(call).toThrow(/index -1 at position 0/)
    call()
    expect(await floats(backend, kept)).toEqual(new Float32Array(8).fill(1))
    await backend.close()
  })

  it.each([
    ['worker 0', 0, false],
    ['a helper', 1, false],
    ['worker 0, waited for', 0, true],
  ] as const)(
    '%s that ends breaks the run off, and a new crew takes over',
    async (_name, thread, canBlock) => {
      const { backend, workers } = queuedBackend({}, { canBlock, inline: [-1, 0] })
      const source = bufferOf(backend, new Float32Array(length).fill(0.5))
      const result = backend.allocate(4 * length)
      const run = () => backend.run(long, [source, result], [])
      for (let i = 0; i < 100 && backend.startThreads() < 2; i++) await pause(50)
      run()
      const expected = await floats(backend, result)
      for (let trial = 0; trial < 3; trial++) {
        for (let i = 0; i < 100 && backend.startThreads() < 2; i++) await pause(50)
        expect(backend.startThreads()).toBe(2)
        let marked: unknown
        for (let i = 0; i < 50; i++) run()
        const reading = floats(backend, result)
        backend.afterwards?.((error) => {
          marked = error
        })
        void workers.at(thread - 2)?.terminate()
        await expect(reading).rejects.toThrow(HalfWrittenError)
        await expect(reading).rejects.toThrow(/^A worker thread ended .* new threads\.$/)
        // It was the read, not a kernel, that came last: dropped, but not half-written.
        expect(marked).not.toBeInstanceOf(HalfWrittenError)
        run()
        expect(same(await floats(backend, result), expected)).toBe(true)
      }
      await backend.close()
    },
    60_000,
  )

  it('workers share what has been faster shared, as they report it', async () => {
    const { backend } = queuedBackend()
    const noted: [shared: boolean, milliseconds: number, nanoseconds: number][] = []
    let shared = false
    const choice = {
      get shared() {
        return shared
      },
      note: (...args: (typeof noted)[number]) => void noted.push(args),
    }
    const asked = vi.spyOn(Sharing.prototype, 'of').mockImplementation((_, ns) => (ns > 1e5 ? choice : undefined))
    const source = bufferOf(backend, new Float32Array(length).fill(0.5))
    const result = backend.allocate(4 * length)
    const run = async () => {
      backend.run(long, [source, result], [])
      return floats(backend, result)
    }
    for (let i = 0; i < 100 && backend.startThreads() < 2; i++) await pause(50)
    const alone = await run()
    shared = true
    const both = await run()
    expect(same(alone, both)).toBe(true)
    backend.run(map(8), [result, result], [])
    await floats(backend, result)
    asked.mockRestore()
    expect(noted.map(([shared]) => shared)).toEqual([false, true])
    for (const [, milliseconds, nanoseconds] of noted) {
      expect(milliseconds).toBeGreaterThan(0.5)
      expect(milliseconds).toBeLessThan(10_000)
      expect(nanoseconds).toBeGreaterThan(1e6)
    }
    await backend.close()
  })

  it.each([
    ['workers', false],
    ['the caller, where workers do not come', true],
  ])('kernels of a program are timed by %s; those of a condition that fails take none', async (_name, refused) => {
    const { backend } = refused ? refusedBackend() : queuedBackend()
    const source = bufferOf(backend, new Float32Array(length).fill(0.5))
    const result = backend.allocate(4 * length)
    const flags = bufferOf(backend, Float32Array.of(0))
    const step = { kernel: long, buffers: [0, 1], scalars: [], guards: [] }
    const guarded = (guard: PlanGuard) => ({ ...step, guards: [guard] })
    const program = backend.compile(
      {
        phases: [
          { shared: [step], single: [] },
          { shared: [guarded({ scalar: 0 })], single: [] },
          { shared: [guarded({ buffer: 2, byteOffset: 0 })], single: [{ ...step, kernel: map(8) }] },
        ],
        scalarCount: 1,
      },
      [source, result, flags],
    )
    const coming = program.profile(Float64Array.of(1))
    // What is given meanwhile comes behind.
    backend.run(map(length), [source, source], [])
    const [first = 0, second = 0, third, small = 0] = await coming
    expect(first).toBeGreaterThan(1e6)
    expect(second).toBeGreaterThan(1e6)
    expect(third).toBe(0)
    expect(small).toBeLessThan(first)
    const [skipped, ran] = [await program.profile(Float64Array.of(0)), await floats(backend, source)]
    expect(skipped).toHaveLength(4)
    expect(skipped[1]).toBe(0)
    expect(ran[0]).toBe(1.5)
    await backend.close()
  })

  it('without workers the caller does what was queued', async () => {
    const backend = new WasmBackend(
      { mode: 'plain', threads: 2 },
      {
        cores: 2,
        enableWide: () => 'is not for tests.',
        queue: (memory, threads, control, perform, sharing) => {
          const spawn = () => {
            throw new Error('refused')
          }
          return new BrowserQueue(memory, threads, control, perform, sharing, {
            spawn,
            canBlock: false,
            inline: [-1, 0],
          })
        },
      },
    )
    const buffer = bufferOf(backend, new Float32Array(8))
    backend.run(map(8), [buffer, buffer], [])
    expect(await floats(backend, buffer)).toEqual(new Float32Array(8).fill(1))
    expect(backend.readSync(buffer, 0, 4)).toEqual(new Uint8Array(Float32Array.of(1).buffer))
    await backend.close()
  })

  it('the caller does short work itself, a share of each task', async () => {
    const { backend } = queuedBackend({}, { inline: [100_000, 300_000] })
    const buffer = bufferOf(backend, new Float32Array(100_000))
    const done: boolean[] = []
    for (let i = 0; i < 50; i++) {
      backend.run(map(100_000), [buffer, buffer], [])
      done.push(backend.readSync(buffer, 0, 4) !== undefined)
    }
    expect(done[0]).toBe(true)
    expect(done.at(-1)).toBe(false)
    expect(same(await floats(backend, buffer), new Float32Array(100_000).fill(50))).toBe(true)
    await pause(10)
    backend.run(map(100_000), [buffer, buffer], [])
    expect(backend.readSync(buffer, 0, 4)).toEqual(new Uint8Array(Float32Array.of(51).buffer))
    await backend.close()
  })
})
