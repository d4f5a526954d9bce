import { f32x4, type FunctionRef, i32, type Local, type ModuleBuilder, type V128, v128 } from '../assembler.js'
import type { ModeName } from '../modes.js'
import { tapWords } from './words.js'

/** The block of the output that one micro-kernel keeps in registers: filters by vectors of four neighbouring elements. */
export interface ConvTile {
  readonly filters: number
  readonly vectors: number
  readonly fma: boolean
}

/** As for matmul, the largest that 15 registers hold. */
export const convTiles: Readonly<Record<ModeName, ConvTile>> = {
  plain: { filters: 4, vectors: 2, fma: false },
  fma: { filters: 6, vectors: 2, fma: true },
  '256': { filters: 6, vectors: 4, fma: true },
}

/** Elements of the output that a tile has side by side. */
export const widthOf = (tile: ConvTile): number => tile.vectors * 4

const signature = ['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'] as const
/**
 * Parameters, in bytes but for counts: channels (0: nothing to add up), taps, table of taps, the tile's first element in
 * the planes of the first channel, step to the next channel, packed weights `[channels][taps][filters]`, where the tile
 * goes, step from one filter to the next there.
 */
export type ConvMicroKernel = FunctionRef<typeof signature>

export const multiplyAdd = (fma: boolean, x: V128, y: V128, sum: V128): V128 =>
  fma ? f32x4.relaxed_madd(x, y, sum) : f32x4.add(sum, f32x4.mul(x, y))

const range = (n: number) => Array.from({ length: n }, (_, i) => i)

/** Entry `m − 1` computes `m` filters. Terms are added in the order of channels, then taps, to one accumulator each. */
export function addConvMicroKernels(module: ModuleBuilder, tile: ConvTile): ConvMicroKernel[] {
  return range(tile.filters).map((i) => addConvMicroKernel(module, i + 1, tile))
}

function addConvMicroKernel(module: ModuleBuilder, filters: number, { vectors, fma }: ConvTile): ConvMicroKernel {
  const f = module.function(`conv${filters}`, signature)
  const [channels, taps, table, x, step, w, output, outputStep] = f.params
  const sums: Local<'v128'>[][] = range(filters).map(() => range(vectors).map(() => f.local('v128')))
  const row = range(vectors).map(() => f.local('v128'))
  const weight = f.local('v128')
  const [tap, left, at] = [f.local('i32'), f.local('i32'), f.local('i32')]
  f.if(channels, () => {
    f.doWhile(() => {
      f.set(tap, table)
      f.set(left, taps)
      f.doWhile(() => {
        f.set(at, x.add(i32.load(tap, tapWords.source * 4)))
        // Loads, and stores below, in pairs with nothing between them: the shape V8 fuses to 256 bits.
        for (const [j, local] of row.entries()) f.set(local, v128.load(at, j * 16))
        sums.forEach((own, i) => {
          f.set(weight, v128.load32_splat(w, i * 4))
          for (const [j, sum] of own.entries()) f.set(sum, multiplyAdd(fma, weight, row[j] ?? weight, sum))
        })
        f.inc(w, filters * 4)
        f.inc(tap, tapWords.count * 4)
        f.inc(left, -1)
      }, left)
      f.inc(x, step)
      f.inc(channels, -1)
    }, channels)
  })
  sums.forEach((own, i) => {
    for (const [j, sum] of own.entries()) f.store(output, sum, j * 16)
    if (i < filters - 1) f.inc(output, outputStep)
  })
  return f
}
