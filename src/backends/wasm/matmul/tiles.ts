import { type FunctionBuilder, type I32, i32, type I32Like, type Local, select } from '../assembler.js'
import type { CopyTile } from './copy-tile.js'
import type { MicroKernel, MicroKernels } from './micro-kernels.js'
import { columnsOf, type Tile } from './tile.js'
import { workspace } from './words.js'

/** Signature of the function the tiles are part of. */
export const productSignature = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const
export type Fn = FunctionBuilder<typeof productSignature, 'none'>
export type Int = Local<'i32'>

export const smaller = (a: I32, b: Int | number): I32 => select(a.lt(b), a, typeof b === 'number' ? i32.const(b) : b)

/** What the tiles of one block are made of. Steps are in bytes. */
interface BlockLocals {
  readonly work: Int
  /** First k of the block, and how many. */
  readonly k0: Int
  readonly depth: Int
  readonly rows: Int
  readonly columns: Int
  /** The first tile of A, the step to the next, the steps inside it to the next row and the next k. */
  readonly aTile: Int
  readonly aTileStep: Int
  readonly aRowStep: Int
  readonly aStep: Int
  /** The first panel of B, the step to the next, the step from one k to the next. */
  readonly panel: Int
  readonly panelStep: Int
  readonly bStep: Int
  readonly packsB: Int
  /** The output's corner, and its steps. Overwritten. */
  readonly c: Int
  readonly outputRow: Int
  readonly outputColumn: Int
  /** Whether sums are complete with this block of k; then `finish` gets them, about so many columns at a time. */
  readonly last: Int
  readonly strip: Int
  readonly finish: (at: Int, rows: Int, columns: Int) => void
}

/**
 * All tiles of one block of A with one block of B, panel after panel of B.
 *
 * Sums start from zeros in the first block of k, and go on from what the blocks before left in the output after it:
 * one sum from k = 0 to the end, however k is cut.
 */
export function emitTiles(
  f: Fn,
  { micro, tile, copyTile }: { readonly micro: MicroKernels; readonly tile: Tile; readonly copyTile: CopyTile },
  block: BlockLocals,
): void {
  const { work, k0, depth, rows, aRowStep, aStep, bStep, packsB, c, outputRow, outputColumn } = block
  const width = columnsOf(tile)
  const zeros = work.add(workspace.zeros)
  const panel = f.let(block.panel)
  const left = f.let(block.columns)
  // What is done and not finished: its corner, and how many columns.
  const begun = f.let(c)
  const done = f.let(i32.const(0))

  // A single row: many columns at once.
  const rowWidth = tile.rowVectors * 4
  f.if(rows.eq(1).and(packsB.eqz()).and(outputColumn.eq(4)), () => {
    f.while(left.ge(rowWidth), () => {
      f.call(micro.row, [depth, block.aTile, 0, aStep, panel, bStep, select(k0, c, zeros), 0, c, 0])
      f.inc(c, rowWidth * 4)
      f.inc(panel, rowWidth * 4)
      f.inc(left, -rowWidth)
      f.inc(done, rowWidth)
    })
  })

  f.while(left.gt(0), () => {
    const wide = f.let(smaller(left, width))
    const aTile = f.let(block.aTile)
    const high = f.let(rows)
    const corner = f.let(c)
    /** Computes a tile after the other, starting from and storing to `target`. */
    const eachTile = (target: I32, step: I32, before: () => void, after: () => void) => {
      f.while(high.gt(0), () => {
        before()
        const start = [select(k0, target, zeros), select(k0, step, i32.const(0))] as const
        const args: Ten = [depth, aTile, aRowStep, aStep, panel, bStep, ...start, target, step]
        const call = (kernels: readonly MicroKernel[]) => callMicro(f, kernels, high, tile.rows, args)
        const { tiles, columns } = micro
        if (columns.length === 0) call(tiles)
        else
          f.if(
            aRowStep.eq(4),
            () => call(columns),
            () => call(tiles),
          )
        after()
        f.inc(corner, outputRow.mul(tile.rows))
        f.inc(aTile, block.aTileStep)
        f.inc(high, -tile.rows)
      })
    }
    const nothing = () => {}
    const inPlace = () => eachTile(corner, outputRow, nothing, nothing)
    // Too narrow a panel, or columns of the output apart: by way of a tile in the workspace.
    const scratch = work.add(workspace.tile)
    const step = i32.const(width * 4)
    const there = [corner, outputRow, outputColumn] as const
    const here = [scratch, step, 4] as const
    const copy = (to: typeof there | typeof here, from: typeof there | typeof here) =>
      f.call(copyTile, [...to, ...from, smaller(high, tile.rows), wide])
    const byCopy = () =>
      eachTile(
        scratch,
        step,
        () => f.if(k0, () => copy(here, there)),
        () => copy(there, here),
      )
    f.if(wide.eq(width).and(outputColumn.eq(4)), inPlace, byCopy)
    f.inc(c, outputColumn.mul(width))
    f.inc(panel, block.panelStep)
    f.inc(left, -width)
    f.inc(done, wide)
    f.if(block.last.and(left.gt(0).eqz().or(done.ge(block.strip))), () => {
      block.finish(begun, rows, done)
      f.set(begun, c)
      f.set(done, 0)
    })
  })
  f.if(block.last.and(done.gt(0)), () => block.finish(begun, rows, done))
}

type Ten = readonly [I32Like, I32Like, I32Like, I32Like, I32Like, I32Like, I32Like, I32Like, I32Like, I32Like]

/** Calls the kernel for `rows` rows, at most a tile's. */
function callMicro(f: Fn, kernels: readonly MicroKernel[], rows: Int, count: number, args: Ten): void {
  const kernel = kernels[count - 1]
  if (!kernel) return
  const call = () => f.call(kernel, args)
  if (count === 1) call()
  else f.if(rows.ge(count), call, () => callMicro(f, kernels, rows, count - 1, args))
}
