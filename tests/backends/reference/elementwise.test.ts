import { describe, expect, test } from 'vitest'
import { erf } from '../../../src/backends/reference/erf.js'
import { constant, type Expr, index, input, scalar } from '../../../src/kernels/expr.js'
import type { MapKernel, Operand } from '../../../src/kernels/kernel.js'
import { DTypeError, ShapeError } from '../../../src/tensor/errors.js'
import type { DType } from '../../../src/tensor/dtype.js'
import { f32, f64, i32, run, u32 } from './run.js'

const vector = (dtype: DType): Operand => ({ dtype, strides: [1], offset: 0 })
const arrayOf = {
  f64: Float64Array,
  f32: Float32Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  i32: Int32Array,
  u32: Uint32Array,
  bool: Uint32Array,
}

/** `build(inputs…)` on rows of arguments, one result per row. */
function apply(dtype: DType, build: (...inputs: Expr[]) => Expr, rows: number[][], scalars: number[] = []): number[] {
  const columns = (rows[0] ?? []).map((_, column) => rows.map((row) => row[column] ?? 0))
  const expr = build(...columns.map((_, slot) => input(slot, dtype)))
  const inputs = columns.map(() => vector(dtype))
  const kernel: MapKernel = { kind: 'map', shape: [rows.length], inputs, outputs: [vector(expr.dtype)], exprs: [expr] }
  const buffers = columns.map((column) => arrayOf[dtype].from(column))
  return [...(run(kernel, [...buffers, new arrayOf[expr.dtype](rows.length)], scalars).at(-1) ?? [])]
}
const unary = (dtype: DType, build: (x: Expr) => Expr, values: number[]) =>
  apply(
    dtype,
    build,
    values.map((x) => [x]),
  )

const inf = Number.POSITIVE_INFINITY

describe('f32 nodes are rounded to f32', () => {
  test('0.1 + 0.2 is the f32 sum', () => {
    // 0x3dcccccd + 0x3e4ccccd = 0x3e99999a
    expect(apply('f32', (a, b) => a.add(b), [[0.1, 0.2]])).toEqual([0.30000001192092896])
  })
  test('every node rounds, not only the last', () => {
    // 2^24 + 1 is not an f32, so the inner sum is 2^24 and the difference 0; in f64 it would be 1.
    expect(apply('f32', (a, b) => a.add(b).sub(a), [[16777216, 1]])).toEqual([0])
    expect(apply('f64', (a, b) => a.add(b).sub(a), [[16777216, 1]])).toEqual([1])
  })
  test('1 / 3, √2, overflow', () => {
    expect(unary('f32', (x) => x.recip(), [3])).toEqual([0.3333333432674408])
    expect(unary('f32', (x) => x.sqrt(), [2, -1])).toEqual([1.4142135381698608, NaN])
    expect(unary('f32', (x) => x.mul(x), [3e38])).toEqual([inf])
  })
  test('constants are rounded too', () => {
    expect(unary('f32', (x) => x.add(0.1), [0])).toEqual([0.10000000149011612])
  })
})

test('fma rounds once: it sees what double rounding loses', () => {
  const a = 1 + 2 ** -12
  const half = 2 ** -24
  const rows = [
    // a² = 1 + 2^-11 + 2^-24 lies halfway between two f32; the tiny c decides.
    [a, a, 2 ** -80],
    [a, a, -(2 ** -80)],
    [-a, a, -(2 ** -80)],
    [1 + 2 ** -23, 1.5, -(2 ** -80)],
    [1 + 2 ** -23, 1.5, 2 ** -80],
    // The product's low bits survive the cancellation.
    [a, a, -(1 + 2 ** -11)],
    [inf, 1, -inf],
    [1e30, 1e30, 0],
  ]
  expect(apply('f32', (x, y, z) => x.fma(y, z), rows)).toEqual([
    1 + 2 ** -11 + 2 * half,
    1 + 2 ** -11,
    -(1 + 2 ** -11 + 2 * half),
    1.5 + 2 ** -23,
    1.5 + 2 ** -22,
    half,
    NaN,
    inf,
  ])
})

// [argument, the f32 nearest the true value], from 60-digit arithmetic (mpmath) at the f32 nearest the argument.
const transcendental: Record<string, [(x: Expr) => Expr, [number, number][]]> = {
  exp: [
    (x) => x.exp(),
    [
      [0.3, 1.3498588800430298],
      [-2.7, 0.067205511033535],
      [88.5, 2.723087918012828e38],
      [-inf, 0],
      [inf, inf],
    ],
  ],
  log: [
    (x) => x.log(),
    [
      [0.3, -1.2039728164672852],
      [5.5, 1.7047480344772339],
      [1e-20, -46.051700592041016],
      [0, -inf],
      [-1, NaN],
    ],
  ],
  log1p: [
    (x) => x.log1p(),
    [
      [1e-7, 9.999999406318238e-8],
      [0.3, 0.2623642683029175],
      [-1, -inf],
    ],
  ],
  expm1: [
    (x) => x.expm1(),
    [
      [1e-7, 1.000000082740371e-7],
      [-0.3, -0.25918179750442505],
      [-inf, -1],
    ],
  ],
  tanh: [
    (x) => x.tanh(),
    [
      [1e-4, 9.999999747378752e-5],
      [0.5, 0.46211716532707214],
      [3.3, 0.9972829818725586],
      [-inf, -1],
    ],
  ],
  sin: [
    (x) => x.sin(),
    [
      [0.5, 0.4794255495071411],
      [Math.PI, -8.742277657347586e-8],
      [1e5, 0.03574879840016365],
      [1e20, 0.6565766930580139],
    ],
  ],
  cos: [
    (x) => x.cos(),
    [
      [0.5, 0.8775825500488281],
      [1.5707964, -4.371138828673793e-8],
      [1e20, 0.7542592883110046],
      [inf, NaN],
    ],
  ],
  erf: [
    (x) => x.erf(),
    [
      [0.25, 0.27632638812065125],
      [-1.5, -0.9661051630973816],
      [3, 0.9999778866767883],
      [-inf, -1],
      [-0, -0],
    ],
  ],
}
for (const [name, [build, rows]] of Object.entries(transcendental)) {
  test(`${name} is the nearest f32`, () => {
    expect(
      unary(
        'f32',
        build,
        rows.map(([x]) => x),
      ),
    ).toEqual(rows.map(([, y]) => y))
  })
}

test('erf in f64 is within 4 ulp of 60-digit values', () => {
  const table = [
    [1e-300, 1.1283791670955126e-300],
    [1e-10, 1.1283791670955126e-10],
    [1e-5, 1.1283791670579e-5],
    [0.1, 0.1124629160182849],
    [0.3, 0.3286267594591274],
    [0.5, 0.5204998778130465],
    [0.8, 0.7421009647076605],
    [1, 0.8427007929497149],
    [1.3, 0.9340079449406524],
    [1.7, 0.9837904585907745],
    [2, 0.9953222650189527],
    [2.2, 0.9981371537020182],
    [2.4, 0.999311486103355],
    [2.4999999, 0.9995930477647266],
    [2.5, 0.999593047982555],
    [2.6, 0.9997639655834707],
    [2.9, 0.9999589021219005],
    [3.2, 0.9999939742388483],
    [3.7, 0.9999998328489421],
    [4.4, 0.999999999510829],
    [5.1, 0.9999999999994507],
    [5.8, 0.9999999999999998],
    [6, 1],
    [7.5, 1],
    [inf, 1],
  ] as const
  for (const [x, y] of table) {
    const ulp = 2 ** (Math.floor(Math.log2(y)) - 52)
    expect(Math.abs(erf(x) - y) / ulp, `erf(${x})`).toBeLessThanOrEqual(4)
    expect(erf(-x)).toBe(-erf(x))
  }
  expect([erf(0), erf(-0), erf(NaN)]).toEqual([0, -0, NaN])
})

test('pow follows IEEE, not JavaScript', () => {
  const rows = [
    [2, 10],
    [-2, 3],
    [-2, 0.5],
    [NaN, 0],
    [1, NaN],
    [-1, inf],
    [0, -1],
    [-0, -1],
    [-0, -2],
    [0.5, inf],
  ]
  expect(apply('f32', (a, b) => a.pow(b), rows)).toEqual([1024, -8, NaN, 1, 1, 1, inf, -inf, inf, 0])
})

test('max and min carry NaN from either side and take the left of equals', () => {
  const rows = [
    [1, 2],
    [NaN, 1],
    [1, NaN],
    [0, -0],
    [-0, 0],
  ]
  expect(apply('f32', (a, b) => a.max(b), rows)).toEqual([2, NaN, NaN, 0, -0])
  expect(apply('f32', (a, b) => a.min(b), rows)).toEqual([1, NaN, NaN, 0, -0])
})

test('floor, ceil and round; round takes ties to even and keeps the sign of zero', () => {
  const values = [0.5, 1.5, 2.5, -0.5, -1.5, 0.49999997, 8388609, NaN, inf, -0.2]
  expect(unary('f32', (x) => x.round(), values)).toEqual([0, 2, 2, -0, -2, 0, 8388609, NaN, inf, -0])
  expect(unary('f32', (x) => x.floor(), [1.5, -1.5, -0])).toEqual([1, -2, -0])
  expect(unary('f32', (x) => x.ceil(), [1.5, -1.5, -0.5])).toEqual([2, -1, -0])
  expect(unary('f64', (x) => x.round(), [0.49999999999999994, 2 ** 52 + 1])).toEqual([0, 2 ** 52 + 1])
})

test('comparisons: NaN is unequal to everything, zeros are equal', () => {
  const rows = [
    [1, 2],
    [2, 2],
    [NaN, NaN],
    [0, -0],
  ]
  expect(apply('f32', (a, b) => a.eq(b), rows)).toEqual([0, 1, 0, 1])
  expect(apply('f32', (a, b) => a.ne(b), rows)).toEqual([1, 0, 1, 0])
  expect(apply('f32', (a, b) => a.lt(b), rows)).toEqual([1, 0, 0, 0])
  expect(apply('f32', (a, b) => a.le(b), rows)).toEqual([1, 1, 0, 1])
  expect(
    apply('f32', (a, b) => a.gt(b), [
      [2, 1],
      [1, 1],
    ]),
  ).toEqual([1, 0])
  expect(
    apply('f32', (a, b) => a.ge(b), [
      [2, 1],
      [1, 1],
      [0, 1],
    ]),
  ).toEqual([1, 1, 0])
  expect(unary('f32', (x) => x.isNaN(), [NaN, 1])).toEqual([1, 0])
})

test("select does not let the other side's NaN through", () => {
  expect(unary('f32', (x) => x.gt(0).select(x.log(), 0), [-1, Math.fround(Math.E)])).toEqual([0, 0.9999999403953552])
})

describe('integers wrap', () => {
  const least = -(2 ** 31)
  test('i32', () => {
    expect(apply('i32', (a, b) => a.add(b), [[2147483647, 1]])).toEqual([least])
    expect(apply('i32', (a, b) => a.sub(b), [[least, 1]])).toEqual([2147483647])
    // The low 32 bits of the exact product, as signed.
    expect(
      apply('i32', (a, b) => a.mul(b), [
        [123456789, 987654321],
        [least, -1],
      ]),
    ).toEqual([-67153019, least])
    expect(unary('i32', (x) => x.neg(), [5, least])).toEqual([-5, least])
    expect(unary('i32', (x) => x.abs(), [-5, least])).toEqual([5, least])
    expect(unary('i32', (x) => x.not(), [0])).toEqual([-1])
    expect(unary('i32', (x) => x.shr(4), [-256])).toEqual([-16])
    expect(unary('i32', (x) => x.shl(31), [3])).toEqual([least])
    expect(
      apply('i32', (a, b) => a.div(b), [
        [7, 2],
        [-7, 2],
        [7, 0],
        [least, -1],
      ]),
    ).toEqual([3, -3, 0, least])
  })
  test('u32', () => {
    expect(apply('u32', (a, b) => a.add(b), [[4294967295, 2]])).toEqual([1])
    expect(apply('u32', (a, b) => a.sub(b), [[0, 1]])).toEqual([4294967295])
    expect(apply('u32', (a, b) => a.mul(b), [[0x9e3779b9, 0x85ebca6b]])).toEqual([
      Number((0x9e3779b9n * 0x85ebca6bn) & 0xffffffffn),
    ])
    expect(apply('u32', (a, b) => a.max(b), [[4294967295, 1]])).toEqual([4294967295])
    expect(apply('u32', (a, b) => a.lt(b), [[4294967295, 1]])).toEqual([0])
    expect(unary('u32', (x) => x.shr(4), [0xf0000000])).toEqual([0x0f000000])
    expect(unary('u32', (x) => x.not(), [0])).toEqual([4294967295])
    expect(apply('u32', (a, b) => a.xor(b), [[0xff00ff00, 0x0ff00ff0]])).toEqual([0xf0f0f0f0])
  })
  test('bool', () => {
    const rows = [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ]
    expect(apply('bool', (a, b) => a.and(b), rows)).toEqual([0, 0, 0, 1])
    expect(apply('bool', (a, b) => a.or(b), rows)).toEqual([0, 1, 1, 1])
    expect(apply('bool', (a, b) => a.xor(b), rows)).toEqual([0, 1, 1, 0])
    expect(unary('bool', (a) => a.not(), [0, 1])).toEqual([1, 0])
  })
})

test('casts truncate, saturate and keep bits between integers', () => {
  const values = [NaN, inf, -inf, 1.9, -1.9, 3e9, -3e9, 5e9]
  expect(unary('f32', (x) => x.cast('i32'), values)).toEqual([
    0, 2147483647, -2147483648, 1, -1, 2147483647, -2147483648, 2147483647,
  ])
  expect(unary('f32', (x) => x.cast('u32'), values)).toEqual([0, 4294967295, 0, 1, 0, 3000000000, 0, 4294967295])
  expect(unary('f32', (x) => x.cast('bool'), [0, -0, NaN, 0.1])).toEqual([0, 0, 1, 1])
  expect(unary('i32', (x) => x.cast('u32'), [-1])).toEqual([4294967295])
  expect(unary('u32', (x) => x.cast('i32'), [4294967295])).toEqual([-1])
  expect(unary('i32', (x) => x.cast('bool'), [0, -7])).toEqual([0, 1])
  expect(unary('bool', (x) => x.cast('f32'), [0, 1])).toEqual([0, 1])
  expect(unary('i32', (x) => x.cast('f32'), [16777217])).toEqual([16777216])
  expect(unary('f64', (x) => x.cast('f32'), [0.1])).toEqual([0.10000000149011612])
})

test('scalars are converted to their dtype', () => {
  expect(apply('f32', (x) => x.mul(scalar(1, 'f32')), [[1]], [7, 0.1])).toEqual([0.10000000149011612])
  expect(apply('u32', (x) => x.add(scalar(0, 'u32')), [[1]], [4294967295])).toEqual([0])
})

test('index is the row-major position, also across blocks and in a permuted output', () => {
  const positions: MapKernel = { kind: 'map', shape: [600], inputs: [], outputs: [vector('u32')], exprs: [index()] }
  expect([...run(positions, [new Uint32Array(600)])[0]]).toEqual(Array.from({ length: 600 }, (_, i) => i))
  const transposed: MapKernel = { ...positions, shape: [2, 3], outputs: [{ dtype: 'u32', strides: [1, 2], offset: 0 }] }
  expect(run(transposed, [new Uint32Array(6)])).toEqual([u32(0, 3, 1, 4, 2, 5)])
})

test('two index leaves in one expression agree', () => {
  const exprs = [index().add(index())]
  const kernel: MapKernel = { kind: 'map', shape: [3], inputs: [], outputs: [vector('u32')], exprs }
  expect(run(kernel, [new Uint32Array(3)])).toEqual([u32(0, 2, 4)])
})

test('a shared node is evaluated once: 60 doublings finish', () => {
  const doubled = (x: Expr) => Array.from({ length: 60 }).reduce<Expr>((sum) => sum.add(sum), x)
  expect(unary('f64', doubled, [1])).toEqual([2 ** 60])
})

test('constants 0 and −0 are different code', () => {
  expect(unary('f32', (x) => x.mul(0).add(constant(-0, 'f32')), [-1])).toEqual([-0])
  expect(unary('f32', (x) => x.mul(0).add(constant(0, 'f32')), [-1])).toEqual([0])
})

describe('layouts', () => {
  test('a broadcast row, a transposed matrix and a sub-view of the output', () => {
    const kernel: MapKernel = {
      kind: 'map',
      shape: [2, 3],
      inputs: [
        { dtype: 'f32', strides: [0, 1], offset: 1 },
        { dtype: 'f32', strides: [1, 2], offset: 0 },
      ],
      outputs: [{ dtype: 'f32', strides: [4, 1], offset: 2 }],
      exprs: [input(0, 'f32').mul(input(1, 'f32'))],
    }
    const [, , out] = run(kernel, [f32(9, 1, 10, 100), f32(1, 4, 2, 5, 3, 6), new Float32Array(9).fill(-1)])
    expect([...out]).toEqual([-1, -1, 1, 20, 300, -1, 4, 50, 600])
  })
  test('in place with swapped outputs: all results are computed before one is stored', () => {
    const operands = [vector('f32'), vector('f32')]
    const exprs = [input(1, 'f32'), input(0, 'f32')]
    const kernel: MapKernel = { kind: 'map', shape: [2], inputs: operands, outputs: operands, exprs }
    const a = f32(1, 2)
    const b = f32(3, 4)
    expect(run(kernel, [a, b, a, b])).toEqual([f32(3, 4), f32(1, 2), f32(3, 4), f32(1, 2)])
  })
  test('rank 0 and empty axes', () => {
    const scalarKernel: MapKernel = {
      kind: 'map',
      shape: [],
      inputs: [{ dtype: 'f64', strides: [], offset: 1 }],
      outputs: [{ dtype: 'f64', strides: [], offset: 0 }],
      exprs: [input(0, 'f64').neg()],
    }
    expect(run(scalarKernel, [f64(1, 2), f64(0)])).toEqual([f64(1, 2), f64(-2)])
    const empty: MapKernel = {
      kind: 'map',
      shape: [0],
      inputs: [],
      outputs: [vector('i32')],
      exprs: [constant(1, 'i32')],
    }
    expect(run(empty, [i32(7)])).toEqual([i32(7)])
  })
})

describe('a descriptor that contradicts itself is refused', () => {
  const kernel: MapKernel = {
    kind: 'map',
    shape: [3],
    inputs: [vector('f32')],
    outputs: [vector('f32')],
    exprs: [input(0, 'f32')],
  }
  test('reaching outside a buffer', () => {
    expect(() => run(kernel, [f32(1, 2), f32(0, 0, 0)])).toThrow(ShapeError)
    expect(() => run(kernel, [f32(1, 2), f32(0, 0, 0)])).toThrow(/spans elements 0 to 2, but its buffer holds 2/)
  })
  test('a missing buffer, stride, input or scalar', () => {
    expect(() => run(kernel, [f32(1, 2, 3)])).toThrow(/2 buffers are needed/)
    expect(() => run({ ...kernel, shape: [3, 1] }, [f32(1, 2, 3), f32(0, 0, 0)])).toThrow(/one stride for each axis/)
    expect(() => run({ ...kernel, exprs: [input(1, 'f32')] }, [f32(1, 2, 3), f32(0, 0, 0)])).toThrow(
      /reads input 1 of 1/,
    )
    expect(() => run({ ...kernel, exprs: [scalar(0, 'f32')] }, [f32(1, 2, 3), f32(0, 0, 0)])).toThrow(
      /read 1 scalars, got 0/,
    )
  })
  test('a wrong dtype or an operation without meaning', () => {
    expect(() => run({ ...kernel, exprs: [input(0, 'i32').cast('f32')] }, [f32(1, 2, 3), f32(0, 0, 0)])).toThrow(
      DTypeError,
    )
    expect(() => run({ ...kernel, exprs: [input(0, 'f32').gt(0)] }, [f32(1, 2, 3), f32(0, 0, 0)])).toThrow(
      /must be f32, got bool/,
    )
    expect(() => unary('i32', (x) => x.exp(), [1])).toThrow(/exp: not defined on i32/)
  })
})
