import type { GatherKernel, Operand, ScatterKernel } from '../../kernels/kernel.js'
import type { DType } from '../../tensor/dtype.js'
import { type ConformanceCase, exact } from './case.js'
import { type Random, contentsOf, randomContents } from './random.js'

interface Access {
  readonly outer?: number
  readonly size: number
  readonly inner: number
  readonly count: number
  readonly perOuter?: boolean
  readonly dtype?: DType
  readonly indexDType?: 'i32' | 'u32'
  readonly offset?: number
  /** Instead of random ones. */
  readonly indices?: readonly number[]
}

const kinds = {
  gather: { kind: 'gather' },
  scatterAdd: { kind: 'scatter', combine: 'add' },
  scatterSet: { kind: 'scatter', combine: 'set' },
} as const
type Kind = keyof typeof kinds
const kindNames = ['gather', 'scatterAdd', 'scatterSet'] as const satisfies Kind[]

function accessCase(kind: Kind, name: string, random: Random, access: Access): ConformanceCase {
  const { outer = 1, size, inner, count, perOuter = false, dtype = 'f32', indexDType = 'i32', offset = 0 } = access
  const table = outer * size * inner
  const list = outer * count * inner
  const indexCount = perOuter ? outer * count : count
  const indices = access.indices ?? Array.from({ length: indexCount }, () => random.whole(0, size - 1))
  const at = (of: DType, from: number): Operand => ({ dtype: of, strides: [], offset: from })
  const kernel: GatherKernel | ScatterKernel = {
    ...kinds[kind],
    outer,
    size,
    inner,
    count,
    perOuter,
    source: at(dtype, offset),
    index: at(indexDType, offset),
    output: at(dtype, 2 * offset),
  }
  const [sourceLength, outputLength] = kind === 'gather' ? [table, list] : [list, table]
  const strangers = Array.from({ length: offset }, () => 1 << 20)
  const buffers = [
    randomContents(random, dtype, sourceLength + offset, 'plain'),
    contentsOf(indexDType, [...strangers, ...indices, ...strangers]),
    randomContents(random, dtype, outputLength + 3 * offset, 'plain'),
  ]
  return { name: `${kind}/${name}`, kernel, buffers, scalars: [], tolerance: exact }
}

const sizes: readonly Access[] = [
  { size: 1, inner: 1, count: 1 },
  { size: 5, inner: 1, count: 9 },
  { size: 5, inner: 3, count: 4 },
  { size: 10, inner: 16, count: 7 },
  { size: 7, inner: 17, count: 5 },
  { outer: 3, size: 4, inner: 1, count: 6 },
  { outer: 3, size: 4, inner: 5, count: 2 },
  { outer: 2, size: 3, inner: 33, count: 3 },
  { size: 3, inner: 4, count: 0 },
  { outer: 0, size: 3, inner: 4, count: 2 },
  { size: 3, inner: 0, count: 2 },
  { size: 1000, inner: 64, count: 700 },
  { outer: 2000, size: 10, inner: 1, count: 3 },
]

/** `gather` and `scatter`: sizes, repeated and bad indices, dtypes, offsets. */
export function indexingCases(random: Random): ConformanceCase[] {
  return kindNames.flatMap((kind) => {
    const make = (name: string, access: Access) => accessCase(kind, name, random, access)
    const dtypes =
      kind === 'scatterAdd'
        ? (['f32', 'i32', 'u32', 'f64'] as const)
        : (['f32', 'i32', 'u32', 'bool', 'f64', 'f16', 'bf16'] as const)
    const bySize = sizes.flatMap((access) => {
      const { outer = 1, size, inner, count } = access
      const name = `[${outer},${size},${inner}] by ${count}`
      return [
        make(name, access),
        make(`${name}, own indices per row`, { ...access, perOuter: true }),
        make(`${name}, offsets`, { ...access, offset: 3 }),
      ]
    })
    const byDType = dtypes.flatMap((dtype) =>
      (['i32', 'u32'] as const).map((indexDType) =>
        make(`${dtype} by ${indexDType}`, { outer: 2, size: 6, inner: 3, count: 8, dtype, indexDType }),
      ),
    )
    const repeated = [
      make('one index many times', { size: 4, inner: 5, count: 50, indices: new Array<number>(50).fill(2) }),
      make('one index many times, single elements', {
        size: 4,
        inner: 1,
        count: 3001,
        indices: new Array<number>(3001).fill(3),
      }),
      make('one row is all there is', { size: 1, inner: 9, count: 21 }),
      make('reversed', { size: 6, inner: 2, count: 6, indices: [5, 4, 3, 2, 1, 0] }),
    ]
    // Rows of 16-bit elements begin and end anywhere.
    const odd = kind === 'scatterAdd' ? [] : [1, 2, 3, 7, 8, 31, 200]
    const halves = odd.map((inner) =>
      make(`bf16 rows of ${inner}`, { size: 6, inner, count: 8, dtype: 'bf16', offset: 3 }),
    )
    return [...bySize, ...halves, ...byDType, ...repeated, ...badIndices(make)]
  })
}

/** The bad index comes last, so a backend that checks as it writes has written by then. */
function badIndices(make: (name: string, access: Access) => ConformanceCase): ConformanceCase[] {
  const base = { size: 5, inner: 3, count: 4 }
  const bad: readonly [string, Access][] = [
    ['the size itself', { ...base, indices: [0, 1, 2, 5] }],
    ['−1', { ...base, indices: [0, 1, 2, -1] }],
    ['the least i32', { ...base, indices: [0, 1, 2, -(2 ** 31)] }],
    ['the largest i32', { ...base, indices: [0, 1, 2, 2 ** 31 - 1] }],
    ['the largest u32', { ...base, indexDType: 'u32', indices: [0, 1, 2, 2 ** 32 - 1] }],
    ['2³¹ as u32', { ...base, indexDType: 'u32', indices: [0, 1, 2, 2 ** 31] }],
    ['in the last row only', { outer: 3, ...base, perOuter: true, indices: [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 5] }],
    ['an empty axis', { ...base, size: 0, indices: [0, 0, 0, 0] }],
    ['after many good ones', { ...base, count: 2000, indices: [...new Array<number>(1999).fill(1), 7] }],
  ]
  return bad.map(([name, access]) => ({ ...make(`bad index: ${name}`, access), mustThrow: true }))
}
