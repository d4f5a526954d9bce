import { f32x4, type FunctionRef, type I32, i32, type ModuleBuilder, select } from '../assembler.js'
import { epilogueParameters } from '../epilogue.js'
import { addClear, addCopyTile } from './copy-tile.js'
import { addMicroKernels } from './micro-kernels.js'
import { addPacker, type Packer } from './pack.js'
import { columnsOf, type Tile } from './tile.js'
import { emitTiles, type Fn, type Int, productSignature, smaller } from './tiles.js'
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
 * Since then one family of micro-kernels reads any strides of A, where packed and transposed ones had their own: the same
 * speed with FMA (32x784x512 94.5, 256³ 103), two thirds of the code. Without FMA that costs 10 %, so 'plain' has both.
 *
 * A layer, 32x784 times 784x512 stored by columns: B packed 80 ('256') and 47 ('fma'); computed transposed, so that the
 * weights are read where they are, 99 and 53, bias and relu as an epilogue included.
 *
 * A row by many columns at once (`row`: 8 or 16 vectors) takes 1x512x512 from 12 to 18 ('fma') and from 21 to 32 ('256').
 * The same with transposed B without packing (`transposed-row.ts`): from 8 to 21 and from 7.5 to 24.
 */

/** Parameters: argument block, workspace, addresses of A, B and the output, rows, columns. */
export type Product = FunctionRef<typeof productSignature>

/** One product, or the part of it that one thread computes. */
export function addProduct(module: ModuleBuilder, tile: Tile): Product {
  const width = columnsOf(tile)
  const micro = addMicroKernels(module, tile)
  const packA = addPacker(module, 'matmulPackA', tile.rows)
  const packB = addPacker(module, 'matmulPackB', width)
  const copyTile = addCopyTile(module)
  const clear = addClear(module)
  const transposedRow = addTransposedRow(module, tile.fma)
  const epilogue = module.indirect(epilogueParameters)
  const f = module.function('matmulProduct', productSignature)
  const [params, work, a, b, output, m, n] = f.params
  const word = (name: keyof typeof words) => f.let(i32.load(params, words[name] * 4))

  const [k, outputRow, outputColumn] = [word('k'), word('outputRow'), word('outputColumn')]
  const call = word('call')
  const callBlock = f.let(params.add(word('callBlock')))
  // Whether neighbours in a row of the product are neighbours in memory; else those in a column are.
  const inRows = f.let(outputColumn.eq(4))
  /** What is called on elements that are done, as stretches of neighbours. */
  const finish = (at: Int, rows: Int, columns: Int) =>
    f.if(call, () => {
      const [count, stretches] = [select(inRows, columns, rows), select(inRows, rows, columns)]
      f.callIndirect(epilogue, call, [callBlock, at, count, stretches, select(inRows, outputRow, outputColumn)])
    })
  f.if(k.eqz(), () => {
    f.call(clear, [output, outputRow, outputColumn, m, n])
    finish(output, m, n)
    f.return()
  })
  const [aRow, aColumn, bRow, bColumn] = [word('aRow'), word('aColumn'), word('bRow'), word('bColumn')]
  f.if(word('rowByRow'), () => {
    const one = f.let(i32.const(1))
    f.while(m, () => {
      f.call(transposedRow, [k, a, aColumn, b, bColumn, output, n])
      finish(output, one, n)
      f.inc(a, aRow)
      f.inc(output, outputRow)
      f.inc(m, -1)
    })
    f.return()
  })

  const [packsA, packsB] = [word('packA'), word('packB')]
  const [kBlock, mBlock, nBlock, strip] = [word('kBlock'), word('mBlock'), word('nBlock'), word('strip')]
  const packedA = f.let(work.add(workspace.packed))
  const packedB = f.let(packedA.add(packsA.mul(mBlock).mul(kBlock).shl(2)))
  const aRowStep = f.let(select(packsA, i32.const(4), aRow))
  const aStep = f.let(select(packsA, i32.const(tile.rows * 4), aColumn))
  const bStep = f.let(select(packsB, i32.const(width * 4), bRow))
  for (let i = 0; i < tile.rowVectors; i++) f.store(work, f32x4.const(0), workspace.zeros + i * 16)

  inBlocks(f, n, nBlock, (n0, columns) => {
    inBlocks(f, k, kBlock, (k0, depth) => {
      const panel = f.let(b.add(k0.mul(bRow)).add(n0.mul(bColumn)))
      const panelStep = f.let(i32.const(width * 4))
      f.if(packsB, () => {
        packPanels(f, packB, width, packedB, panel, bRow, bColumn, depth, columns)
        f.set(panel, packedB)
        f.set(panelStep, depth.mul(width * 4))
      })
      inBlocks(f, m, mBlock, (i0, rows) => {
        const aTile = f.let(a.add(k0.mul(aColumn)).add(i0.mul(aRow)))
        const aTileStep = f.let(aRow.mul(tile.rows))
        f.if(packsA, () => {
          packPanels(f, packA, tile.rows, packedA, aTile, aColumn, aRow, depth, rows)
          f.set(aTile, packedA)
          f.set(aTileStep, depth.mul(tile.rows * 4))
        })
        const c = f.let(output.add(i0.mul(outputRow)).add(n0.mul(outputColumn)))
        const operands = { aTile, aTileStep, aRowStep, aStep, panel, panelStep, bStep, packsB }
        const last = f.let(k0.add(depth).eq(k))
        emitTiles(
          f,
          { micro, tile, copyTile },
          { work, k0, depth, rows, columns, c, outputRow, outputColumn, last, strip, finish, ...operands },
        )
      })
    })
  })
  return f
}

/** `for (start = 0; start < end; start += length)` with `length` at most `block`. */
function inBlocks(f: Fn, end: Int, block: Int, body: (start: Int, length: Int) => void): void {
  const start = f.let(i32.const(0))
  f.while(start.lt(end), () => {
    const length = f.let(smaller(end.sub(start), block))
    body(start, length)
    f.inc(start, length)
  })
}

/** Packs `count` columns, `across` bytes apart, as panels of `width`. */
function packPanels(
  f: Fn,
  pack: Packer,
  width: number,
  to: I32,
  from: I32,
  step: Int,
  across: Int,
  depth: Int,
  count: I32,
): void {
  const [panel, source, left] = [f.let(to), f.let(from), f.let(count)]
  f.while(left.gt(0), () => {
    f.call(pack, [panel, source, step, across, depth, smaller(left, width)])
    f.inc(panel, depth.mul(width * 4))
    f.inc(source, across.mul(width))
    f.inc(left, -width)
  })
}
