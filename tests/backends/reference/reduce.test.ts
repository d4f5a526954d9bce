import { describe, expect, test } from 'vitest'
import { index, input } from '../../../src/kernels/expr.js'
import type { Combine, Operand, ReduceKernel } from '../../../src/kernels/kernel.js'
import { DTypeError, ShapeError } from '../../../src/tensor/errors.js'
import type { DType } from '../../../src/tensor/dtype.js'
import { f32, i32, run, u32 } from './run.js'

const row = (dtype: DType, ...strides: number[]): Operand => ({ dtype, strides, offset: 0 })
const reduce = (combine: Combine, size: number, dtype: DType = 'f32'): ReduceKernel => ({
  kind: 'reduce',
  combine,
  shape: [size],
  axes: [0],
  inputs: [row(dtype, 1)],
  expr: input(0, dtype),
  output: row(combine.startsWith('arg') ? 'i32' : dtype),
})
const inf = Number.POSITIVE_INFINITY

describe('sum', () => {
  const matrix: ReduceKernel = {
    kind: 'reduce',
    combine: 'sum',
    shape: [2, 3],
    axes: [1],
    inputs: [row('f32', 3, 1)],
    expr: input(0, 'f32'),
    output: row('f32', 1),
  }
  test('over rows, columns and everything', () => {
    const x = f32(1, 2, 3, 10, 20, 30)
    expect(run(matrix, [x, f32(0, 0)])[1]).toEqual(f32(6, 60))
    expect(run({ ...matrix, axes: [0] }, [x, f32(0, 0, 0)])[1]).toEqual(f32(11, 22, 33))
    expect(run({ ...matrix, axes: [0, 1], output: row('f32') }, [x, f32(0)])[1]).toEqual(f32(66))
  })
  test('over the outer two of three axes, with strides and an offset', () => {
    const kernel: ReduceKernel = {
      kind: 'reduce',
      combine: 'sum',
      shape: [2, 2, 2],
      axes: [0, 2],
      inputs: [{ dtype: 'f32', strides: [1, 2, 4], offset: 1 }],
      expr: input(0, 'f32'),
      output: { dtype: 'f32', strides: [2], offset: 1 },
    }
    // Element (i, j, k) is 1 + i + 2j + 4k, the position itself. j = 0: 1 + 2 + 5 + 6; j = 1: 3 + 4 + 7 + 8.
    expect(run(kernel, [f32(0, 1, 2, 3, 4, 5, 6, 7, 8), f32(-1, -1, -1, -1)])[1]).toEqual(f32(-1, 14, -1, 22))
  })
  test('of a product of two inputs, one broadcast', () => {
    const inputs = [row('f32', 3, 1), row('f32', 0, 1)]
    const kernel = { ...matrix, inputs, expr: input(0, 'f32').mul(input(1, 'f32')) }
    expect(run(kernel, [f32(1, 2, 3, 4, 5, 6), f32(1, 10, 100), f32(0, 0)])[2]).toEqual(f32(321, 654))
  })
  test('is accumulated in f64: small terms after a large one count', () => {
    expect(run(reduce('sum', 4), [f32(16777216, 1, 1, 1), f32(0)])[1]).toEqual(f32(16777220))
  })
  test('wraps on integers', () => {
    expect(run(reduce('sum', 2, 'i32'), [i32(2147483647, 1), i32(0)])[1]).toEqual(i32(-2147483648))
    expect(run(reduce('sum', 2, 'u32'), [u32(4294967295, 3), u32(0)])[1]).toEqual(u32(2))
  })
  test('of an empty axis is 0', () => {
    const kernel = { ...matrix, shape: [2, 0], inputs: [row('f32', 0, 1)] }
    expect(run(kernel, [f32(9), f32(5, 5)])[1]).toEqual(f32(0, 0))
  })
  test('index is the position in the whole space, whatever axis is reduced', () => {
    const kernel: ReduceKernel = { ...matrix, axes: [0], inputs: [], expr: index(), output: row('u32', 1) }
    expect(run(kernel, [u32(0, 0, 0)])[0]).toEqual(u32(0 + 3, 1 + 4, 2 + 5))
  })
  test('of more than one block', () => {
    const ones = new Float32Array(1000).fill(1)
    expect(run(reduce('sum', 1000), [ones, f32(0)])[1]).toEqual(f32(1000))
    const columns: ReduceKernel = { ...matrix, shape: [250, 4], axes: [0], inputs: [row('f32', 4, 1)] }
    expect(run(columns, [ones, f32(0, 0, 0, 0)])[1]).toEqual(f32(250, 250, 250, 250))
  })
})

describe('max, min and where they are', () => {
  const all = (...x: number[]) =>
    (['max', 'min', 'argmax', 'argmin'] as const).map((combine) => {
      const out = combine.startsWith('arg') ? i32(-1) : f32(-1)
      return run(reduce(combine, x.length), [Float32Array.from(x), out])[1]?.[0]
    })
  test('of plain numbers; the first of equals', () => {
    expect(all(3, 7, -2, 7, -2)).toEqual([7, -2, 1, 2])
  })
  test('NaN is carried on and counts as extreme; the first NaN', () => {
    expect(all(3, NaN, 9, NaN)).toEqual([NaN, NaN, 1, 1])
    expect(all(NaN, 1)).toEqual([NaN, NaN, 0, 0])
  })
  test('of infinities', () => {
    expect(all(-inf, -inf)).toEqual([-inf, -inf, 0, 0])
    expect(all(-inf, inf)).toEqual([inf, -inf, 1, 0])
  })
  test('per row', () => {
    const kernel: ReduceKernel = {
      ...reduce('argmax', 0),
      shape: [2, 3],
      axes: [1],
      inputs: [row('f32', 3, 1)],
      output: row('i32', 1),
    }
    expect(run(kernel, [f32(1, 5, 2, 9, 8, 7), i32(-1, -1)])[1]).toEqual(i32(1, 0))
  })
  test('of unsigned numbers', () => {
    expect(run(reduce('max', 2, 'u32'), [u32(4294967295, 1), u32(0)])[1]).toEqual(u32(4294967295))
    expect(run(reduce('min', 2, 'i32'), [i32(-5, 1), i32(0)])[1]).toEqual(i32(-5))
  })
  test('of nothing: the identity, and an error for positions', () => {
    expect(run(reduce('max', 0), [f32(1), f32(0)])[1]).toEqual(f32(-inf))
    expect(run(reduce('min', 0, 'i32'), [i32(1), i32(0)])[1]).toEqual(i32(2147483647))
    expect(() => run(reduce('argmax', 0), [f32(1), i32(0)])).toThrow(/axis 0 of \[0\] is empty/)
  })
})

test('axes out of order, several axes of argmax, a wrong output dtype are refused', () => {
  const kernel: ReduceKernel = { ...reduce('sum', 0), shape: [2, 2], inputs: [row('f32', 2, 1)], axes: [1, 0] }
  expect(() => run(kernel, [f32(1, 2, 3, 4), f32(0)])).toThrow(/axes must ascend/)
  expect(() => run({ ...kernel, axes: [0, 2] }, [f32(1, 2, 3, 4), f32(0)])).toThrow(ShapeError)
  const argmax: ReduceKernel = { ...kernel, combine: 'argmax', axes: [0, 1], output: row('i32') }
  expect(() => run(argmax, [f32(1, 2, 3, 4), i32(0)])).toThrow(/takes exactly one axis/)
  expect(() => run({ ...reduce('argmax', 2), output: row('f32') }, [f32(1, 2), f32(0)])).toThrow(DTypeError)
})
