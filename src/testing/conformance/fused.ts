import { type Expr, index, input, scalar } from '../../kernels/expr.js'
import type { Epilogue, Kernel, RowsKernel, RowStage } from '../../kernels/kernel.js'
import type { DType } from '../../tensor/dtype.js'
import { type ConformanceCase, equal, exact, type Tolerance } from './case.js'
import { conv2dCases } from './convolutions.js'
import { matmulCase, transposed } from './matmuls.js'
import { type Layout, readable, writable } from './operands.js'
import { pool2dCases } from './poolings.js'
import type { Random } from './random.js'

const [x, y, z] = [input(0, 'f32'), input(1, 'f32'), input(2, 'f32')]

const axes = (rank: number) => Array.from({ length: rank }, (_, axis) => axis)

interface Ending {
  readonly name: string
  readonly expr: Expr
  /** Layout of each input, given the rank of the space. */
  readonly layouts: (rank: number) => readonly (Layout & { readonly dtype?: DType })[]
  readonly scalars?: readonly number[]
  /** Whether the space is the output seen flat. */
  readonly flat?: boolean
}

/** Exact on whole numbers, so that a sum that is exact stays so. */
const endings: readonly Ending[] = [
  { name: 'relu', expr: x.max(0), layouts: () => [] },
  {
    name: 'bias along the last axis, relu',
    expr: x.add(y).max(0),
    layouts: (rank) => [{ repeat: axes(rank - 1), offset: 2 }],
  },
  { name: 'bias along the first axis', expr: x.sub(y), layouts: (rank) => [{ repeat: axes(rank).slice(1) }] },
  {
    name: 'bias of 16 bits, counts of another dtype',
    expr: x.add(input(1, 'bf16').cast('f32')).sub(input(2, 'i32').cast('f32')),
    layouts: (rank) => [
      { dtype: 'bf16', repeat: axes(rank - 1), offset: 1 },
      { dtype: 'i32', order: axes(rank).reverse() },
    ],
  },
  { name: 'mask', expr: y.gt(0).select(x, 0), layouts: () => [{ offset: 1 }] },
  { name: 'residual and mask, flat', expr: z.lt(1).select(x.add(y), x), layouts: () => [{}, {}], flat: true },
  { name: 'scaled', expr: x.mul(scalar(1, 'f32')).add(scalar(0, 'f32')), layouts: () => [], scalars: [3, -2] },
  { name: 'position', expr: x.add(index().cast('f32')), layouts: () => [] },
  {
    name: 'any layout',
    expr: x.add(y.mul(2)).sub(z),
    layouts: (rank) => [{ order: axes(rank).reverse() }, { gap: 2, step: 2, repeat: [0] }],
  },
]

/** The case with an epilogue on its output, if that is contiguous. */
function ended(random: Random, from: ConformanceCase, shape: readonly number[], ending: Ending): ConformanceCase[] {
  const kernel = from.kernel
  if (!('output' in kernel) || !('a' in kernel || kernel.kind === 'pool2d')) return []
  const space = ending.flat ? [shape.reduce((n, size) => n * size, 1)] : shape
  const inputs = ending
    .layouts(space.length)
    .map(({ dtype = 'f32', ...layout }) => readable(random, dtype, space, layout, 'whole'))
  const epilogue: Epilogue = { shape: space, inputs: inputs.map(({ operand }) => operand), expr: ending.expr }
  const buffers = [...from.buffers.slice(0, -1), ...inputs.map(({ contents }) => contents), ...from.buffers.slice(-1)]
  const scalars = ending.scalars ?? []
  return [
    { name: `fused/${from.name}, ${ending.name}`, kernel: { ...kernel, epilogue }, buffers, scalars, tolerance: equal },
  ]
}

/** Products whose tiles, edges, blocks of k and shares of threads an epilogue has to keep apart. */
function products(random: Random): ConformanceCase[] {
  const turned = transposed(2)
  const sizes = [
    ...[
      [1, 5, 1],
      [3, 1, 7],
      [7, 9, 15],
      [8, 16, 8],
      [17, 33, 1],
      [1, 33, 17],
      [1, 5, 128],
      [2, 40, 19],
      [33, 65, 34],
      [5, 0, 6],
    ],
    ...[
      [130, 257, 129],
      [1, 600, 513],
      [513, 600, 1],
      [31, 784, 65],
      [300, 5, 299],
      [32, 300, 520],
      [0, 3, 4],
    ],
  ]
  const plain = sizes.flatMap(([m = 1, k = 1, n = 1]) => [
    matmulCase('plain', random, { m, k, n }),
    matmulCase('bᵀ', random, { m, k, n, b: turned, output: { offset: 3 } }),
    matmulCase('aᵀ', random, { m, k, n, a: turned }),
  ])
  const small = { m: 5, k: 6, n: 9 }
  return [
    ...plain,
    matmulCase('batch', random, { batch: [3], ...small }),
    matmulCase('shared b', random, { batch: [4], ...small, b: { repeat: [0] } }),
    matmulCase('shared a', random, { batch: [4], ...small, a: { repeat: [0] } }),
    matmulCase('one column', random, { batch: [4], m: 6, k: 3, n: 1, a: { repeat: [0] } }),
    matmulCase('one row', random, { batch: [4], m: 1, k: 3, n: 6, b: { repeat: [0] } }),
    matmulCase('two batch axes', random, { batch: [2, 3], ...small, a: { repeat: [0] }, b: { repeat: [1] } }),
    matmulCase('many', random, { batch: [40], m: 17, k: 19, n: 23 }),
  ]
}

/** Endings, in turn, behind products, convolutions and poolings of whole numbers. */
export function epilogueCases(random: Random): ConformanceCase[] {
  const images = [...conv2dCases(random), ...pool2dCases(random)].filter(
    ({ tolerance, kernel, mustThrow }) => tolerance.kind === 'equal' && !mustThrow && outputOf(kernel)?.dtype === 'f32',
  )
  const all = [...products(random), ...images.filter((_, i) => i % 5 === 0)]
  return all.flatMap((from, i) => {
    const [shape, ending] = [spaceOf(from.kernel), endings[i % endings.length]]
    return shape && ending ? ended(random, from, shape, ending) : []
  })
}

const outputOf = (kernel: Kernel) => ('output' in kernel ? kernel.output : undefined)

/** The output as the kernel sees it. */
function spaceOf(kernel: Kernel): readonly number[] | undefined {
  if (kernel.kind === 'matmul') return [...kernel.batch, kernel.m, kernel.n]
  if (kernel.kind === 'pool2d') return [kernel.planes, ...(kernel.pass === 'forward' ? kernel.outSize : kernel.size)]
  if (kernel.kind !== 'conv2d') return undefined
  const { batch, inChannels, outChannels, groups, size, outSize, kernel: window, pass } = kernel
  if (pass === 'weightGradient') return [outChannels, inChannels / groups, ...window]
  return pass === 'forward' ? [batch, outChannels, ...outSize] : [batch, inChannels, ...size]
}

interface Stage {
  readonly pass: RowStage['pass']
  readonly expr: Expr
  /** Whether it is stored, and how. */
  readonly output?: Layout
}

function rowsCase(
  random: Random,
  name: string,
  shape: readonly number[],
  layouts: readonly Layout[],
  stages: readonly Stage[],
  tolerance: Tolerance = exact,
  scalars: readonly number[] = [],
): ConformanceCase {
  const inputs = layouts.map((layout) => readable(random, 'f32', shape, layout, 'whole'))
  const outer = shape.slice(0, -1)
  const outputs = stages.map(({ pass, expr, output }) => {
    if (!output) return undefined
    if (pass === 'each') return writable(expr.dtype, shape, output)
    const { operand, contents } = writable(expr.dtype, outer, output)
    return { operand: { ...operand, strides: [...operand.strides, 0] }, contents }
  })
  const kernel: RowsKernel = {
    kind: 'rows',
    shape,
    inputs: inputs.map(({ operand }) => operand),
    stages: stages.map(({ pass, expr }, j) => {
      const output = outputs[j]?.operand
      return output ? { pass, expr, output } : { pass, expr }
    }),
  }
  const buffers = [...inputs, ...outputs].flatMap((bound) => bound?.contents ?? [])
  return { name: `rows/${name} [${shape}]`, kernel, buffers, scalars, tolerance }
}

/** Stages of every kind that depend on each other in every way; whole numbers, so that sums are exact. */
export function rowsCases(random: Random): ConformanceCase[] {
  const spaces = [
    [1],
    [7],
    [3, 5],
    [4, 1],
    [33, 10],
    [2, 3, 4],
    [5, 130],
    [64, 257],
    [2, 8192],
    [300, 33],
    [0, 4],
    [2, 2, 2, 19],
  ]
  return spaces.flatMap((shape) => {
    const rank = shape.length
    const perRow: Layout = { repeat: [rank - 1] }
    const perColumn: Layout = { repeat: axes(rank - 1) }
    const transposed: Layout = { order: axes(rank).reverse() }
    // With two stages: numbers 0 and 1, operands from 2 on; and so on.
    const at = (slot: number) => input(slot, 'f32')
    return [
      rowsCase(
        random,
        'centred',
        shape,
        [{}],
        [
          { pass: 'max', expr: at(2) },
          { pass: 'each', expr: at(2).sub(at(0)), output: {} },
        ],
      ),
      rowsCase(
        random,
        'numbers stored',
        shape,
        [{ offset: 1 }, perRow],
        [
          { pass: 'min', expr: at(4).add(at(5)), output: { offset: 3 } },
          { pass: 'once', expr: at(0).mul(2).sub(at(5)), output: {} },
          { pass: 'sum', expr: at(4).sub(at(1)), output: { step: 2 } },
          { pass: 'each', expr: at(4).mul(at(1)).add(at(2)).sub(at(0)), output: { offset: 2 } },
        ],
      ),
      rowsCase(
        random,
        'several outputs, other layouts',
        shape,
        [transposed, perColumn, { gap: 1 }],
        [
          { pass: 'sum', expr: at(4).mul(at(5)) },
          { pass: 'each', expr: at(6).sub(at(0)), output: transposed },
          { pass: 'max', expr: at(6).gt(at(0)).select(at(4), at(5)), output: {} },
          { pass: 'each', expr: at(2).sub(at(5)), output: { gap: 3 } },
        ],
      ),
      rowsCase(
        random,
        'scalars, constants',
        shape,
        [{}],
        [
          { pass: 'once', expr: scalar(1, 'f32').mul(3) },
          { pass: 'sum', expr: at(3).mul(scalar(0, 'f32')) },
          { pass: 'each', expr: at(1).add(at(0)).add(at(3)), output: {} },
        ],
        exact,
        [2, -5],
      ),
      rowsCase(
        random,
        'numbers of 16 bits',
        shape,
        [{}],
        [
          { pass: 'sum', expr: at(3) },
          { pass: 'once', expr: at(0).cast('bf16'), output: { offset: 1 } },
          { pass: 'each', expr: at(3).sub(input(1, 'bf16').cast('f32')).cast('f16'), output: {} },
        ],
      ),
      rowsCase(
        random,
        'counts and conditions',
        shape,
        [{}],
        [
          { pass: 'sum', expr: at(3).gt(0).cast('i32'), output: {} },
          { pass: 'max', expr: at(3).gt(4) },
          { pass: 'each', expr: input(1, 'bool').select(at(3), input(0, 'i32').cast('f32')), output: {} },
        ],
      ),
    ]
  })
}
