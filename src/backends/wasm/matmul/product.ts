import {
  f32x4,
  type FunctionBuilder,
  type FunctionRef,
  type I32,
  i32,
  type I32Like,
  type Local,
  type ModuleBuilder,
  select,
} from '../assembler.js'
import { addClear, addCopyTile, type CopyTile } from './copy-tile.js'
import { addMicroKernels, type MicroKernel, type MicroKernels } from './micro-kernels.js'
import { addPacker, type Packer } from './pack.js'
import { columnsOf, type Tile } from './tile.js'
import { addTransposedRow } from './transposed-row.js'
import { words, workspace } from './words.js'

/**
 * The loops around the micro-kernels: blocks of columns, of k and of rows, packing, tiles.
 *
 * The ladder (GFLOP/s of one Zen 3 core, best of many samples on a shared machine; M x K x N):
 *
 * | version | idea                                                                | 512³ | 1024³ | 32x784x512 |
 * |---------|---------------------------------------------------------------------|------|-------|------------|
 * | v0      | Node 20, 4x8 tile, multiply and add, operands read where they are   |   32 |    24 |         33 |
 * | v1      | + B packed in panels of 8 columns, 256 of k at a time               |   37 |    20 |         34 |
 * | v2      | + A packed, 240 rows at a time ('plain': what is chosen)            |   42 |    38 |         38 |
 * | v3      | Node 26, 6x8 tile, FMA, operands read where they are                |   44 |    25 |         48 |
 * | v4      | + B packed                                                          |   51 |    38 |         47 |
 * | v5      | + A packed ('fma': what is chosen, where it pays)                   |   52 |    50 |         48 |
 * | v6      | 5x16 tile, pairs fused to 256 bits, operands read where they are    |   94 |    68 |         94 |
 * | v7      | + B packed                                                          |  105 |    98 |         88 |
 * | v8      | + A packed ('256': what is chosen, where it pays)                   |  105 |   100 |         93 |
 *
 * A row by many columns at once (`row`: 8 or 16 vectors) takes 1x512x512 from 12 to 18 ('fma') and from 21 to 32 ('256').
 * The same with transposed B without packing (`transposed-row.ts`): from 8 to 21 and from 7.5 to 24.
 */

const signature = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const
/** Parameters: argument block, workspace, addresses of A, B and the output, rows, columns. */
export type Product = FunctionRef<typeof signature>
type Fn = FunctionBuilder<typeof signature, 'none'>
type Int = Local<'i32'>

interface Callees {
  readonly micro: MicroKernels
  readonly tile: Tile
  readonly packA: Packer
  readonly packB: Packer
  readonly copyTile: CopyTile
}

/** One product, or the part of it that one thread computes. */
export function addProduct(module: ModuleBuilder, tile: Tile): Product {
  const callees: Callees = {
    tile,
    micro: addMicroKernels(module, tile),
    packA: addPacker(module, 'matmulPackA', tile.rows),
    packB: addPacker(module, 'matmulPackB', columnsOf(tile)),
    copyTile: addCopyTile(module),
  }
  const clear = addClear(module)
  const transposedRow = addTransposedRow(module, tile.fma)
  const f = module.function('matmulProduct', signature)
  const [params, work, a, b, output, m, n] = f.params
  const word = (name: keyof typeof words) => f.let(i32.load(params, words[name] * 4))
  const [k, outputRow, outputColumn] = [word('k'), word('outputRow'), word('outputColumn')]
  f.if(k.eqz(), () => {
    f.call(clear, [output, outputRow, outputColumn, m, n])
    f.return()
  })
  const [aRow, aColumn, bRow, bColumn] = [word('aRow'), word('aColumn'), word('bRow'), word('bColumn')]
  f.if(word('rowByRow'), () => {
    f.while(m, () => {
      f.call(transposedRow, [k, a, aColumn, b, bColumn, output, n])
      f.inc(a, aRow)
      f.inc(output, outputRow)
      f.inc(m, -1)
    })
    f.return()
  })
  const [packsA, packsB] = [word('packA'), word('packB')]
  const [kBlock, mBlock, nBlock] = [word('kBlock'), word('mBlock'), word('nBlock')]
  const packedA = f.let(work.add(workspace.packed))
  const packedB = f.let(packedA.add(packsA.mul(mBlock).mul(kBlock).shl(2)))
  // Neighbours in memory are neighbours in k, unless A is packed or transposed.
  const byRows = f.let(packsA.eqz().and(aColumn.eq(4)))
  const aStep = f.let(select(packsA, i32.const(tile.rows * 4), select(byRows, aRow, aColumn)))
  for (let i = 0; i < tile.rowVectors; i++) f.store(work, f32x4.const(0), workspace.zeros + i * 16)

  const [n0, columns, k0, depth, i0, rows] = [
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
  ]
  const [aBlock, aTileStep, bBlock, c] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')]
  inBlocks(f, n0, columns, n, nBlock, () => {
    inBlocks(f, k0, depth, k, kBlock, () => {
      f.set(bBlock, b.add(k0.mul(bRow)).add(n0.mul(bColumn)))
      f.if(packsB, () => {
        packPanels(f, callees.packB, columnsOf(tile), {
          to: packedB,
          from: bBlock,
          step: bRow,
          across: bColumn,
          depth,
          count: columns,
        })
        f.set(bBlock, packedB)
      })
      inBlocks(f, i0, rows, m, mBlock, () => {
        f.set(aBlock, a.add(k0.mul(aColumn)).add(i0.mul(aRow)))
        f.set(aTileStep, aRow.mul(tile.rows))
        f.if(packsA, () => {
          packPanels(f, callees.packA, tile.rows, {
            to: packedA,
            from: aBlock,
            step: aColumn,
            across: aRow,
            depth,
            count: rows,
          })
          f.set(aBlock, packedA)
          f.set(aTileStep, depth.mul(tile.rows * 4))
        })
        f.set(c, output.add(i0.mul(outputRow)).add(n0.mul(outputColumn)))
        emitTiles(f, callees, {
          work,
          zeros: work,
          k0,
          depth,
          rows,
          columns,
          aBlock,
          aTileStep,
          aStep,
          byRows,
          bBlock,
          bRow,
          packsB,
          c,
          outputRow,
          outputColumn,
        })
      })
    })
  })
  return f
}

const smaller = (a: I32, b: Int | number): I32 => select(a.lt(b), a, typeof b === 'number' ? i32.const(b) : b)

/** `for (start = 0; start < end; start += length)` with `length` at most `block`. */
function inBlocks(f: Fn, start: Int, length: Int, end: Int, block: Int, body: () => void): void {
  f.set(start, 0)
  f.while(start.lt(end), () => {
    f.set(length, smaller(end.sub(start), block))
    body()
    f.inc(start, length)
  })
}

/** Packs `count` columns, `across` bytes apart, as panels of `width`. */
function packPanels(
  f: Fn,
  pack: Packer,
  width: number,
  {
    to,
    from,
    step,
    across,
    depth,
    count,
  }: Readonly<Record<'to' | 'from' | 'step' | 'across' | 'depth' | 'count', Int>>,
): void {
  const [panel, source, left] = [f.let(to), f.let(from), f.let(count)]
  f.set(panel, to)
  f.set(source, from)
  f.set(left, count)
  f.while(left.gt(0), () => {
    f.call(pack, [panel, source, step, across, depth, smaller(left, width)])
    f.inc(panel, depth.mul(width * 4))
    f.inc(source, across.mul(width))
    f.inc(left, -width)
  })
}

type TileLocals = Readonly<
  Record<
    | 'work'
    | 'zeros'
    | 'k0'
    | 'depth'
    | 'rows'
    | 'columns'
    | 'aBlock'
    | 'aTileStep'
    | 'aStep'
    | 'byRows'
    | 'bBlock'
    | 'bRow'
    | 'packsB'
    | 'c'
    | 'outputRow'
    | 'outputColumn',
    Int
  >
>

/**
 * All tiles of one block of A with one block of B, panel after panel of B. `c` is the output's corner and is overwritten.
 *
 * Sums start from zeros in the first block of k, and go on from what the blocks before left in the output after it:
 * one sum from k = 0 to the end, however k is cut.
 */
function emitTiles(f: Fn, { micro, tile, copyTile }: Callees, locals: TileLocals): void {
  const {
    work,
    zeros,
    k0,
    depth,
    rows,
    columns,
    aBlock,
    aTileStep,
    aStep,
    byRows,
    bBlock,
    bRow,
    packsB,
    c,
    outputRow,
    outputColumn,
  } = locals
  const width = columnsOf(tile)
  const [panel, left, wide, aTile, high, corner] = [
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
  ]
  const bStep = f.let(select(packsB, i32.const(width * 4), bRow))
  f.set(bStep, select(packsB, i32.const(width * 4), bRow))
  const panelStep = f.let(bStep)
  f.set(panelStep, select(packsB, depth.mul(width * 4), i32.const(width * 4)))
  f.set(panel, bBlock)
  f.set(left, columns)

  // A single row: many columns at once.
  const rowWidth = tile.rowVectors * 4
  f.if(rows.eq(1).and(byRows).and(packsB.eqz()).and(outputColumn.eq(4)), () => {
    f.while(left.ge(rowWidth), () => {
      f.call(micro.row, [depth, aBlock, 0, panel, bRow, select(k0, c, zeros), 0, c, 0])
      f.inc(c, rowWidth * 4)
      f.inc(panel, rowWidth * 4)
      f.inc(left, -rowWidth)
    })
  })

  const nextTile = () => {
    f.inc(corner, outputRow.mul(tile.rows))
    f.inc(aTile, aTileStep)
    f.inc(high, -tile.rows)
  }
  f.while(left.gt(0), () => {
    f.set(wide, smaller(left, width))
    f.set(aTile, aBlock)
    f.set(high, rows)
    f.set(corner, c)
    f.if(
      wide.eq(width).and(outputColumn.eq(4)),
      () => {
        f.while(high.gt(0), () => {
          callMicro(f, micro, byRows, high, tile.rows, [
            depth,
            aTile,
            aStep,
            panel,
            bStep,
            select(k0, corner, zeros),
            select(k0, outputRow, i32.const(0)),
            corner,
            outputRow,
          ])
          nextTile()
        })
      },
      () => {
        // Too narrow a panel, or columns of the output apart: by way of a tile in the workspace.
        const scratch = work.add(workspace.tile)
        const step = width * 4
        f.while(high.gt(0), () => {
          f.if(k0, () =>
            f.call(copyTile, [scratch, step, 4, corner, outputRow, outputColumn, smaller(high, tile.rows), wide]),
          )
          callMicro(f, micro, byRows, high, tile.rows, [
            depth,
            aTile,
            aStep,
            panel,
            bStep,
            select(k0, scratch, zeros),
            select(k0, i32.const(step), i32.const(0)),
            scratch,
            step,
          ])
          f.call(copyTile, [corner, outputRow, outputColumn, scratch, step, 4, smaller(high, tile.rows), wide])
          nextTile()
        })
      },
    )
    f.inc(c, outputColumn.mul(width))
    f.inc(panel, panelStep)
    f.inc(left, -width)
  })
}

type Nine = readonly [I32Like, I32Like, I32Like, I32Like, I32Like, I32Like, I32Like, I32Like, I32Like]

/** Calls the kernel for `rows` rows, at most a tile's. */
function callMicro(f: Fn, micro: MicroKernels, byRows: Int, rows: Int, most: number, args: Nine): void {
  const fewer = (family: readonly MicroKernel[], count: number): void => {
    const kernel = family[count - 1]
    if (!kernel) return
    if (count === 1) f.call(kernel, args)
    else
      f.if(
        count === most ? rows.ge(count) : rows.eq(count),
        () => f.call(kernel, args),
        () => fewer(family, count - 1),
      )
  }
  f.if(
    byRows,
    () => fewer(micro.byRows, most),
    () => fewer(micro.byColumns, most),
  )
}
