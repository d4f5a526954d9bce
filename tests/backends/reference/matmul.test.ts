import { describe, expect, test } from 'vitest'
import type { MatmulKernel, Operand } from '../../../src/kernels/kernel.js'
import { DTypeError, ShapeError } from '../../../src/tensor/errors.js'
import { f32, f64, i32, run } from './run.js'

const at = (offset: number, ...strides: number[]): Operand => ({ dtype: 'f32', strides, offset })
const plain: MatmulKernel = {
  kind: 'matmul',
  batch: [],
  m: 2,
  k: 3,
  n: 2,
  a: at(0, 3, 1),
  b: at(0, 2, 1),
  output: at(0, 2, 1),
}
const a = f32(1, 2, 3, 4, 5, 6)
const b = f32(7, 8, 9, 10, 11, 12)
// [[1 2 3], [4 5 6]] · [[7 8], [9 10], [11 12]]
const product = f32(58, 64, 139, 154)

test('a product by hand', () => {
  expect(run(plain, [a, b, new Float32Array(4)])[2]).toEqual(product)
})

describe('layouts', () => {
  test('both operands transposed in memory', () => {
    const kernel = { ...plain, a: at(0, 1, 2), b: at(0, 1, 3) }
    expect(run(kernel, [f32(1, 4, 2, 5, 3, 6), f32(7, 9, 11, 8, 10, 12), new Float32Array(4)])[2]).toEqual(product)
  })
  test('a transposed output with an offset', () => {
    const kernel = { ...plain, output: at(1, 1, 2) }
    expect(run(kernel, [a, b, new Float32Array(6).fill(-1)])[2]).toEqual(f32(-1, 58, 139, 64, 154, -1))
  })
  test('a batch of products with one shared operand', () => {
    const kernel: MatmulKernel = {
      kind: 'matmul',
      batch: [2],
      m: 1,
      k: 2,
      n: 2,
      a: at(0, 2, 2, 1),
      b: at(0, 0, 2, 1),
      output: at(0, 2, 2, 1),
    }
    expect(run(kernel, [f32(1, 2, 3, 4), f32(1, 10, 100, 1000), new Float32Array(4)])[2]).toEqual(
      f32(201, 2010, 403, 4030),
    )
  })
})

test('an empty inner axis gives zeros; an empty outer one nothing', () => {
  expect(run({ ...plain, k: 0 }, [f32(), f32(), f32(5, 5, 5, 5)])[2]).toEqual(f32(0, 0, 0, 0))
  expect(run({ ...plain, m: 0 }, [f32(), b, f32(5)])[2]).toEqual(f32(5))
})

test('f32 sums are rounded once, f64 is f64', () => {
  const kernel: MatmulKernel = { ...plain, m: 1, n: 1, k: 3, a: at(0, 3, 1), b: at(0, 1, 1), output: at(0, 1, 1) }
  expect(run(kernel, [f32(16777216, 1, 1), f32(1, 1, 1), f32(0)])[2]).toEqual(f32(16777218))
  const wide = (operand: Operand): Operand => ({ ...operand, dtype: 'f64' })
  const double = { ...kernel, a: wide(kernel.a), b: wide(kernel.b), output: wide(kernel.output) }
  expect(run(double, [f64(0.1, 0, 0), f64(3, 0, 0), f64(0)])[2]).toEqual(f64(0.30000000000000004))
})

test('mixed dtypes, integers and short buffers are refused', () => {
  expect(() => run({ ...plain, b: { ...plain.b, dtype: 'f64' } }, [a, f64(1, 2, 3, 4, 5, 6), f32(0, 0, 0, 0)])).toThrow(
    DTypeError,
  )
  const integer: Operand = { dtype: 'i32', strides: [2, 1], offset: 0 }
  expect(() => run({ ...plain, output: integer }, [a, b, i32(0, 0, 0, 0)])).toThrow(/must be f32 or f64, got i32/)
  expect(() => run(plain, [a, f32(1, 2, 3, 4, 5), f32(0, 0, 0, 0)])).toThrow(ShapeError)
})
