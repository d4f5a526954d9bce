import { describe, expect, test } from 'vitest'
import type { GatherKernel, Operand, ScatterKernel } from '../../../src/kernels/kernel.js'
import { DTypeError, ShapeError } from '../../../src/tensor/errors.js'
import type { DType } from '../../../src/tensor/dtype.js'
import { attempt, f32, i32, run, u32 } from './run.js'

const from = (dtype: DType, offset = 0): Operand => ({ dtype, strides: [], offset })
const gather: GatherKernel = {
  kind: 'gather',
  outer: 1,
  size: 3,
  inner: 2,
  count: 4,
  perOuter: false,
  source: from('f32'),
  index: from('i32'),
  output: from('f32'),
}
const scatterAdd: ScatterKernel = { ...gather, kind: 'scatter', combine: 'add' }
const table = f32(1, 2, 3, 4, 5, 6)

describe('gather', () => {
  test('rows, repeated and out of order', () => {
    const [, , out] = run(gather, [table, i32(2, 0, 2, 1), new Float32Array(8)])
    expect(out).toEqual(f32(5, 6, 1, 2, 5, 6, 3, 4))
  })
  test('the same indices for each outer row, or its own', () => {
    const columns: GatherKernel = { ...gather, outer: 2, size: 3, inner: 1, count: 2 }
    expect(run(columns, [table, i32(2, 0), new Float32Array(4)])[2]).toEqual(f32(3, 1, 6, 4))
    const own = { ...columns, perOuter: true, index: from('u32') }
    expect(run(own, [table, u32(2, 0, 1, 1), new Float32Array(4)])[2]).toEqual(f32(3, 1, 5, 5))
  })
  test('offsets of all three operands', () => {
    const kernel = {
      ...gather,
      inner: 1,
      count: 2,
      source: from('f32', 2),
      index: from('i32', 1),
      output: from('f32', 1),
    }
    expect(run(kernel, [table, i32(9, 2, 0), new Float32Array(4)])[2]).toEqual(f32(0, 5, 3, 0))
  })
})

describe('scatter', () => {
  test('adds to what is there, repeated rows in order', () => {
    const [, , out] = run(scatterAdd, [f32(1, 2, 3, 4, 5, 6, 7, 8), i32(2, 0, 2, 2), f32(100, 100, 0, 0, 0, 0)])
    expect(out).toEqual(f32(103, 104, 0, 0, 1 + 5 + 7, 2 + 6 + 8))
  })
  test('every addition is rounded: 2²⁴ + 1 + 1 stays', () => {
    const kernel: ScatterKernel = { ...scatterAdd, inner: 1, count: 2 }
    expect(run(kernel, [f32(1, 1), i32(0, 0), f32(16777216, 0, 0)])[2]).toEqual(f32(16777216, 0, 0))
  })
  test('its own indices for each outer row; integers wrap', () => {
    const kernel: ScatterKernel = {
      ...scatterAdd,
      outer: 2,
      size: 2,
      inner: 1,
      count: 2,
      perOuter: true,
      source: from('i32'),
      output: from('i32'),
    }
    const [, , out] = run(kernel, [i32(1, 2, 3, 2147483647), i32(1, 1, 0, 0), i32(0, 0, 0, 0)])
    expect(out).toEqual(i32(0, 3, -2147483646, 0))
  })
})

describe('scatter that sets', () => {
  test('takes the place of what is there, of repeated rows the last', () => {
    const kernel: ScatterKernel = { ...scatterAdd, combine: 'set' }
    const [, , out] = run(kernel, [f32(1, 2, 3, 4, 5, 6, 7, 8), i32(2, 0, 2, 2), f32(100, 100, 9, 9, 0, 0)])
    expect(out).toEqual(f32(3, 4, 9, 9, 7, 8))
  })
})

describe('an index out of range is refused before anything is written', () => {
  for (const kernel of [gather, scatterAdd]) {
    test(kernel.kind, () => {
      const data = new Float32Array(8).fill(1)
      const rows = (index: Int32Array | Uint32Array) => () => run(kernel, [data, index, data])
      expect(rows(i32(0, 1, 2, 3))).toThrow(ShapeError)
      expect(rows(i32(0, 1, 2, 3))).toThrow(
        /index 3 at position 3 is out of range, but the axis has size 3: use 0 to 2/,
      )
      expect(rows(i32(0, -1, 7, 3))).toThrow(/index -1 at position 1/)
      const out = new Float32Array(8).fill(7)
      expect(attempt(kernel, [data, i32(0, 1, 2, 3), out]).after[2]).toEqual(out)
      const unsigned = { ...kernel, index: from('u32') }
      expect(() => run(unsigned, [data, u32(0, 4294967295, 0, 0), data])).toThrow(/index 4294967295 at position 1/)
      expect(() => run({ ...kernel, size: 0 }, [data, i32(0, 0, 0, 0), data])).toThrow(/axis has size 0/)
    })
  }
  test('an index that is not an integer dtype, and bool sums', () => {
    expect(() => run({ ...gather, index: from('f32') }, [table, f32(0, 0, 0, 0), new Float32Array(8)])).toThrow(
      DTypeError,
    )
    const bools = { ...scatterAdd, source: from('bool'), output: from('bool') }
    expect(() => run(bools, [u32(1, 1), i32(0), u32(0, 0)])).toThrow(/not defined on bool/)
  })
})
