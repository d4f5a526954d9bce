import { constant, type Expr, input, scalar } from '../../kernels/expr.js'
import { halfValue } from '../../shapes/half.js'
import type { HalfDType } from '../../tensor/dtype.js'
import { type ConformanceCase, exact } from './case.js'
import { columnsCase, mapCase } from './maps.js'
import { type Layout, randomLayout, readable, writable } from './operands.js'
import type { Random } from './random.js'
import { reduceCase } from './reductions.js'

const allBits = Uint16Array.from({ length: 0x10000 }, (_, i) => i)

/** Numbers on, halfway between and next to halfway between neighbours of every size, and beyond the range. */
function aroundTies(random: Random, dtype: HalfDType): number[] {
  const values = [
    0,
    -0,
    65504,
    65519.996,
    65520,
    -65520,
    65536,
    1e9,
    3.4e38,
    -3.4e38,
    2 ** -24,
    2 ** -25,
    2 ** -26,
    1e-38,
  ]
  const single = new Float32Array(1)
  const bits = new Int32Array(single.buffer)
  for (let i = 0; i < 3000; i++) {
    const at = random.whole(0, 0xfffe)
    const [low, high] = [halfValue(at, dtype), halfValue(at + 1, dtype)]
    if (!Number.isFinite(low) || !Number.isFinite(high)) continue
    single[0] = (low + high) / 2
    const middle = bits[0] ?? 0
    for (const step of [0, -1, 1]) {
      bits[0] = middle + step
      values.push(single[0] ?? 0)
    }
    values.push(low)
  }
  // Denormals of f32 may be flushed to 0 by a backend; those of bf16 are some.
  return values.filter((x) => x === 0 || Math.abs(x) >= 2 ** -126)
}

/** f16 and bf16 in memory: every bit pattern, rounding, every layout, tails, mixed dtypes, leaves. */
export function halfCases(random: Random): ConformanceCase[] {
  return (['f16', 'bf16'] as const).flatMap((dtype) =>
    [...conversions(random, dtype), ...layouts(random, dtype), ...others(random, dtype)].map((one) => ({
      ...one,
      name: one.name.replace('/', `/${dtype}/`),
    })),
  )
}

function conversions(random: Random, dtype: HalfDType): ConformanceCase[] {
  const x = input(0, dtype)
  const every = { operand: { dtype, strides: [1], offset: 0 }, contents: allBits }
  const smallest = dtype === 'f16' ? 0 : 2 ** -126
  const numbers = allBits.filter((bits) => {
    const value = halfValue(bits, dtype)
    return value === 0 || Math.abs(value) >= smallest
  })
  const copied = allBits.filter((bits) => !Number.isNaN(halfValue(bits, dtype)))
  const normal = { ...every, contents: numbers }
  const { length } = numbers
  const rounded = input(0, 'f32').cast(dtype)
  const special = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  const ties = aroundTies(random, dtype)
  return [
    mapCase('every value as f32', [65536], [every], [x.cast('f32')], [writable('f32', [65536])]),
    mapCase('to f32 and back', [length], [normal], [x.cast('f32').cast(dtype)], [writable(dtype, [length])]),
    mapCase('a copy', [copied.length], [{ ...every, contents: copied }], [x], [writable(dtype, [copied.length])]),
    columnsCase('rounding', rounded, [{ dtype: 'f32', values: ties }]),
    columnsCase('rounding and back', rounded.cast('f32'), [{ dtype: 'f32', values: [...ties, ...special] }]),
    columnsCase('i32', input(0, 'i32').cast(dtype), [
      { dtype: 'i32', values: [0, 1, -1, 257, 2049, 65519, -(2 ** 30)] },
    ]),
    mapCase('as i32', [length], [normal], [x.cast('i32')], [writable('i32', [length])]),
    mapCase('as bool', [length], [normal], [x.cast('bool')], [writable('bool', [length])]),
    mapCase(
      'as the other one',
      [length],
      [normal],
      [x.cast(dtype === 'f16' ? 'bf16' : 'f16').cast('f32')],
      [writable('f32', [length])],
    ),
  ]
}

const shapes: readonly (readonly number[])[] = [[], [1], [37], [3, 7], [7, 1], [2, 3, 5], [2, 3, 4, 5]]

function layouts(random: Random, dtype: HalfDType): ConformanceCase[] {
  const sum = (first: Expr, second: Expr) => first.cast('f32').add(second.cast('f32'))
  const [a, b] = [input(0, dtype), input(1, dtype)]
  const make = (name: string, shape: readonly number[], of: readonly [Layout, Layout, Layout, Layout]) => {
    const inputs = [readable(random, dtype, shape, of[0], 'plain'), readable(random, dtype, shape, of[1], 'plain')]
    const outputs = [writable(dtype, shape, of[2]), writable('f32', shape, of[3])]
    return mapCase(`${name} [${shape}]`, shape, inputs, [sum(a, b).cast(dtype), sum(a, b)], outputs)
  }
  const any = (rank: number, mayRepeat: boolean) => randomLayout(random, rank, mayRepeat)
  return [
    ...shapes.map((shape) => make('contiguous', shape, [{}, {}, {}, {}])),
    ...shapes.map((shape) => make('offsets', shape, [{ offset: 3 }, { offset: 1 }, { offset: 5 }, { offset: 2 }])),
    ...shapes.flatMap((shape) =>
      Array.from({ length: 6 }, (_, i) => {
        const rank = shape.length
        return make(`any layout ${i}`, shape, [any(rank, true), any(rank, true), any(rank, false), any(rank, false)])
      }),
    ),
    ...Array.from({ length: 35 }, (_, size) => make('tail', [size], [{ offset: 1 }, {}, { offset: 1 }, {}])),
    make('large', [200_003], [{}, {}, {}, {}]),
    make('large, transposed', [253, 517], [{ order: [1, 0] }, {}, {}, { order: [1, 0] }]),
    make('large, transposed output', [253, 517], [{}, { repeat: [0] }, { order: [1, 0] }, {}]),
  ]
}

function others(random: Random, dtype: HalfDType): ConformanceCase[] {
  const size = 70_001
  const x = readable(random, dtype, [size], { offset: 1 }, 'plain')
  const y = readable(random, dtype, [size], { offset: 1 }, 'plain')
  const chosen = readable(random, 'bool', [size], {}, 'plain')
  const [a, b] = [input(0, dtype), input(1, dtype)]
  const single = a.cast('f32')
  const rows = [1, 7, 35, 1003].flatMap((columns) =>
    [[0], [1], [0, 1]].map((axes) =>
      reduceCase({
        name: `sum of [19, ${columns}] over [${axes}]`,
        combine: 'sum',
        shape: [19, columns],
        axes,
        inputs: [readable(random, dtype, [19, columns], randomLayout(random, 2, true), 'whole')],
        expr: single,
      }),
    ),
  )
  return [
    mapCase('in place', [size], [x, y], [single.mul(b.cast('f32')).cast(dtype)], [x]),
    mapCase('two rounded ops in one expression', [size], [x, y], [roundedTwice(dtype)], [writable('f32', [size])]),
    mapCase('select', [size], [x, y, chosen], [input(2, 'bool').select(a, b)], [writable(dtype, [size])]),
    mapCase('a constant', [9], [], [constant(0.1, dtype)], [writable(dtype, [9])]),
    mapCase('a scalar', [9], [], [scalar(0, dtype)], [writable(dtype, [9])], exact, [1 / 3]),
    mapCase('a scalar as f32', [9], [], [scalar(0, dtype).cast('f32')], [writable('f32', [9])], exact, [1 / 3]),
    ...(['max', 'argmin'] as const).map((combine) =>
      reduceCase({
        name: `${combine}`,
        combine,
        shape: [7, 41],
        axes: [1],
        inputs: [readable(random, dtype, [7, 41], {}, 'plain')],
        expr: single,
      }),
    ),
    ...rows,
  ]
}

/** (a + b) · a, where the sum is rounded as an op of its own would round it. */
function roundedTwice(dtype: HalfDType): Expr {
  const [a, b] = [input(0, dtype).cast('f32'), input(1, dtype).cast('f32')]
  return a.add(b).cast(dtype).cast('f32').mul(a)
}
