/**
 * Which tile products are computed with: the first one by mode and processor, corrected by trials that run beside the
 * program once it has computed for a while. One arithmetic makes all tiles of a mode equal bit for bit, so a change shows
 * in speed alone. It holds for kernels prepared from then on; compiled programs keep the tile they were compiled with.
 */
import { candidatesOf, type Tile, tileName, tileNamed } from './matmul/tile.js'
import { type Mode, modes } from './modes.js'

/** Trials that run in the background. */
export interface Trials {
  /** GFLOP/s of each candidate, once all are measured. */
  speeds(): readonly number[] | undefined
}

/** Starts trials of tiles in the background, once for all devices. */
export type TrialRunner = (candidates: readonly Tile[]) => Trials

/** Work in ns after which trials begin: a program that lasts, and whose first steps are over. */
const beginAfter = 2e8
/** By how much another tile must be faster. */
const margin = 1.1

export class Tuning {
  #mode: Mode
  #tile: Tile
  readonly #candidates: readonly Tile[]
  #work = 0
  #runner: TrialRunner | undefined
  #running: Trials | undefined
  #speeds: readonly number[] | undefined

  /**
   * `asked`: a tile's name, which then stays. Without a runner the first tile stays, too.
   *
   * @throws OptionError when the tile asked for is none of the mode
   */
  constructor(
    mode: Mode,
    private readonly options: {
      readonly registers: number
      readonly asked?: string | undefined
      readonly runner?: TrialRunner | undefined
    },
  ) {
    const { registers, asked, runner } = options
    this.#mode = mode
    this.#candidates = candidatesOf(mode, registers)
    const first = this.#candidates[0]
    this.#tile = asked === undefined && first ? first : tileNamed(asked ?? '', this.#candidates)
    this.#runner = asked === undefined ? runner : undefined
  }

  get tile(): Tile {
    return this.#tile
  }
  /** What code is generated for: `fma` where 256 bits were asked for and turned out not to be there. */
  get mode(): Mode {
    return this.#mode
  }

  /** Notes that a kernel of this length ran; begins the trials when there was enough. */
  worked(nanoseconds: number): void {
    if (!this.#runner) return
    this.#work += nanoseconds
    if (this.#work < beginAfter) return
    this.#running = this.#runner(this.#candidates)
    this.#runner = undefined
  }

  /** Takes over what the trials have found, once; whether anything is different now. */
  settle(): boolean {
    const speeds = this.#running?.speeds()
    if (!speeds) return false
    this.#running = undefined
    this.#speeds = speeds
    const best = speeds.indexOf(Math.max(...speeds))
    const tile = this.#candidates[best]
    if (!tile || (speeds[best] ?? 0) < margin * (speeds[0] ?? 0)) return false
    // Narrow tiles win where pairs of vectors are not fused: all kernels do better with the code for that.
    if (this.#mode.wide && tile.vectors === 2) this.#mode = modes.fma
    this.#tile = tile
    return true
  }

  /** Whether trials are still to come or running. */
  get pending(): boolean {
    return this.#runner !== undefined || this.#running !== undefined
  }

  /** What is used and why, for people. */
  get fact(): string {
    const [first] = this.#candidates
    const used = `${tileName(this.#tile)} outputs of a product in registers`
    if (this.options.asked !== undefined) return `${used} (asked for)`
    if (!this.#speeds) {
      return `${used} (the first choice for this mode and processor; ${this.options.runner ? 'not tried yet' : 'not tried'})`
    }
    const tried = this.#candidates
      .map((tile, i) => `${tileName(tile)} ${(this.#speeds?.[i] ?? 0).toFixed(0)}`)
      .join(', ')
    const outcome =
      first === this.#tile
        ? 'none is faster by a tenth than the first choice'
        : this.#mode.wide || !first || first.vectors === 2 || this.#tile.vectors > 2
          ? `faster than ${first ? tileName(first) : 'the first choice'}`
          : 'vectors are not fused to 256 bits here, so all kernels are prepared for 128'
    return `${used} (trials, GFLOP/s: ${tried}; ${outcome})`
  }
}
