import { constant, type Expr, index, input, scalar } from '../../kernels/expr.js'
import type { DType } from '../../tensor/dtype.js'
import { type ConformanceCase, exact, ulps } from './case.js'
import { columnsCase, mapCase } from './maps.js'
import { randomLayout, readable, writable } from './operands.js'
import { contentsOf, type Random, randomElement } from './random.js'

const inf = Number.POSITIVE_INFINITY
const nan = Number.NaN
const largestF32 = 3.4028234663852886e38
const smallestF32 = 2 ** -126

/** Values where f32 arithmetic goes wrong first. No denormals: they have cases of their own. */
const floats = [
  0,
  -0,
  1,
  -1,
  0.5,
  -0.5,
  1.5,
  2.5,
  -2.5,
  3.5,
  0.1,
  -0.1,
  1 / 3,
  2,
  3,
  -3,
  10,
  1e-6,
  0.49999997,
  -0.99999994,
  8388607.5,
  8388608,
  -8388609,
  16777215,
  16777216,
  2147483520,
  2147483648,
  -2147483648,
  -2147483904,
  4294967040,
  4294967296,
  1e20,
  -1e20,
  1e-20,
  largestF32,
  -largestF32,
  smallestF32,
  -smallestF32,
  inf,
  -inf,
  nan,
]
const integers = {
  i32: [
    0, 1, -1, 2, -2, 3, 7, -7, 255, 65535, 65536, -65537, 46341, 123456789, -987654321, 16777217, 2147483647,
    -2147483647, -2147483648,
  ],
  u32: [
    0, 1, 2, 3, 7, 255, 65535, 65536, 123456789, 16777217, 0x7fffffff, 0x80000000, 0x80000001, 0xdeadbeef, 0xfffffffe,
    0xffffffff,
  ],
}
const valuesOf: Readonly<Record<DType, readonly number[]>> = {
  f64: [...floats, 1e300, 5e-324],
  f32: floats,
  f16: floats,
  bf16: floats,
  ...integers,
  bool: [0, 1],
}

/** Every value with every value, then random pairs of all magnitudes. */
function pairs(random: Random, dtype: DType): { left: number[]; right: number[] } {
  const values = valuesOf[dtype]
  const left = values.flatMap((x) => values.map(() => x))
  const right = values.flatMap(() => values)
  for (let i = 0; i < 203; i++) {
    left.push(anyElement(random, dtype))
    right.push(anyElement(random, dtype))
  }
  return { left, right }
}

function anyElement(random: Random, dtype: DType): number {
  return dtype === 'f32' || dtype === 'f64' ? random.magnitude(-40, 40) : randomElement(random, dtype, 'plain')
}

type Unary = Readonly<Record<string, (x: Expr) => Expr>>
type Binary = Readonly<Record<string, (a: Expr, b: Expr) => Expr>>

const comparisons: Binary = {
  eq: (a, b) => a.eq(b),
  ne: (a, b) => a.ne(b),
  lt: (a, b) => a.lt(b),
  le: (a, b) => a.le(b),
  gt: (a, b) => a.gt(b),
  ge: (a, b) => a.ge(b),
}
const extremes: Binary = { max: (a, b) => a.max(b), min: (a, b) => a.min(b) }
const sums: Binary = { add: (a, b) => a.add(b), sub: (a, b) => a.sub(b), mul: (a, b) => a.mul(b) }
const logic: Binary = { and: (a, b) => a.and(b), or: (a, b) => a.or(b), xor: (a, b) => a.xor(b) }

const floatBinary: Binary = { ...sums, div: (a, b) => a.div(b), ...extremes, ...comparisons }
const integerBinary: Binary = { ...sums, div: (a, b) => a.div(b), ...extremes, ...comparisons, ...logic }
const binary = {
  f64: floatBinary,
  f32: floatBinary,
  i32: integerBinary,
  u32: integerBinary,
  bool: { ...logic, ...extremes, ...comparisons },
}

const floatUnary: Unary = {
  neg: (x) => x.neg(),
  abs: (x) => x.abs(),
  sqrt: (x) => x.sqrt(),
  recip: (x) => x.recip(),
  square: (x) => x.square(),
  floor: (x) => x.floor(),
  ceil: (x) => x.ceil(),
  round: (x) => x.round(),
  isNaN: (x) => x.isNaN(),
  isFinite: (x) => x.isFinite(),
  copy: (x) => x,
}
const shifts: Unary = Object.fromEntries(
  [0, 1, 7, 31].flatMap((count) => [
    [`shl ${count}`, (x: Expr) => x.shl(count)],
    [`shr ${count}`, (x: Expr) => x.shr(count)],
  ]),
)
const integerUnary: Unary = {
  neg: (x) => x.neg(),
  abs: (x) => x.abs(),
  not: (x) => x.not(),
  isNaN: (x) => x.isNaN(),
  copy: (x) => x,
  ...shifts,
}
const unary = {
  f64: floatUnary,
  f32: floatUnary,
  i32: integerUnary,
  u32: integerUnary,
  bool: { not: (x: Expr) => x.not(), isNaN: (x: Expr) => x.isNaN(), copy: (x: Expr) => x },
}

const dtypes = ['f32', 'i32', 'u32', 'bool', 'f64'] as const

/** Operations whose results are exact: arithmetic, comparisons, selection, integers, casts, leaves. */
export function exactCases(random: Random): ConformanceCase[] {
  return dtypes.flatMap((dtype) => {
    const values = [...valuesOf[dtype], ...Array.from({ length: 101 }, () => anyElement(random, dtype))]
    const { left, right } = pairs(random, dtype)
    const x = input(0, dtype)
    const y = input(1, dtype)
    const one = [{ dtype, values }]
    const two = [
      { dtype, values: left },
      { dtype, values: right },
    ]
    const choices = [...two, { dtype: 'bool' as const, values: left.map(() => random.whole(0, 1)) }]
    return [
      ...Object.entries(unary[dtype]).map(([op, build]) => columnsCase(`${op} ${dtype}`, build(x), one)),
      ...Object.entries(binary[dtype]).map(([op, build]) => columnsCase(`${op} ${dtype}`, build(x, y), two)),
      columnsCase(`select ${dtype}`, input(2, 'bool').select(x, y), choices),
      ...dtypes.map((to) => columnsCase(`cast ${dtype} to ${to}`, x.cast(to), one)),
      ...(dtype === 'bool' || dtype === 'f64' ? [] : bitcastCases(dtype, values)),
    ]
  })
}

/** Both ways; which bits a NaN has is open. */
function bitcastCases(dtype: 'f32' | 'i32' | 'u32', values: readonly number[]): ConformanceCase[] {
  const one = [{ dtype, values: values.filter((x) => !Number.isNaN(x)) }]
  return (['f32', 'i32', 'u32'] as const).map((to) =>
    columnsCase(`bitcast ${dtype} to ${to}`, input(0, dtype).bitcast(to), one),
  )
}

const halfMantissa = 1 + 2 ** -12

/** `fma`: as a whole either rounded once or, in a mode without FMA, twice. */
export function fmaCases(random: Random): ConformanceCase[] {
  const rows: [number, number, number][] = [
    [halfMantissa, halfMantissa, -(1 + 2 ** -11)],
    [3, 5, 7],
    [0.1, 10, -1],
    [inf, 1, -inf],
    [inf, 0, 1],
    [nan, 1, 1],
    [1, 1, nan],
    [1e30, 1e30, -inf],
    [-0, 1, -0],
    [0, -1, 0],
    [largestF32, 2, -largestF32],
  ]
  for (let i = 0; i < 500; i++) {
    const x = Math.fround(random.magnitude(-20, 20))
    const y = Math.fround(random.magnitude(-20, 20))
    rows.push([x, y, random.chance(0.3) ? Math.fround(-x * y) : random.magnitude(-20, 20)])
  }
  return (['f32', 'f64'] as const).map((dtype) => {
    const [x, y, z] = [input(0, dtype), input(1, dtype), input(2, dtype)] as const
    const columns = [0, 1, 2].map((column) => ({ dtype, values: rows.map((row) => row[column] ?? 0) }))
    const fused = columnsCase(`fma ${dtype}`, x.fma(y, z), columns)
    const apart = columnsCase('', x.mul(y).add(z), columns)
    return { ...fused, orElse: [{ kernel: apart.kernel, buffers: fused.buffers }] }
  })
}

/** Denormal operands, each alone: kept, or flushed to zero by the whole run. */
export function denormalCases(): ConformanceCase[] {
  const denormals = [2 ** -149, -(2 ** -149), 2 ** -127, -3e-39, 1e-40]
  const flushed = denormals.map((x) => x * 0)
  const others = [1, -1, 2 ** 20, 0.5, 3]
  const builds: Record<string, (a: Expr, b: Expr) => Expr> = {
    ...floatBinary,
    copy: (a) => a,
    sqrt: (a) => a.sqrt(),
    neg: (a) => a.neg(),
    abs: (a) => a.abs(),
    ceil: (a) => a.ceil(),
    exp: (a) => a.exp(),
    log: (a) => a.log(),
    log1p: (a) => a.log1p(),
    expm1: (a) => a.expm1(),
    sin: (a) => a.sin(),
    cos: (a) => a.cos(),
    tanh: (a) => a.tanh(),
    erf: (a) => a.erf(),
    bool: (a) => a.cast('bool'),
  }
  return Object.entries(builds).map(([op, build]) => {
    const two = (values: number[]) => [
      { dtype: 'f32' as const, values },
      { dtype: 'f32' as const, values: others },
    ]
    const expr = build(input(0, 'f32'), input(1, 'f32'))
    const tolerance = op in transcendental ? ulps(transcendentalUlp) : exact
    const kept = columnsCase(`denormal ${op}`, expr, two(denormals), tolerance)
    return { ...kept, orElse: [{ kernel: kept.kernel, buffers: columnsCase('', expr, two(flushed)).buffers }] }
  })
}

const transcendentalUlp = 4

/** Where each function is interesting: from, to. Every magnitude of both signs is tried besides. */
const transcendental: Readonly<Record<string, { build: (x: Expr) => Expr; ranges: readonly [number, number][] }>> = {
  exp: {
    build: (x) => x.exp(),
    ranges: [
      [-105, 89],
      [-1, 1],
      [88, 88.8],
    ],
  },
  expm1: {
    build: (x) => x.expm1(),
    ranges: [
      [-20, 89],
      [-1e-3, 1e-3],
      [-0.5, 0.5],
    ],
  },
  log: {
    build: (x) => x.log(),
    ranges: [
      [0, 10],
      [0.9, 1.1],
      [-3, 0],
    ],
  },
  log1p: {
    build: (x) => x.log1p(),
    ranges: [
      [-1, 10],
      [-1e-3, 1e-3],
      [-3, -0.9],
    ],
  },
  sin: {
    build: (x) => x.sin(),
    ranges: [
      [-10, 10],
      [-1e4, 1e4],
      [-1e9, 1e9],
    ],
  },
  cos: {
    build: (x) => x.cos(),
    ranges: [
      [-10, 10],
      [-1e4, 1e4],
      [-1e9, 1e9],
    ],
  },
  tanh: {
    build: (x) => x.tanh(),
    ranges: [
      [-10, 10],
      [-0.1, 0.1],
    ],
  },
  erf: {
    build: (x) => x.erf(),
    ranges: [
      [-5, 5],
      [-0.1, 0.1],
    ],
  },
}

/** Functions that are rounded more than once, within a few ulp. */
export function transcendentalCases(random: Random): ConformanceCase[] {
  const multiplesOfHalfPi = Array.from({ length: 40 }, (_, i) => (i - 20) * (Math.PI / 2))
  const functions = Object.entries(transcendental).flatMap(([op, { build, ranges }]) => {
    const values = [...floats, ...multiplesOfHalfPi, 88.72283, 88.72284, -87.33654, -103.97, -104]
    for (let i = 0; i < 400; i++) values.push(random.magnitude(-126, 127.9))
    for (const [low, high] of ranges) for (let i = 0; i < 400; i++) values.push(random.between(low, high))
    return (['f32', 'f64'] as const).map((dtype) =>
      columnsCase(`${op} ${dtype}`, build(input(0, dtype)), [{ dtype, values }], ulps(transcendentalUlp)),
    )
  })
  return [...functions, ...powCases(random), ...compositeCases(random)]
}

function powCases(random: Random): ConformanceCase[] {
  const bases = [0, -0, 1, -1, 2, -2, 0.5, -0.5, 3, -3, 10, 0.99999994, 1.0000001, 1e10, 1e-10, inf, -inf, nan]
  const exponents = [0, -0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 0.3333333, 1.5, 10, -10, 100, 16777216, 1e9, inf, -inf, nan]
  const left = bases.flatMap((x) => exponents.map(() => x))
  const right = bases.flatMap(() => exponents)
  for (let i = 0; i < 1000; i++) {
    const x = 2 ** random.between(-20, 20)
    left.push(random.chance(0.2) ? -x : x)
    right.push(random.chance(0.4) ? random.whole(-6, 6) : random.between(-6, 6))
  }
  return (['f32', 'f64'] as const).map((dtype) => {
    const columns = [
      { dtype, values: left },
      { dtype, values: right },
    ]
    return columnsCase(`pow ${dtype}`, input(0, dtype).pow(input(1, dtype)), columns, ulps(transcendentalUlp))
  })
}

/** Transcendental nodes inside larger expressions, sharing arguments and results. */
function compositeCases(random: Random): ConformanceCase[] {
  const values = Array.from({ length: 203 }, () => random.between(-6, 6))
  const one = [{ dtype: 'f32' as const, values }]
  const x = input(0, 'f32')
  const e = x.neg().exp()
  return [
    columnsCase('sigmoid', e.add(1).recip(), one, ulps(8)),
    columnsCase('softplus', x.max(0).add(x.abs().neg().exp().log1p()), one, ulps(8)),
    columnsCase('one exp in two places', e.mul(e), one, ulps(12)),
    columnsCase('functions of several arguments', x.abs().exp().mul(x.abs().add(1).log().add(2)), one, ulps(16)),
    columnsCase('select between functions', x.gt(0).select(x.log(), x.exp()), one, ulps(transcendentalUlp)),
  ]
}

/** Leaves: constants, host scalars, positions; nodes used more than once; many values alive at once. */
export function leafCases(random: Random): ConformanceCase[] {
  const values = Array.from({ length: 21 }, () => random.between(-2, 2))
  const one = [{ dtype: 'f32' as const, values }]
  const x = input(0, 'f32')
  const constants = [0, -0, 0.1, 1e-3, -1.5, largestF32, smallestF32, inf, -inf, nan]
  const doubled = Array.from({ length: 40 }).reduce<Expr>((sum) => sum.add(sum).mul(0.5), x)
  const wide = Array.from({ length: 24 }, (_, i) => x.mul(i + 1).add(i))
  const tree = wide.reduce((sum, next) => sum.add(next)).mul(wide.reduceRight((product, next) => product.sub(next)))
  const rate = scalar(0, 'f32')
  const rest = scalar(1, 'f32')
  const shape = [3, 4, 5]
  const permuted = { order: [2, 0, 1], gap: 1 }
  return [
    ...constants.map((c) =>
      columnsCase(`constant ${Object.is(c, -0) ? '-0' : c}`, x.mul(0).add(constant(c, 'f32')), one),
    ),
    ...constants.map((c) =>
      mapCase(
        `only the constant ${Object.is(c, -0) ? '-0' : c}`,
        [9],
        [],
        [constant(c, 'f32')],
        [writable('f32', [9])],
      ),
    ),
    columnsCase('scalars f32', x.mul(rate).add(rest), one, exact, [0.1, -1e-3]),
    columnsCase('scalars out of order', x.mul(scalar(2, 'f32')).sub(rate), one, exact, [3, 9, -5]),
    columnsCase(
      'scalar −0, ∞, NaN',
      scalar(1, 'f32').eq(inf).select(rate, scalar(2, 'f32')).add(x.mul(-0)),
      one,
      exact,
      [-0, inf, nan],
    ),
    columnsCase(
      'scalars of every dtype',
      scalar(2, 'bool').select(scalar(0, 'u32'), scalar(1, 'i32').cast('u32')).cast('f32').add(x),
      one,
      exact,
      [0xdeadbeef, -5, 1],
    ),
    mapCase('a scalar alone', [7], [], [rate], [writable('f32', [7])], exact, [0.1]),
    ...[0, 0.25, 0.5, 0.999, 1].map((weight) => {
      const two = [...one, { dtype: 'f32' as const, values: values.map(() => random.between(-2, 2)) }]
      return columnsCase(`lerp by ${weight}`, x.lerp(input(1, 'f32'), rate, rest), two, exact, [weight, 1 - weight])
    }),
    columnsCase('a node used 2⁴⁰ times', doubled, one),
    columnsCase('24 values alive at once', tree, one),
    mapCase('index', shape, [], [index()], [writable('u32', shape)]),
    mapCase('index into a permuted view', shape, [], [index().mul(3)], [writable('u32', shape, permuted)]),
    mapCase('index, large', [70_001], [], [index().cast('f32')], [writable('f32', [70_001])]),
    mapCase(
      'index beside a repeated input',
      shape,
      [readable(random, 'f32', shape, { repeat: [1] }, 'whole')],
      [x.add(index().cast('f32'))],
      [writable('f32', shape)],
    ),
    twelveInputs(random),
    sharedAcrossOutputs(random),
  ]
}

function twelveInputs(random: Random): ConformanceCase {
  const shape = [4, 11]
  const inputs = Array.from({ length: 12 }, () =>
    readable(random, 'f32', shape, randomLayout(random, 2, true), 'plain'),
  )
  const expr = inputs.map((_, slot) => input(slot, 'f32')).reduce((sum, next) => sum.mul(0.5).add(next))
  return mapCase('twelve inputs', shape, inputs, [expr], [writable('f32', shape)])
}

function sharedAcrossOutputs(random: Random): ConformanceCase {
  const shape = [37]
  const x = readable(random, 'f32', shape, {}, 'plain')
  const shared = input(0, 'f32').square().add(1).sqrt()
  const exprs = [shared, shared.neg(), shared.mul(shared), shared]
  return mapCase(
    'a node shared by four outputs',
    shape,
    [x],
    exprs,
    exprs.map(() => writable('f32', shape)),
  )
}

/** Random expressions of exact operations over several dtypes. */
export function randomExprCases(random: Random): ConformanceCase[] {
  return Array.from({ length: 80 }, (_, i) => {
    const length = random.whole(1, 40)
    const inputs = (['f32', 'f32', 'i32', 'u32', 'bool'] as const).map((dtype) => ({
      operand: { dtype, strides: [1], offset: 0 },
      contents: contentsOf(
        dtype,
        Array.from({ length }, () => randomElement(random, dtype, 'plain')),
      ),
    }))
    const pool = inputs.map(({ operand }, slot) => input(slot, operand.dtype))
    for (let n = random.whole(3, 30); n > 0; n--) pool.push(grow(random, pool))
    const exprs = pool.slice(-random.whole(1, 3))
    return mapCase(
      `random expression ${i}`,
      [length],
      inputs,
      exprs,
      exprs.map(({ dtype }) => writable(dtype, [length])),
    )
  })
}

/** A new node over nodes of the pool. */
function grow(random: Random, pool: readonly Expr[]): Expr {
  const ofType = (dtype: DType): Expr => {
    const [first, ...rest] = pool.filter((node) => node.dtype === dtype)
    return first ? random.pick([first, ...rest]) : constant(1, dtype)
  }
  const dtype = random.pick<'f32' | 'i32' | 'u32' | 'bool'>(['f32', 'f32', 'f32', 'i32', 'u32', 'bool'])
  const x = ofType(dtype)
  const kind = random.unit()
  if (kind < 0.12) return x.cast(random.pick<DType>(['f32', 'i32', 'u32', 'bool']))
  if (kind < 0.24) return ofType('bool').select(x, ofType(dtype))
  if (kind < 0.4) return choose(random, unary[dtype])(x)
  return choose<(a: Expr, b: Expr) => Expr>(random, binary[dtype])(x, ofType(dtype))
}

function choose<F>(random: Random, table: Readonly<Record<string, F>>): F {
  const [first, ...rest] = Object.values(table)
  return random.pick([first as F, ...rest])
}
