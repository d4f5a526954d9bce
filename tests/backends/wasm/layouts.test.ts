import fc from 'fast-check'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { prepareForeach } from '../../../src/backends/wasm/foreach.js'
import { tiles } from '../../../src/backends/wasm/matmul/tile.js'
import { createWasmBackend } from '../../../src/backends/wasm/node.js'
import { type Expr, index, input } from '../../../src/kernels/expr.js'
import type { Combine, Operand, Part, Reduction } from '../../../src/kernels/kernel.js'
import { contiguousStrides, sizeOf } from '../../../src/shapes/strides.js'
import { bufferOf, bytesOf, floatsOf, packed } from './bound.js'

const backend = createWasmBackend({ threads: 1 })
afterAll(() => backend.close())

const x = input(0, 'f32')
const noise = (n: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * 78.233) * 3)

/** Values stored with axes in this order and `gap` elements between rows, and the operand that reads them back. */
function stored(
  values: Float32Array,
  shape: readonly number[],
  order: readonly number[],
  gap: number,
): { data: Float32Array; operand: Operand } {
  const strides = new Array<number>(shape.length).fill(0)
  let step = gap + 1
  for (const axis of [...order].reverse()) {
    strides[axis] = step
    step *= shape[axis] ?? 1
    step += gap
  }
  const data = new Float32Array(Math.max(1, step) + 3)
  const dense = contiguousStrides(shape)
  values.forEach((value, i) => {
    data[
      3 + shape.reduce((at, size, axis) => at + (Math.floor(i / (dense[axis] ?? 1)) % size) * (strides[axis] ?? 0), 0)
    ] = value
  })
  return { data, operand: { dtype: 'f32', strides, offset: 3 } }
}

function reduced(
  combine: Combine,
  shape: readonly number[],
  axes: readonly number[],
  data: Float32Array,
  operand: Operand,
  expr: Expr = x,
): Buffer {
  const kept = shape.filter((_, axis) => !axes.includes(axis))
  const buffers = [bufferOf(backend, data), backend.allocate(sizeOf(kept) * 4)] as const
  const output = packed(kept, combine.startsWith('arg') ? 'i32' : 'f32')
  backend.run({ kind: 'reduce', combine, shape, axes, inputs: [operand], expr, output }, buffers, [])
  const bytes = Buffer.from(bytesOf(backend, buffers[1]))
  for (const buffer of buffers) backend.free(buffer)
  return bytes
}

const spaces = fc
  .array(fc.oneof({ weight: 3, arbitrary: fc.integer({ min: 1, max: 9 }) }, fc.integer({ min: 10, max: 40 })), {
    minLength: 1,
    maxLength: 4,
  })
  .filter((shape) => sizeOf(shape) <= 20_000)
const cases = spaces.chain((shape) =>
  fc.record({
    shape: fc.constant(shape),
    axes: fc.subarray([...shape.keys()], { minLength: 1 }),
    order: fc.shuffledSubarray([...shape.keys()], { minLength: shape.length }),
    gap: fc.integer({ min: 0, max: 2 }),
  }),
)

describe('reductions', () => {
  it('give the same bits from every layout', () => {
    fc.assert(
      fc.property(cases, fc.constantFrom('sum', 'max', 'min'), ({ shape, axes, order, gap }, combine) => {
        const values = noise(sizeOf(shape))
        const { data, operand } = stored(values, shape, order, gap)
        const dense = reduced(combine as Combine, shape, axes, values, packed(shape))
        expect(reduced(combine as Combine, shape, axes, data, operand).equals(dense)).toBe(true)
      }),
      { numRuns: 150 },
    )
  })

  it('give the same bits fused with what makes their elements and apart', () => {
    const expr = x.exp().sub(0.5).mul(x)
    fc.assert(
      fc.property(cases, ({ shape, axes }) => {
        const values = noise(sizeOf(shape))
        const from = bufferOf(backend, values)
        const to = backend.allocate(values.byteLength)
        backend.run(
          { kind: 'map', shape, inputs: [packed(shape)], outputs: [packed(shape)], exprs: [expr] },
          [from, to],
          [],
        )
        const made = floatsOf(backend, to)
        for (const buffer of [from, to]) backend.free(buffer)
        expect(
          reduced('sum', shape, axes, values, packed(shape), expr).equals(
            reduced('sum', shape, axes, made, packed(shape)),
          ),
        ).toBe(true)
      }),
      { numRuns: 60 },
    )
  })

  it('keep NaN, find the first extreme and treat −0 as 0', () => {
    const values = Float32Array.of(1, 5, Number.NaN, 5, 9, Number.NaN, -0, 0, -3, 2)
    const floats = (bytes: Buffer) => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
    const words = (bytes: Buffer) => new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
    const run = (combine: Combine, some: Float32Array) =>
      reduced(combine, [some.length], [0], some, packed([some.length]))
    expect(floats(run('max', values))[0]).toBeNaN()
    expect(floats(run('min', values))[0]).toBeNaN()
    expect([words(run('argmax', values))[0], words(run('argmin', values))[0]]).toEqual([2, 2])
    expect(words(run('argmax', Float32Array.of(-1, -0, 0, -2, 0)))[0]).toBe(1)
    expect(words(run('argmin', Float32Array.of(3, 0, -0, 0)))[0]).toBe(1)
    expect(words(run('argmax', new Float32Array(7).fill(Number.NEGATIVE_INFINITY)))[0]).toBe(0)
  })

  it('sum 20 million equal numbers without losing digits', () => {
    const n = 20_000_000
    const bytes = reduced('sum', [n], [0], new Float32Array(n).fill(0.1), packed([n]))
    expect(Math.abs(bytes.readFloatLE(0) / (n * Math.fround(0.1)) - 1)).toBeLessThan(1e-6)
  })
})

it('foreach joins parts that go on in every operand, also where positions count, but not where parts are reduced', () => {
  const target = { mode: backend.mode, tile: tiles.plain, shared: false, maximumPages: 65536 }
  const part = (length: number, offsets: readonly number[]): Part => ({
    length,
    operands: offsets.map((offset, buffer) => ({ buffer, offset })),
  })
  const parts = [part(10, [0, 5]), part(0, [9, 9]), part(7, [10, 15]), part(3, [17, 30]), part(2, [20, 33])]
  const lengths = (expr: Expr, reductions: readonly Reduction[] = []) => {
    const kernel = { kind: 'foreach', inputs: ['f32'], outputs: ['f32'], exprs: [expr], parts, reductions } as const
    const { launches } = prepareForeach(kernel, target)
    const block = launches[0]?.block ?? new Int32Array(3)
    const table = (block[0] ?? 0) / 4
    return Array.from({ length: block[1] ?? 0 }, (_, i) => block[table + 3 * i])
  }
  expect(lengths(x.neg())).toEqual([17, 5])
  // Positions are counted over all parts in order, so they go on, too.
  expect(lengths(x.add(index().cast('f32')))).toEqual([17, 5])
  const sum: Reduction = { combine: 'sum', expr: x, over: 'part', result: { buffer: 2, offset: 0 } }
  expect(lengths(x.neg(), [sum])).toHaveLength(4)
})

describe('maps', () => {
  it('compute every element alike, wherever it stands and however it is stored', () => {
    const value = 0.7390851
    const results = new Set<number>()
    const expr = x.exp().div(x.add(3)).sub(x.tanh())
    fc.assert(
      fc.property(cases, ({ shape, order, gap }) => {
        const { data, operand } = stored(new Float32Array(sizeOf(shape)).fill(value), shape, order, gap)
        const buffers = [bufferOf(backend, data), backend.allocate(sizeOf(shape) * 4)] as const
        backend.run({ kind: 'map', shape, inputs: [operand], outputs: [packed(shape)], exprs: [expr] }, buffers, [])
        for (const result of floatsOf(backend, buffers[1])) results.add(result)
        expect(results.size).toBe(1)
        for (const buffer of buffers) backend.free(buffer)
      }),
      { numRuns: 100 },
    )
  })

  it('write strided outputs and nothing between them, in place too', () => {
    fc.assert(
      fc.property(cases, ({ shape, order, gap }) => {
        const values = noise(sizeOf(shape))
        const { data, operand } = stored(values, shape, order, gap + 1)
        const buffer = bufferOf(backend, data)
        backend.run(
          { kind: 'map', shape, inputs: [operand], outputs: [operand], exprs: [x.mul(2).add(index().cast('f32'))] },
          [buffer, buffer],
          [],
        )
        const expected = stored(
          values.map((v, i) => Math.fround(Math.fround(v * 2) + i)),
          shape,
          order,
          gap + 1,
        ).data
        expect(floatsOf(backend, buffer)).toEqual(expected)
        backend.free(buffer)
      }),
      { numRuns: 100 },
    )
  })

  it('are generated once for each structure, not for each size', () => {
    const compile = vi.spyOn(WebAssembly, 'Module')
    const expr = x.mul(1.2345).sub(x)
    const buffer = bufferOf(backend, noise(4000))
    for (const n of [1, 5, 64, 1000, 4000]) {
      const kernel = { kind: 'map', shape: [n], inputs: [packed([n])], outputs: [packed([n])], exprs: [expr] } as const
      backend.run(kernel, [buffer, buffer], [])
    }
    for (const [rows, columns] of [
      [3, 5],
      [7, 11],
      [50, 60],
    ] as const) {
      const turned: Operand = { dtype: 'f32', strides: [1, rows], offset: 0 }
      const shape = [rows, columns]
      backend.run(
        { kind: 'map', shape, inputs: [turned], outputs: [turned], exprs: [x.mul(1.2345).sub(x)] },
        [buffer, buffer],
        [],
      )
    }
    expect(compile).toHaveBeenCalledTimes(2)
    compile.mockRestore()
  })
})
