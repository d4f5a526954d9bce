import { f32x4, type FunctionRef, type Local, type ModuleBuilder, type V128, v128 } from '../assembler.js'
import type { Tile } from './tile.js'

/**
 * Parameters of a micro-kernel, all in bytes but `k`: `k ≥ 1` steps; A at `a`; B's row at `b`, the next one `bs`
 * further; the sums start from the tile at `s` with row step `ls` and are stored to `c` with row step `lc`.
 */
const signature = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const
export type MicroKernel = FunctionRef<typeof signature>

/**
 * One family for each way to read A. `byColumns`: the tile's rows are neighbours in memory, `as` is the step from
 * one k to the next (packed A, transposed A). `byRows`: neighbours in memory are neighbours in k, `as` is the step
 * from one row to the next. Entry `m − 1` is the kernel for `m` rows; B is always read as rows of the tile's width.
 */
export interface MicroKernels {
  readonly byColumns: readonly MicroKernel[]
  readonly byRows: readonly MicroKernel[]
  /** One row by many columns. */
  readonly row: MicroKernel
}

export function addMicroKernels(module: ModuleBuilder, tile: Tile): MicroKernels {
  const family = (name: string, byRows: boolean) =>
    Array.from({ length: tile.rows }, (_, i) =>
      addMicroKernel(module, `${name}${i + 1}`, i + 1, tile.vectors, byRows, tile.fma),
    )
  return {
    byColumns: family('matmulColumns', false),
    byRows: family('matmulRows', true),
    row: addMicroKernel(module, 'matmulRow', 1, tile.rowVectors, true, tile.fma),
  }
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i)

function addMicroKernel(
  module: ModuleBuilder,
  name: string,
  rows: number,
  vectors: number,
  byRows: boolean,
  fma: boolean,
): MicroKernel {
  const f = module.function(name, signature)
  const [k, a, as, b, bs, s, ls, c, lc] = f.params
  const multiplyAdd = (x: V128, y: V128, sum: V128) =>
    fma ? f32x4.relaxed_madd(x, y, sum) : f32x4.add(sum, f32x4.mul(x, y))

  // Loads and stores in pairs with nothing between them: the shape V8 fuses to 256 bits.
  const sums: Local<'v128'>[][] = []
  for (const i of range(rows)) {
    sums.push(range(vectors).map((j) => f.let(v128.load(s, j * 16))))
    if (i < rows - 1) f.inc(s, ls)
  }
  const pointers = [a]
  if (byRows) for (const i of range(rows - 1)) pointers.push(f.let((pointers[i] ?? a).add(as)))
  const bRow = range(vectors).map(() => f.local('v128'))
  const aValue = f.local('v128')
  f.doWhile(() => {
    for (const [j, local] of bRow.entries()) f.set(local, v128.load(b, j * 16))
    f.inc(b, bs)
    sums.forEach((row, i) => {
      f.set(aValue, byRows ? v128.load32_splat(pointers[i] ?? a) : v128.load32_splat(a, i * 4))
      for (const [j, sum] of row.entries()) f.set(sum, multiplyAdd(aValue, bRow[j] ?? aValue, sum))
    })
    if (byRows) for (const pointer of pointers) f.inc(pointer, 4)
    else f.inc(a, as)
    f.inc(k, -1)
  }, k)
  sums.forEach((row, i) => {
    for (const [j, sum] of row.entries()) f.store(c, sum, j * 16)
    if (i < rows - 1) f.inc(c, lc)
  })
  return f
}
