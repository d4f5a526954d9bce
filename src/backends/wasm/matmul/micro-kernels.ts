import { f32x4, type FunctionRef, type Local, type ModuleBuilder, type V128, v128 } from '../assembler.js'
import type { Tile } from './tile.js'

/**
 * Parameters of a micro-kernel, all in bytes but `k`: `k ≥ 1` steps; A at `a`, its next row `ar` and its next k `ak`
 * further; B's row at `b`, the next one `bs` further; the sums start from the tile at `s` with row step `ls` and are
 * stored to `c` with row step `lc`. So A may be packed, transposed or neither.
 */
const signature = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const
export type MicroKernel = FunctionRef<typeof signature>

/** Entry `m − 1` of a list is the kernel for `m` rows; B is read as rows of the tile's width. */
export interface MicroKernels {
  readonly tiles: readonly MicroKernel[]
  /**
   * For an A whose rows are neighbours in memory, which needs one pointer: 10 % faster without FMA, where registers are
   * short on Node 20, no faster with it. Empty where it would not pay.
   */
  readonly columns: readonly MicroKernel[]
  /** One row by many columns. */
  readonly row: MicroKernel
}

export function addMicroKernels(module: ModuleBuilder, tile: Tile): MicroKernels {
  const add = (name: string, rows: number, vectors: number, columns = false) =>
    addMicroKernel(module, `${name}${rows}`, rows, vectors, { fma: tile.fma, columns })
  const family = (name: string, columns: boolean) =>
    range(tile.rows).map((i) => add(name, i + 1, tile.vectors, columns))
  return {
    tiles: family('matmulTile', false),
    columns: tile.fma ? [] : family('matmulColumns', true),
    row: add('matmulRow', 1, tile.rowVectors),
  }
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i)

/** `columns`: rows of A are neighbours in memory. */
export function addMicroKernel(
  module: ModuleBuilder,
  name: string,
  rows: number,
  vectors: number,
  { fma, columns }: { readonly fma: boolean; readonly columns: boolean },
): MicroKernel {
  const f = module.function(name, signature)
  const [k, a, ar, ak, b, bs, s, ls, c, lc] = f.params
  const multiplyAdd = (x: V128, y: V128, sum: V128) =>
    fma ? f32x4.relaxed_madd(x, y, sum) : f32x4.add(sum, f32x4.mul(x, y))

  // Loads and stores in pairs with nothing between them: the shape V8 fuses to 256 bits.
  const sums: Local<'v128'>[][] = []
  for (const i of range(rows)) {
    sums.push(range(vectors).map((j) => f.let(v128.load(s, j * 16))))
    if (i < rows - 1) f.inc(s, ls)
  }
  const pointers = [a]
  if (!columns) for (const i of range(rows - 1)) pointers.push(f.let((pointers[i] ?? a).add(ar)))
  const bRow = range(vectors).map(() => f.local('v128'))
  const aValue = f.local('v128')
  f.doWhile(() => {
    for (const [j, local] of bRow.entries()) f.set(local, v128.load(b, j * 16))
    f.inc(b, bs)
    sums.forEach((row, i) => {
      f.set(aValue, columns ? v128.load32_splat(a, i * 4) : v128.load32_splat(pointers[i] ?? a))
      for (const [j, sum] of row.entries()) f.set(sum, multiplyAdd(aValue, bRow[j] ?? aValue, sum))
    })
    for (const pointer of pointers) f.inc(pointer, ak)
    f.inc(k, -1)
  }, k)
  sums.forEach((row, i) => {
    for (const [j, sum] of row.entries()) f.store(c, sum, j * 16)
    if (i < rows - 1) f.inc(c, lc)
  })
  return f
}
