import type { MatmulKernel } from '../../kernels/kernel.js'
import type { DType } from '../../tensor/dtype.js'
import { type ConformanceCase, equal } from './case.js'
import { type Layout, readable, writable } from './operands.js'
import { contentsOf, type Random, type Style } from './random.js'

interface Product {
  readonly batch?: readonly number[]
  readonly m: number
  readonly k: number
  readonly n: number
  readonly a?: Layout
  readonly b?: Layout
  readonly output?: Layout
  readonly style?: Style
  readonly dtype?: DType
}

/** Small whole numbers give the same sum in any order, so equality is asked for; reals may lose what rounding loses. */
export function matmulCase(name: string, random: Random, product: Product): ConformanceCase {
  const { batch = [], m, k, n, style = 'whole', dtype = 'f32' } = product
  const a = readable(random, dtype, [...batch, m, k], product.a ?? {}, style)
  const b = readable(random, dtype, [...batch, k, n], product.b ?? {}, style)
  const output = writable(dtype, [...batch, m, n], product.output ?? {})
  const kernel: MatmulKernel = { kind: 'matmul', batch, m, n, k, a: a.operand, b: b.operand, output: output.operand }
  const buffers = [a, b, output].map(({ contents }) => contents)
  const full = `matmul/${name} [${[...batch, m, k]}]·[${[...batch, k, n]}]`
  const plain: ConformanceCase = { name: full, kernel, buffers, scalars: [], tolerance: equal }
  if (style === 'whole') return plain
  const sizes = buffers.map((data) => contentsOf(dtype, Array.from(data, Math.abs)))
  return { ...plain, tolerance: { kind: 'sum', terms: k + 2, magnitudes: { kernel, buffers: sizes } } }
}

/** The last two of `rank` axes exchanged in memory. */
export const transposed = (rank: number): Layout => {
  const axes = Array.from({ length: rank }, (_, axis) => axis)
  return { order: [...axes.slice(0, -2), rank - 1, rank - 2] }
}
const flat = transposed(2)
const cases: readonly [string, Layout, Layout][] = [
  ['plain', {}, {}],
  ['aᵀ', flat, {}],
  ['bᵀ', {}, flat],
  ['aᵀ bᵀ', flat, flat],
]

const sizes: readonly [m: number, k: number, n: number][] = [
  [1, 1, 1],
  [1, 5, 1],
  [2, 3, 4],
  [3, 1, 7],
  [4, 4, 4],
  [5, 7, 3],
  [1, 33, 17],
  [17, 33, 1],
  [6, 8, 16],
  [7, 9, 15],
  [8, 16, 8],
  [9, 17, 33],
  [5, 16, 31],
  [13, 13, 13],
  [16, 2, 48],
  [31, 5, 19],
  [32, 32, 32],
  [33, 65, 34],
  [48, 3, 7],
]
const large: readonly [m: number, k: number, n: number][] = [
  [130, 257, 129],
  [1, 600, 513],
  [513, 600, 1],
  [65, 1030, 67],
  [300, 5, 299],
  [200, 200, 10],
  [31, 784, 65],
]

export function matmulCases(random: Random): ConformanceCase[] {
  const transpositions = [...sizes, ...large].flatMap(([m, k, n]) =>
    cases.map(([name, a, b]) => matmulCase(name, random, { m, k, n, a, b })),
  )
  const tails = Array.from({ length: 17 }, (_, i) => i + 1).flatMap((size) => [
    matmulCase('rows', random, { m: size, k: 6, n: 18 }),
    matmulCase('inner', random, { m: 6, k: size, n: 18 }),
    matmulCase('columns', random, { m: 6, k: 6, n: size }),
  ])
  const reals = [...sizes.slice(-6), ...large].flatMap(([m, k, n]) =>
    cases.map(([name, a, b]) => matmulCase(`reals ${name}`, random, { m, k, n, a, b, style: 'plain' })),
  )
  const empty = [
    matmulCase('no rows', random, { m: 0, k: 3, n: 4 }),
    matmulCase('no columns', random, { m: 3, k: 4, n: 0 }),
    matmulCase('nothing to sum: zeros', random, { m: 3, k: 0, n: 5 }),
    matmulCase('no batch', random, { batch: [0], m: 2, k: 2, n: 2 }),
    matmulCase('nothing to sum in a batch', random, { batch: [2], m: 3, k: 0, n: 5 }),
  ]
  const f64 = cases.map(([name, a, b]) => matmulCase(`f64 ${name}`, random, { m: 5, k: 9, n: 7, a, b, dtype: 'f64' }))
  return [
    ...transpositions,
    ...tails,
    ...reals,
    ...empty,
    ...f64,
    ...layouts(random),
    ...batches(random),
    spoiled(random),
  ]
}

function layouts(random: Random): ConformanceCase[] {
  const views: Record<string, Pick<Product, 'a' | 'b' | 'output'>> = {
    offsets: { a: { offset: 3 }, b: { offset: 1 }, output: { offset: 5 } },
    'rows with gaps': { a: { gap: 3 }, b: { gap: 1 }, output: { gap: 2 } },
    'columns with gaps': { a: { ...flat, gap: 3 }, b: { ...flat, gap: 1 } },
    'transposed output': { output: { ...flat, offset: 1 } },
    'all transposed': { a: flat, b: flat, output: flat },
    'every second element': { a: { step: 2 }, b: { step: 3 } },
    'output with steps': { output: { step: 2 } },
    'one row repeated': { a: { repeat: [0] } },
    'one column repeated': { b: { repeat: [1] } },
    'repeated along the sum': { a: { repeat: [1] }, b: { repeat: [0] } },
    'a single number': { a: { repeat: [0, 1] } },
  }
  return Object.entries(views).flatMap(([name, view]) =>
    (
      [
        [2, 3, 4],
        [7, 9, 18],
        [33, 40, 35],
      ] as const
    ).map(([m, k, n]) => matmulCase(name, random, { m, k, n, ...view })),
  )
}

function batches(random: Random): ConformanceCase[] {
  const t3 = transposed(3)
  const t4 = transposed(4)
  const small = { m: 5, k: 6, n: 9 }
  return [
    matmulCase('batch', random, { batch: [3], ...small }),
    matmulCase('batch of one', random, { batch: [1], ...small }),
    matmulCase('batch, transposed', random, { batch: [3], ...small, a: t3, b: t3 }),
    matmulCase('batch, shared b', random, { batch: [4], ...small, b: { repeat: [0] } }),
    matmulCase('batch, shared a', random, { batch: [4], ...small, a: { repeat: [0] } }),
    matmulCase('batch, both shared', random, { batch: [4], ...small, a: { repeat: [0] }, b: { repeat: [0] } }),
    matmulCase('batch, shared transposed b', random, { batch: [4], ...small, b: { ...t3, repeat: [0] } }),
    matmulCase('two batch axes', random, { batch: [2, 3], ...small }),
    matmulCase('two batch axes, each shared by one', random, {
      batch: [2, 3],
      ...small,
      a: { repeat: [0] },
      b: { repeat: [1] },
    }),
    matmulCase('heads between rows and columns', random, {
      batch: [2, 3],
      ...small,
      a: { order: [0, 2, 1, 3] },
      b: { order: [0, 2, 1, 3] },
      output: { order: [0, 2, 1, 3] },
    }),
    matmulCase('batch axes exchanged', random, {
      batch: [2, 3],
      ...small,
      a: { order: [1, 0, 2, 3] },
      b: t4,
      output: { gap: 1, offset: 2 },
    }),
    matmulCase('four batch axes', random, { batch: [2, 1, 2, 2], m: 2, k: 3, n: 5 }),
    matmulCase('large batch', random, { batch: [40], m: 17, k: 19, n: 23 }),
    matmulCase('large batch of tiny products', random, { batch: [500], m: 2, k: 3, n: 2 }),
    matmulCase('large batch of reals, shared b', random, {
      batch: [16],
      m: 33,
      k: 64,
      n: 48,
      b: { repeat: [0] },
      style: 'plain',
    }),
  ]
}

/** NaN and infinity spread along their row and column and no further. */
function spoiled(random: Random): ConformanceCase {
  const product = matmulCase('NaN and ∞', random, { m: 9, k: 11, n: 19 })
  const [a, b, output] = product.buffers
  if (!a || !b || !output) return product
  const changed = [a.slice(), b.slice(), output] as const
  changed[0][3 * 11 + 2] = Number.NaN
  changed[0][5 * 11 + 4] = Number.POSITIVE_INFINITY
  changed[1][7 * 19 + 16] = Number.NEGATIVE_INFINITY
  return { ...product, buffers: changed }
}
