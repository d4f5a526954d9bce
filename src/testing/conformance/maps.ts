import { type Expr, index, input } from '../../kernels/expr.js'
import type { DType } from '../../tensor/dtype.js'
import { type ConformanceCase, exact, type Tolerance } from './case.js'
import { type Bound, type Layout, randomLayout, readable, vector, writable } from './operands.js'
import type { Random } from './random.js'

/** A map over bound operands. */
export function mapCase(
  name: string,
  shape: readonly number[],
  inputs: readonly Bound[],
  exprs: readonly Expr[],
  outputs: readonly Bound[],
  tolerance: Tolerance = exact,
  scalars: readonly number[] = [],
): ConformanceCase {
  const operandOf = ({ operand }: Bound) => operand
  return {
    name: `map/${name}`,
    kernel: { kind: 'map', shape, inputs: inputs.map(operandOf), outputs: outputs.map(operandOf), exprs },
    buffers: [...inputs, ...outputs].map(({ contents }) => contents),
    scalars,
    tolerance,
  }
}

/** An expression of columns of values, one result per row. */
export function columnsCase(
  name: string,
  expr: Expr,
  columns: readonly { readonly dtype: DType; readonly values: readonly number[] }[],
  tolerance: Tolerance = exact,
  scalars: readonly number[] = [],
): ConformanceCase {
  const length = columns[0]?.values.length ?? 1
  const inputs = columns.map(({ dtype, values }) => vector(dtype, values))
  return mapCase(name, [length], inputs, [expr], [writable(expr.dtype, [length])], tolerance, scalars)
}

const a = input(0, 'f32')
const b = input(1, 'f32')
const difference = a.sub(b)

const shapes: readonly (readonly number[])[] = [
  [],
  [1],
  [5],
  [1, 1],
  [3, 7],
  [7, 1],
  [1, 9],
  [2, 3, 5],
  [4, 1, 6],
  [2, 3, 4, 5],
  [3, 1, 2, 1, 4],
  [2, 3, 1, 2, 2, 3],
]

/** Every kind of layout on every rank from 0 to 6, then random mixtures. */
export function layoutCases(random: Random): ConformanceCase[] {
  const axesOf = (shape: readonly number[]) => [...shape.keys()]
  const layouts: Record<string, (shape: readonly number[]) => [Layout, Layout, Layout]> = {
    contiguous: () => [{}, {}, {}],
    offsets: () => [{ offset: 3 }, { offset: 1 }, { offset: 2 }],
    'repeated scalar': (shape) => [{ repeat: axesOf(shape) }, {}, {}],
    'repeated scalars': (shape) => [{ repeat: axesOf(shape) }, { repeat: axesOf(shape), offset: 2 }, {}],
    'repeated rows': (shape) => [{ repeat: axesOf(shape).slice(0, -1) }, {}, {}],
    'repeated columns': (shape) => [{}, { repeat: axesOf(shape).slice(-1) }, {}],
    'one permuted input': (shape) => [{ order: axesOf(shape).reverse() }, {}, {}],
    'permuted output': (shape) => [{}, {}, { order: axesOf(shape).reverse() }],
    'all permuted alike': (shape) => {
      const order = axesOf(shape).reverse()
      return [{ order }, { order }, { order }]
    },
    'views of larger arrays': () => [{ gap: 2, offset: 5 }, { gap: 1 }, { gap: 3, offset: 1 }],
    'every second element': () => [{ step: 2 }, { step: 3, offset: 1 }, { step: 2, offset: 1 }],
  }
  const systematic = Object.entries(layouts).flatMap(([name, layout]) =>
    shapes.map((shape) => {
      const [first, second, out] = layout(shape)
      const inputs = [readable(random, 'f32', shape, first, 'plain'), readable(random, 'f32', shape, second, 'plain')]
      return mapCase(`layout/${name} [${shape}]`, shape, inputs, [difference], [writable('f32', shape, out)])
    }),
  )
  const mixed = Array.from({ length: 60 }, (_, i) => {
    const shape = Array.from({ length: random.whole(1, 6) }, () => random.whole(1, 5))
    const dtypes: DType[] = ['f32', random.pick<DType>(['f32', 'i32', 'u32', 'bool', 'f16', 'bf16'])]
    const inputs = dtypes.map((dtype) =>
      readable(random, dtype, shape, randomLayout(random, shape.length, true), 'whole'),
    )
    const exprs = [a.sub(input(1, dtypes[1] ?? 'f32').cast('f32')), input(1, dtypes[1] ?? 'f32')]
    const outputs = exprs.map(({ dtype }) => writable(dtype, shape, randomLayout(random, shape.length, false)))
    return mapCase(`layout/random ${i} [${shape}]`, shape, inputs, exprs, outputs)
  })
  return [...systematic, ...mixed]
}

/** Sizes around the width of a vector, empty ones, and ones that are worth several threads. */
export function sizeCases(random: Random): ConformanceCase[] {
  const sized = (name: string, shape: readonly number[], expr: Expr = difference, tolerance: Tolerance = exact) => {
    const inputs = ['f32', 'f32'].map(() => readable(random, 'f32', shape, { offset: 1 }, 'plain'))
    return mapCase(`size/${name} [${shape}]`, shape, inputs, [expr], [writable('f32', shape, { offset: 1 })], tolerance)
  }
  const tails = Array.from({ length: 35 }, (_, size) => sized('tail', [size]))
  const rows = Array.from({ length: 17 }, (_, size) => {
    const inputs = [
      readable(random, 'f32', [3, size], { gap: 1 }, 'plain'),
      readable(random, 'f32', [3, size], { repeat: [0] }, 'plain'),
    ]
    return mapCase(`size/rows [3,${size}]`, [3, size], inputs, [difference], [writable('f32', [3, size], { gap: 2 })])
  })
  const exponentials = Array.from({ length: 17 }, (_, size) =>
    sized('tail of exp', [size], a.exp(), { kind: 'ulp', ulp: 4 }),
  )
  const empty = [[0], [3, 0], [0, 3], [2, 0, 4]].map((shape) => sized('empty', shape))
  const large = [[70_003], [200_003], [301, 209], [50, 40, 33]].map((shape) => sized('large', shape))
  return [...tails, ...rows, ...exponentials, ...empty, ...large, ...largeLayouts(random)]
}

function largeLayouts(random: Random): ConformanceCase[] {
  const shape = [253, 517]
  const layouts: Record<string, [Layout, Layout, Layout]> = {
    'a repeated row': [{}, { repeat: [0] }, {}],
    'a repeated column': [{ repeat: [1] }, {}, {}],
    'a transposed input': [{ order: [1, 0] }, {}, {}],
    'a transposed output': [{}, {}, { order: [1, 0] }],
    views: [{ gap: 3 }, { gap: 1, offset: 7 }, { gap: 2 }],
  }
  return Object.entries(layouts).map(([name, [first, second, out]]) => {
    const inputs = [readable(random, 'f32', shape, first, 'plain'), readable(random, 'f32', shape, second, 'plain')]
    return mapCase(`size/large, ${name}`, shape, inputs, [difference], [writable('f32', shape, out)])
  })
}

/** Outputs that are inputs, several outputs, one buffer bound several times. */
export function sharingCases(random: Random): ConformanceCase[] {
  const sizes = [1, 6, 19, 70_001]
  const inPlace = sizes.flatMap((size) => {
    const fresh = () => readable(random, 'f32', [size], { offset: 1 }, 'plain')
    const [x, y, z] = [fresh(), fresh(), fresh()]
    const m = input(2, 'f32')
    return [
      mapCase(`sharing/in place [${size}]`, [size], [x, y], [difference], [x]),
      mapCase(`sharing/the second in place [${size}]`, [size], [x, y], [difference], [y]),
      mapCase(`sharing/swapped in place [${size}]`, [size], [x, y], [b, a], [x, y]),
      mapCase(`sharing/three in place [${size}]`, [size], [x, y, z], [a.add(b), a.sub(m), b.mul(m)], [x, y, z]),
      mapCase(`sharing/twice the same input [${size}]`, [size], [x, x], [a.mul(b)], [y]),
      mapCase(`sharing/all the same buffer [${size}]`, [size], [x, x], [a.add(b)], [x]),
    ]
  })
  const matrix = [5, 9]
  const viewed = readable(random, 'f32', matrix, { order: [1, 0], gap: 1, offset: 2 }, 'plain')
  const row = readable(random, 'f32', matrix, { repeat: [0] }, 'plain')
  const halves = readable(random, 'f32', [2, 8], {}, 'plain')
  const half = (offset: number): Bound => ({ ...halves, operand: { dtype: 'f32', strides: [1], offset } })
  const outputs = [
    writable('f32', matrix),
    writable('bool', matrix, { gap: 1 }),
    writable('i32', matrix, { order: [1, 0] }),
  ]
  return [
    ...inPlace,
    mapCase('sharing/a permuted view in place', matrix, [viewed, row], [difference], [viewed]),
    mapCase('sharing/from one half of a buffer to the other', [8], [half(0)], [a.neg()], [half(8)]),
    mapCase(
      'sharing/outputs of three dtypes',
      matrix,
      [viewed, row],
      [difference, a.gt(b), a.mul(50).cast('i32')],
      outputs,
    ),
    mapCase('sharing/no inputs', matrix, [], [index().cast('f32')], [writable('f32', matrix)]),
  ]
}
