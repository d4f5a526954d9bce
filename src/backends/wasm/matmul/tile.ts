import { OptionError } from '../../../shapes/errors.js'
import type { Mode, ModeName } from '../modes.js'

/** The block of the output one micro-kernel keeps in registers. */
export interface Tile {
  readonly rows: number
  /** Vectors of four columns. */
  readonly vectors: number
  /** Vectors of the kernel for a single row, which needs more sums in flight to hide the latency of one. */
  readonly rowVectors: number
  /** Whether a step is one fused multiply-add or a multiplication and an addition. */
  readonly fma: boolean
}

/** The largest tile each mode keeps in the 15 registers of x64; one register too many halves the speed. */
export const tiles: Readonly<Record<ModeName, Tile>> = {
  plain: { rows: 4, vectors: 2, rowVectors: 8, fma: false },
  fma: { rows: 6, vectors: 2, rowVectors: 8, fma: true },
  '256': { rows: 5, vectors: 4, rowVectors: 16, fma: true },
}

/** Others worth trying, because they are the fastest on some processor or engine. */
const others: Readonly<Record<ModeName, readonly Tile[]>> = {
  plain: [
    { rows: 5, vectors: 2, rowVectors: 8, fma: false },
    { rows: 4, vectors: 3, rowVectors: 8, fma: false },
  ],
  fma: [
    { rows: 4, vectors: 2, rowVectors: 8, fma: true },
    { rows: 5, vectors: 2, rowVectors: 8, fma: true },
  ],
  // Where the processor has no 256-bit vectors, or the engine does not fuse to them, the narrow tile is the faster one.
  '256': [
    { rows: 6, vectors: 4, rowVectors: 16, fma: true },
    { rows: 4, vectors: 4, rowVectors: 16, fma: true },
    tiles.fma,
  ],
}
/** For processors with 32 vector registers. */
const large = (fma: boolean): readonly Tile[] => [
  { rows: 8, vectors: 2, rowVectors: 16, fma },
  { rows: 6, vectors: 4, rowVectors: 16, fma },
  { rows: 8, vectors: 3, rowVectors: 16, fma },
]
const largeTiles = { plain: large(false), fma: large(true) } as const

/** The tiles of a mode that are tried, the one to begin with first. */
export const candidatesOf = ({ name }: Mode, registers: number): readonly Tile[] =>
  registers < 32 || name === '256' ? [tiles[name], ...others[name]] : [...largeTiles[name], tiles[name]]

export const columnsOf = (tile: Tile): number => tile.vectors * 4

/** As options and `doctor` write it: rows by columns. */
export const tileName = (tile: Tile): string => `${tile.rows}x${columnsOf(tile)}`

/**
 * The candidate with this name.
 *
 * @throws OptionError when there is none
 */
export function tileNamed(name: string, candidates: readonly Tile[]): Tile {
  const found = candidates.find((tile) => tileName(tile) === name)
  if (found) return found
  const names = candidates.map((tile) => `'${tileName(tile)}'`).join(', ')
  throw new OptionError(`tile (or DFDT_TILE) is "${name}", expected one of ${names}. Leave it out to have it chosen.`)
}
