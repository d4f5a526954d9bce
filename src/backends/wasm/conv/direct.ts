import {
  f32,
  type FunctionBuilder,
  type FunctionRef,
  type I32,
  i32,
  type Local,
  type ModuleBuilder,
  select,
} from '../assembler.js'
import { epilogueParameters } from '../epilogue.js'
import { kernelParameters } from '../launch.js'
import { addCopyTile, type CopyTile } from '../matmul/copy-tile.js'
import { emitShare } from '../rows.js'
import type { CopyPlanes } from './copy-planes.js'
import { addConvMicroKernels, type ConvMicroKernel, type ConvTile, widthOf } from './micro-kernels.js'
import { classWords, tapWords, words, workspace } from './words.js'

/**
 * Forward and the gradient of the input: shifted direct convolution. All filters of a tile are computed at places that
 * are neighbours in the planes, so every tap is a row of vectors at a distance from the first; where a tile runs over
 * the end of a row, what lies between the rows is computed and left out.
 *
 * The ladder (GFLOP/s of one Zen 3 core, best of many samples on a shared machine; window 3, padding 1):
 *
 * | version | idea                                                              | [32,16,14²]→32 | [8,64,56²]→64 | [32,1,28²]→16 |
 * |---------|-------------------------------------------------------------------|----------------|---------------|---------------|
 * | v0      | '256': image to columns, product of matrices                      |             55 |            62 |            36 |
 * | v1      | nine shifted products, channels last                              |             60 |            82 |            11 |
 * | v2      | shifted direct on padded planes, taps unrolled, 5x16              |             78 |            88 |            41 |
 * | v3      | taps from a table, 6x16 in blocks of equal size, planes made from |                |               |               |
 * |         | dense images, overlapping by their zeros; '256': what is used     |             91 |            87 |            57 |
 * | v4      | the same with 6x8 in 'fma'                                        |             45 |            52 |            34 |
 * | v5      | the same with 4x8 in 'plain' on Node 20 (columns: 21, 15, 16)     |             34 |            36 |            24 |
 *
 * The gradient of the input: 87, 86, 24 ('256'), 48, 51, 14 ('fma'), 33, 36, 16 ('plain'); one channel fills a sixth of
 * a tile. Window 7, stride 2, [4,3,224²]→64: 96; window 3, stride 2, [8,64,56²]→128: 82; depthwise, which is one sum
 * after another: 16.
 */

type Int = Local<'i32'>
const wordOf = (f: FunctionBuilder, params: I32) => (name: keyof typeof words) =>
  f.let(i32.load(params, words[name] * 4))

/** Exported name of the kernel that puts weights into the order in which `convDirect` reads them. */
export const packEntry = 'convPack'

/** Packed weights: by class, group and block of filters as `[channels][taps][filters of the block]`. */
export function addPack(module: ModuleBuilder): void {
  const f = module.function(packEntry, kernelParameters, { export: true })
  const [params, thread, threads] = f.params
  const word = wordOf(f, params)
  const [groups, blocks, channels, filters] = [word('groups'), word('blocks'), word('channels'), word('filters')]
  const [row, channel, group] = [word('weightRow'), word('weightChannel'), word('weightGroup')]
  const [weight, packed, classes] = [word('weight'), word('packed'), word('classes')]
  const table = f.let(params.add(word('blocksAt').shl(2)))
  const firstClass = f.let(params.add(word('classesAt').shl(2)))
  const { lo, hi } = emitShare(f, groups.mul(blocks), thread, threads)
  const [g, at, first, count, from] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')]
  const [one, left, to, c, taps, tap, tapsAt] = [
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
  ]
  const [source, i] = [f.local('i32'), f.local('i32')]
  f.while(lo.lt(hi), () => {
    f.set(g, lo.divU(blocks))
    f.set(at, table.add(lo.remU(blocks).shl(2)))
    f.set(first, i32.load(at))
    f.set(count, i32.load(at, 4).sub(first))
    f.set(one, firstClass)
    f.set(left, classes)
    f.while(left.gt(0), () => {
      f.set(taps, i32.load(one, classWords.taps * 4))
      f.set(tapsAt, params.add(i32.load(one, classWords.tapsAt * 4).shl(2)))
      f.set(to, g.mul(filters).add(first).mul(channels).mul(taps).shl(2))
      f.set(to, to.add(packed).add(i32.load(one, classWords.packed * 4)))
      f.set(from, weight.add(g.mul(group)).add(first.mul(row)))
      f.set(c, channels)
      f.while(c.gt(0), () => {
        f.set(tap, tapsAt)
        f.for(i, 0, taps, 1, () => {
          f.set(source, from.add(i32.load(tap, tapWords.weight * 4)))
          f.set(at, count)
          f.doWhile(() => {
            f.store(to, f32.load(source))
            f.inc(to, 4)
            f.inc(source, row)
            f.inc(at, -1)
          }, at)
          f.inc(tap, tapWords.count * 4)
        })
        f.inc(from, channel)
        f.inc(c, -1)
      })
      f.inc(one, classWords.count * 4)
      f.inc(left, -1)
    })
    f.inc(lo, 1)
  })
}

/** Exported name of the kernel for forward and the gradient of the input. */
export const directEntry = 'convDirect'

/** Threads share images, groups and blocks of filters; each makes the planes it needs itself. */
export function addDirect(module: ModuleBuilder, tile: ConvTile, copyPlanes: CopyPlanes): void {
  const epilogue = module.indirect(epilogueParameters)
  const tiles = addTiles(module, tile)
  const f = module.function(directEntry, kernelParameters, { export: true })
  const [params, thread, threads] = f.params
  const word = wordOf(f, params)
  const [groups, blocks, channels, filters] = [word('groups'), word('blocks'), word('channels'), word('filters')]
  const [copied, classes] = [word('copied'), word('classes')]
  const sourceStep = f.let(channels.mul(word('sourcePlane')))
  const outputStep = f.let(filters.mul(word('outputPlane')))
  const { lo, hi } = emitShare(f, word('batch').mul(groups).mul(blocks), thread, threads)
  const work = f.let(word('work').add(thread.mul(word('workBytes'))))
  const planes = f.let(work.add(workspace.planes))
  f.if(copied.and(lo.lt(hi)), () => f.memoryFill(planes, 0, word('planesBytes')))
  const firstClass = f.let(params.add(word('classesAt').shl(2)))
  const [image, first, last, x, one, left] = [
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
  ]
  const [source, output] = [word('source'), word('output')]
  const [call, outputPlane] = [word('call'), word('outputPlane')]
  const callBlock = f.let(params.add(word('callBlock')))
  const table = f.let(params.add(word('blocksAt').shl(2)))
  const firstFilter = (block: Int) => i32.load(table.add(block.shl(2)))
  f.while(lo.lt(hi), () => {
    f.set(image, lo.divU(blocks))
    f.set(first, lo.remU(blocks))
    f.set(last, first.add(hi.sub(lo)))
    f.if(last.gt(blocks), () => f.set(last, blocks))
    f.inc(lo, last.sub(first))
    f.set(x, source.add(image.mul(sourceStep)))
    f.if(copied, () => {
      f.call(copyPlanes, [params, planes, x, channels])
      f.set(x, planes)
    })
    f.set(one, firstClass)
    f.set(left, classes)
    f.while(left.gt(0), () => {
      f.call(tiles, [params, one, x, output.add(image.mul(outputStep)), image.remU(groups), first, last, work])
      f.inc(one, classWords.count * 4)
      f.inc(left, -1)
    })
    f.if(call, () => {
      const at = f.let(output.add(image.mul(outputStep)).add(firstFilter(first).mul(outputPlane)))
      const elements = firstFilter(last).sub(firstFilter(first)).mul(outputPlane).shrU(2)
      f.callIndirect(epilogue, call, [callBlock, at, elements, 1, 0])
    })
  })
}

const tilesSignature = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const

/** Parameters: argument block, class, planes, output of the image and group, group, blocks from and to, workspace. */
function addTiles(module: ModuleBuilder, tile: ConvTile): FunctionRef<typeof tilesSignature> {
  const micro = addConvMicroKernels(module, tile)
  const copyTile = addCopyTile(module)
  const width = widthOf(tile)
  const f = module.function('convTiles', tilesSignature)
  const [params, one, planes, output, group, from, to, work] = f.params
  const word = wordOf(f, params)
  const [filters, outputPlane, step, pitch] = [word('filters'), word('outputPlane'), word('channelStep'), word('pitch')]
  const [outputRow, outputColumn] = [word('outputRow'), word('outputColumn')]
  const [rowByRow, spills] = [word('rowByRow'), word('spills')]
  const inClass = (name: keyof typeof classWords) => f.let(i32.load(one, classWords[name] * 4))
  const [rows, columns, start, taps] = [inClass('rows'), inClass('columns'), inClass('start'), inClass('taps')]
  const tapTable = f.let(params.add(inClass('tapsAt').shl(2)))
  const table = f.let(params.add(word('blocksAt').shl(2)))
  const allChannels = word('channels')
  const packed = f.let(word('packed').add(inClass('packed')))
  const filterBytes = f.let(allChannels.mul(taps).shl(2))
  f.set(packed, packed.add(group.mul(filters).mul(filterBytes)))
  // Without taps there is nothing to add up.
  const channels = f.let(select(taps, allChannels, i32.const(0)))
  f.set(table, table.add(from.shl(2)))
  const end = f.let(table.add(to.sub(from).shl(2)))

  const [y, x, x0, place, block, first, count, at] = [
    f.local('i32'),
    f.local('i32'),
    f.let(planes),
    f.let(start),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
    f.local('i32'),
  ]
  const direct = f.local('i32')
  const pitchElements = f.let(pitch.shrU(2))
  f.while(y.lt(rows), () => {
    // Whole tiles go where they belong. Others may run over the end of their row where what follows in the plane is
    // computed later; what follows the plane is kept.
    f.set(direct, columns.sub(x).ge(width).or(spills))
    f.set(direct, direct.and(outputColumn.eq(4)).and(place.add(width * 4).le(outputPlane)))
    f.set(block, table)
    f.doWhile(() => {
      f.set(first, i32.load(block))
      f.set(count, i32.load(block, 4).sub(first))
      f.set(at, output.add(first.mul(outputPlane)).add(place))
      f.inc(block, 4)
      const w = packed.add(first.mul(filterBytes))
      f.if(
        direct,
        () => callMicro(f, micro, count, [channels, taps, tapTable, x0, step, w, at, outputPlane]),
        () => {
          callMicro(f, micro, count, [channels, taps, tapTable, x0, step, w, work, i32.const(width * 4)])
          copyRuns(f, copyTile, width, {
            ...{ work, at, outputPlane, outputColumn, outputRow, count },
            ...{ x, y, rows, columns, pitchElements, rowByRow },
          })
        },
      )
    }, block.ne(end))
    f.inc(x, width)
    f.if(
      rowByRow,
      () => {
        f.if(x.ge(columns), () => {
          f.set(x, 0)
          f.inc(y, 1)
        })
      },
      () => {
        f.while(x.ge(pitchElements), () => {
          f.set(x, x.sub(pitchElements))
          f.inc(y, 1)
        })
        f.if(x.ge(columns), () => {
          f.set(x, 0)
          f.inc(y, 1)
        })
      },
    )
    f.set(x0, planes.add(y.mul(pitch)).add(x.shl(2)))
    f.set(place, start.add(y.mul(outputRow)).add(x.mul(outputColumn)))
  })
  return f
}

/** Copies what belongs to the output from a tile in the workspace, row after row of the output. */
function copyRuns(
  f: FunctionBuilder<typeof tilesSignature, 'none'>,
  copyTile: CopyTile,
  width: number,
  locals: Readonly<
    Record<
      | 'work'
      | 'at'
      | 'outputPlane'
      | 'outputColumn'
      | 'outputRow'
      | 'count'
      | 'x'
      | 'y'
      | 'rows'
      | 'columns'
      | 'pitchElements'
      | 'rowByRow',
      Int
    >
  >,
): void {
  const { work, at, outputPlane, outputColumn, outputRow, count, x, y, rows, columns, pitchElements, rowByRow } = locals
  const [from, left, row, length] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')]
  f.set(from, work)
  f.set(left, width)
  f.set(row, y)
  f.set(length, columns.sub(x))
  f.doWhile(
    () => {
      f.if(length.gt(left), () => f.set(length, left))
      f.call(copyTile, [at, outputPlane, outputColumn, from, width * 4, 4, count, length])
      // Past the end of the row, and what lies between two rows, to the first column of the next.
      f.set(length, select(row.eq(y), pitchElements.sub(x), pitchElements))
      f.inc(from, length.shl(2))
      f.set(left, left.sub(length))
      f.set(at, at.add(outputRow).sub(select(row.eq(y), x.mul(outputColumn), i32.const(0))))
      f.inc(row, 1)
      f.set(length, columns)
    },
    left.gt(0).and(row.lt(rows)).and(rowByRow.eqz()),
  )
}

type Eight = readonly [I32, I32, I32, I32, I32, I32, I32, I32]

function callMicro(
  f: FunctionBuilder<typeof tilesSignature, 'none'>,
  micro: readonly ConvMicroKernel[],
  count: Int,
  args: Eight,
): void {
  const fewer = (filters: number): void => {
    const kernel = micro[filters - 1]
    if (!kernel) return
    if (filters === 1) f.call(kernel, args)
    else
      f.if(
        count.eq(filters),
        () => f.call(kernel, args),
        () => fewer(filters - 1),
      )
  }
  fewer(micro.length)
}
