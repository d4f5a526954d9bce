import { execFileSync } from 'node:child_process'
import { afterAll, describe, expect, it } from 'vitest'
import { createWasmBackend as createBrowserBackend } from '../../../src/backends/wasm/browser.js'
import { createWasmBackend } from '../../../src/backends/wasm/node.js'
import { input, scalar } from '../../../src/kernels/expr.js'
import type { GatherKernel, MapKernel } from '../../../src/kernels/kernel.js'
import { DeviceError, DTypeError, OptionError, ShapeError } from '../../../src/tensor/errors.js'
import { bufferOf, floatsOf, packed, wordsOf } from './bound.js'

const x = input(0, 'f32')
const double = (n: number): MapKernel => ({
  kind: 'map',
  shape: [n],
  inputs: [packed([n])],
  outputs: [packed([n])],
  exprs: [x.mul(2)],
})

describe('createWasmBackend', () => {
  const backend = createWasmBackend({ threads: 1, maxBytes: 32 << 20 })
  afterAll(() => backend.close())

  it('runs a map, reads, writes, copies', async () => {
    const a = bufferOf(backend, Float32Array.of(1, 2, 3, 4, 5))
    const b = backend.allocate(20)
    backend.run(double(5), [a, b], [])
    expect([...floatsOf(backend, b)]).toEqual([2, 4, 6, 8, 10])
    expect([...new Float32Array((await backend.read(b, 4, 8)).buffer)]).toEqual([4, 6])
    backend.copy(b, 4, a, 0, 12)
    expect([...floatsOf(backend, a)]).toEqual([4, 6, 8, 4, 5])
    backend.copy(a, 0, a, 4, 16)
    expect([...floatsOf(backend, a)]).toEqual([4, 4, 6, 8, 4])
    backend.free(a)
    backend.free(b)
    expect(backend.memory().used).toBe(0)
  })

  it('names what is wrong with buffers', async () => {
    const small = backend.allocate(16)
    const large = backend.allocate(32)
    expect(() => backend.run(double(5), [small, large], [])).toThrow(ShapeError)
    expect(() => backend.run(double(5), [small, large], [])).toThrow(/operand 0 reaches byte 20.*has 16/)
    expect(() => backend.run(double(5), [large], [])).toThrow(/2 buffers, got 1/)
    expect(() => backend.readSync(small, 8, 12)).toThrow(ShapeError)
    expect(() => backend.write(small, -1, new Uint8Array(1))).toThrow(ShapeError)
    expect(() => backend.copy(large, 0, small, 4, 16)).toThrow(ShapeError)
    const other = createBrowserBackend()
    expect(() => other.run(double(4), [small, large], [])).toThrow(/another device/)
    await other.close()
    backend.free(large)
    backend.free(large)
    expect(() => backend.run(double(4), [small, large], [])).toThrow(/was freed/)
    backend.free(small)
  })

  it('has no f64 and says where it is', () => {
    expect(['f64', 'f32', 'i32', 'u32', 'bool'].map((d) => backend.supports(d as 'f64'))).toEqual([
      false,
      true,
      true,
      true,
      true,
    ])
    const a = backend.allocate(64)
    const operand = packed([4], 'f64')
    const kernel: MapKernel = {
      kind: 'map',
      shape: [4],
      inputs: [operand],
      outputs: [operand],
      exprs: [input(0, 'f64').neg()],
    }
    expect(() => backend.run(kernel, [a, a], [])).toThrow(DTypeError)
    expect(() => backend.run(kernel, [a, a], [])).toThrow(/reference device/)
    backend.free(a)
  })

  it('names need, limit and remedies when memory runs out', () => {
    const live = [backend.allocate(16 << 20)]
    expect(() => live.push(backend.allocate(20 << 20))).toThrow(DeviceError)
    expect(() => backend.allocate(20 << 20)).toThrow(/20\.0 MiB.*32\.0 MiB.*scope/)
    for (const buffer of live) backend.free(buffer)
  })

  it('checks every index before anything is written', () => {
    const source = bufferOf(backend, Float32Array.of(1, 2, 3))
    const output = bufferOf(backend, new Float32Array(9).fill(7))
    const index = bufferOf(backend, Int32Array.of(0, 1, 2, 0, 1, 2, 1, 3, 0))
    const kernel: GatherKernel = {
      kind: 'gather',
      outer: 1,
      size: 3,
      inner: 1,
      count: 9,
      perOuter: false,
      source: packed([3]),
      index: packed([9], 'i32'),
      output: packed([9]),
    }
    expect(() => backend.run(kernel, [source, index, output], [])).toThrow(ShapeError)
    expect(() => backend.run(kernel, [source, index, output], [])).toThrow(/index 3 at position 7.*size 3/)
    expect([...floatsOf(backend, output)]).toEqual(Array.from({ length: 9 }, () => 7))
    backend.write(index, 28, new Uint8Array(Int32Array.of(-1).buffer))
    expect(() => backend.run(kernel, [source, index, output], [])).toThrow(/index -1 at position 7/)
    backend.write(index, 28, new Uint8Array(Int32Array.of(2).buffer))
    backend.run(kernel, [source, index, output], [])
    expect([...floatsOf(backend, output)]).toEqual([1, 2, 3, 1, 2, 3, 2, 3, 1])
    for (const buffer of [source, output, index]) backend.free(buffer)
  })

  it('refuses scalars that are missing and options out of range', () => {
    const a = backend.allocate(16)
    const kernel = { ...double(4), exprs: [x.mul(scalar(1, 'f32'))] }
    expect(() => backend.run(kernel, [a, a], [3])).toThrow(/scalar 1/)
    expect(() => createWasmBackend({ threads: 0 })).toThrow(OptionError)
    backend.free(a)
  })

  it('rounds scalars to their dtype', () => {
    const a = bufferOf(backend, Int32Array.of(0, 0, 0, 0))
    const zero = packed([1], 'i32')
    for (const [value, expected] of [
      [3.9, 3],
      [-3.9, -3],
      [2 ** 40, 2 ** 31 - 1],
      [Number.NaN, 0],
    ] as const) {
      backend.run({ kind: 'map', shape: [1], inputs: [], outputs: [zero], exprs: [scalar(0, 'i32')] }, [a], [value])
      expect(wordsOf(backend, a)[0]).toBe(expected)
    }
    backend.free(a)
  })

  it('keeps memory steady over many different kernels', () => {
    const a = backend.allocate(4096 * 4)
    backend.run(double(4096), [a, a], [])
    const { used, reserved } = backend.memory()
    for (let n = 1; n < 2000; n++) backend.run(double(n), [a, a], [])
    expect(backend.memory()).toMatchObject({ used, reserved })
    backend.free(a)
  })

  it('is closed once closed', async () => {
    const closing = createWasmBackend({ threads: 2 })
    const a = closing.allocate(16)
    await closing.close()
    expect(() => closing.allocate(4)).toThrow(DeviceError)
    expect(() => closing.run(double(4), [a, a], [])).toThrow(/closed/)
  })
})

it('the browser half computes on one thread with memory that is not shared, and imports nothing of Node', async () => {
  const backend = createBrowserBackend({ mode: 'plain' })
  expect(backend.description).toMatch(/1 thread$/)
  const a = bufferOf(backend, Float32Array.of(1, 2))
  backend.run(double(2), [a, a], [])
  expect([...floatsOf(backend, a)]).toEqual([2, 4])
  await backend.close()
  const imports = execFileSync('grep', ['-rlE', "from '(node:|#)", 'src/backends/wasm'], { encoding: 'utf8' })
    .trim()
    .split('\n')
  expect(imports.map((file) => file.replace(/.*\//, '')).sort()).toEqual([
    'node-threads.ts',
    'node-trials.ts',
    'node-wide.ts',
    'node.ts',
  ])
})
