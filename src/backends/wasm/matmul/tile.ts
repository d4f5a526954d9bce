import type { ModeName } from '../modes.js'

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

/** The largest tile each mode keeps in 15 registers; one register too many halves the speed. */
export const tiles: Readonly<Record<ModeName, Tile>> = {
  plain: { rows: 4, vectors: 2, rowVectors: 8, fma: false },
  fma: { rows: 6, vectors: 2, rowVectors: 8, fma: true },
  '256': { rows: 5, vectors: 4, rowVectors: 16, fma: true },
}

export const columnsOf = (tile: Tile): number => tile.vectors * 4
