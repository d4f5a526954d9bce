import { type Expr, index, input, scalar } from '../../kernels/expr.js'
import type { Combine, ReduceKernel } from '../../kernels/kernel.js'
import type { DType } from '../../tensor/dtype.js'
import { type ConformanceCase, equal, type Tolerance } from './case.js'
import { type Bound, type Layout, randomLayout, readable, vector, writable } from './operands.js'
import { contentsOf, type Random } from './random.js'

interface Reduction {
  readonly name: string
  readonly combine: Combine
  readonly shape: readonly number[]
  readonly axes: readonly number[]
  readonly inputs: readonly Bound[]
  readonly expr: Expr
  readonly outLayout?: Layout
  readonly tolerance?: Tolerance
  readonly scalars?: readonly number[]
}

export function reduceCase(reduction: Reduction): ConformanceCase {
  const { name, combine, shape, axes, inputs, expr, outLayout = {}, tolerance = equal, scalars = [] } = reduction
  const kept = shape.filter((_, axis) => !axes.includes(axis))
  const output = writable(combine.startsWith('arg') ? 'i32' : expr.dtype, kept, outLayout)
  const operands = inputs.map(({ operand }) => operand)
  const kernel: ReduceKernel = { kind: 'reduce', combine, shape, axes, inputs: operands, expr, output: output.operand }
  const buffers = [...inputs, output].map(({ contents }) => contents)
  return { name: `reduce/${name}`, kernel, buffers, scalars, tolerance }
}

/** A case of real numbers: what any order of summation may lose is allowed. `slack` is the terms' own error in ulp. */
function sumOfReals(reduction: Omit<Reduction, 'combine' | 'tolerance'>, slack = 0): ConformanceCase {
  const plain = reduceCase({ ...reduction, combine: 'sum' })
  const { kernel, buffers } = reduceCase({ ...reduction, combine: 'sum', expr: reduction.expr.abs() })
  const terms = reduction.axes.reduce((product, axis) => product * (reduction.shape[axis] ?? 1), 1)
  return { ...plain, tolerance: { kind: 'sum', terms: terms + 2 + 2 * slack, magnitudes: { kernel, buffers } } }
}

const x = input(0, 'f32')
const y = input(1, 'f32')
const combines = ['sum', 'max', 'min'] as const
const positions = ['argmax', 'argmin'] as const

/** All sets of axes of a rank, the empty one included. */
function axisSets(rank: number): number[][] {
  return Array.from({ length: 2 ** rank }, (_, set) =>
    Array.from({ length: rank }, (__, axis) => axis).filter((axis) => set & (1 << axis)),
  )
}

const shapes: readonly (readonly number[])[] = [
  [],
  [1],
  [7],
  [3, 5],
  [9, 2],
  [1, 6],
  [2, 3, 4],
  [4, 1, 3],
  [3, 2, 2, 5],
]

export function reduceCases(random: Random): ConformanceCase[] {
  return [
    ...axesCases(random),
    ...sizes(random),
    ...edges(),
    ...expressions(random),
    ...reals(random),
    ...otherDTypes(random),
  ]
}

/** Every set of axes of shapes up to rank 4, some of ranks 5 and 6, in random layouts. */
function axesCases(random: Random): ConformanceCase[] {
  const some = Array.from({ length: 40 }, () => {
    const shape = Array.from({ length: random.whole(5, 6) }, () => random.whole(1, 4))
    return [shape, [...shape.keys()].filter(() => random.chance(0.5))] as const
  })
  const all = shapes.flatMap((shape) => axisSets(shape.length).map((axes) => [shape, axes] as const))
  return [...all, ...some].flatMap(([shape, axes]) => {
    const oneAxis = axes.length === 1 ? positions : []
    return [...combines, ...oneAxis].flatMap((combine) => {
      const contiguous = [readable(random, 'f32', shape, {}, 'whole')]
      const laidOut = [readable(random, 'f32', shape, randomLayout(random, shape.length, true), 'whole')]
      const outLayout = randomLayout(random, shape.length - axes.length, false)
      const name = `${combine} [${shape}] over [${axes}]`
      return [
        reduceCase({ name, combine, shape, axes, inputs: contiguous, expr: x }),
        reduceCase({ name: `${name}, any layout`, combine, shape, axes, inputs: laidOut, expr: x, outLayout }),
      ]
    })
  })
}

/** Tails along and across the reduced axis; sizes that are worth several threads. */
function sizes(random: Random): ConformanceCase[] {
  const cases: ConformanceCase[] = []
  const add = (shape: readonly number[], axes: readonly number[], layout: Layout = {}) => {
    for (const combine of axes.length === 1 ? [...combines, ...positions] : combines) {
      const inputs = [readable(random, 'f32', shape, layout, 'whole')]
      cases.push(
        reduceCase({ name: `size ${combine} [${shape}] over [${axes}]`, combine, shape, axes, inputs, expr: x }),
      )
    }
  }
  for (let size = 1; size <= 35; size++) {
    add([2, size], [1])
    add([3, size], [0], { gap: 1 })
  }
  add([100_003], [0])
  add([3, 70_001], [1])
  add([70_001, 3], [0])
  add([300, 257], [0])
  add([300, 257], [1])
  add([300, 257], [0, 1])
  add([37, 61, 41], [1])
  add([37, 61, 41], [0, 2])
  return cases
}

const inf = Number.POSITIVE_INFINITY
const nan = Number.NaN

/** NaN, infinities, ties, empty axes. */
function edges(): ConformanceCase[] {
  const rows: Record<string, readonly number[]> = {
    ties: [1, 3, 3, -2, 3, -2, 0, 1, 3, -2, -2, 3],
    'all equal': new Array<number>(19).fill(5),
    'zeros of both signs': [0, -0, 0, -0, -0, 0],
    'one NaN': [1, 2, 3, 4, 5, 6, nan, 8, 9, 10],
    'two NaN': [1, nan, 9, 9, 9, 9, 9, 9, nan, 2],
    'NaN first': [nan, 1, 2, 3, 4, 5],
    'NaN last': [1, 2, 3, 4, 5, nan],
    'all NaN': new Array<number>(9).fill(nan),
    infinities: [1, inf, 2, -inf, inf, -inf],
    'all −∞': new Array<number>(7).fill(-inf),
    'all ∞': new Array<number>(7).fill(inf),
    '∞ only': [1, 2, inf, 3, inf],
    'NaN among infinities': [inf, -inf, nan, inf, -inf, 3, 4, 5, 6],
  }
  const special = Object.entries(rows).flatMap(([name, values]) =>
    [...combines, ...positions].flatMap((combine) => {
      const shape = [values.length]
      const down = {
        operand: { dtype: 'f32' as const, strides: [1, 0], offset: 0 },
        contents: contentsOf('f32', values),
      }
      return [
        reduceCase({
          name: `${combine} of ${name}`,
          combine,
          shape,
          axes: [0],
          inputs: [vector('f32', values)],
          expr: x,
        }),
        reduceCase({
          name: `${combine} of ${name}, by columns`,
          combine,
          shape: [...shape, 5],
          axes: [0],
          inputs: [down],
          expr: x,
        }),
      ]
    }),
  )
  const nothing = (shape: readonly number[]): Bound => ({
    operand: { dtype: 'f32', strides: shape.map(() => 1), offset: 0 },
    contents: contentsOf('f32', [nan]),
  })
  const empty = combines.flatMap((combine) =>
    (
      [
        [[0], [0]],
        [[3, 0], [1]],
        [[0, 3], [0]],
        [[0, 3], [1]],
        [
          [2, 0, 3],
          [0, 1],
        ],
      ] as const
    ).map(([shape, axes]) =>
      reduceCase({
        name: `${combine} of the empty [${shape}] over [${axes}]`,
        combine,
        shape,
        axes,
        inputs: [nothing(shape)],
        expr: x,
      }),
    ),
  )
  return [...special, ...empty]
}

/** More than one input, other leaves, and nodes before the sum. */
function expressions(random: Random): ConformanceCase[] {
  const shape = [5, 6, 7]
  const whole = (dtype: DType, layout: Layout = {}) => readable(random, dtype, shape, layout, 'whole')
  const sets = [[0], [1], [2], [0, 2], [1, 2], [0, 1, 2]]
  return sets.flatMap((axes) => {
    const base = { combine: 'sum', shape, axes } as const
    const on = `over [${axes}]`
    return [
      reduceCase({
        ...base,
        name: `dot product ${on}`,
        inputs: [whole('f32'), whole('f32', { repeat: [1] })],
        expr: x.mul(y),
      }),
      reduceCase({
        ...base,
        name: `squares of a permuted view ${on}`,
        inputs: [whole('f32', { order: [2, 0, 1], offset: 3 })],
        expr: x.square(),
      }),
      reduceCase({ ...base, name: `count ${on}`, inputs: [whole('f32'), whole('f32')], expr: x.gt(y).cast('i32') }),
      reduceCase({
        ...base,
        name: `integers as floats ${on}`,
        inputs: [whole('i32')],
        expr: input(0, 'i32').cast('f32'),
      }),
      reduceCase({ ...base, name: `index ${on}`, inputs: [], expr: index() }),
      reduceCase({
        ...base,
        name: `scalars ${on}`,
        inputs: [whole('f32')],
        expr: x.mul(scalar(1, 'f32')).add(scalar(0, 'f32')),
        scalars: [2, -3],
      }),
      reduceCase({
        ...base,
        name: `max of |x − y| ${on}`,
        combine: 'max',
        inputs: [whole('f32'), whole('f32', { repeat: [0, 2] })],
        expr: x.sub(y).abs(),
      }),
    ]
  })
}

function reals(random: Random): ConformanceCase[] {
  const list: (readonly [readonly number[], readonly number[]])[] = [
    [[17], [0]],
    [[1000], [0]],
    [[100_003], [0]],
    [[33, 65], [0]],
    [[33, 65], [1]],
    [
      [200, 300],
      [0, 1],
    ],
    [[9, 8, 7], [1]],
    [[2000, 31], [0]],
  ]
  return list.flatMap(([shape, axes]) => {
    const real = (layout: Layout = {}) => readable(random, 'f32', shape, layout, 'plain')
    const name = `[${shape}] over [${axes}]`
    return [
      sumOfReals({ name: `sum of reals ${name}`, shape, axes, inputs: [real()], expr: x }),
      sumOfReals({ name: `sum of squares ${name}`, shape, axes, inputs: [real({ gap: 1 })], expr: x.square() }),
      sumOfReals({ name: `sum of exp ${name}`, shape, axes, inputs: [real()], expr: x.exp() }, 4),
    ]
  })
}

function otherDTypes(random: Random): ConformanceCase[] {
  const shape = [6, 19]
  return (['i32', 'u32', 'f64', 'bool'] as const).flatMap((dtype) => {
    const ofBool = ['max', 'min'] as const
    const list = dtype === 'bool' ? ofBool : [...combines, ...positions]
    return list.flatMap((combine) =>
      [[0], [1]].map((axes) => {
        const style = dtype === 'f64' ? 'whole' : 'plain'
        const inputs = [readable(random, dtype, shape, { offset: 1, gap: 1 }, style)]
        return reduceCase({
          name: `${combine} ${dtype} over [${axes}]`,
          combine,
          shape,
          axes,
          inputs,
          expr: input(0, dtype),
        })
      }),
    )
  })
}
