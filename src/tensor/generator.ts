import { OptionError } from '../shapes/errors.js'

/**
 * A counter-based source of random numbers: a seed and a count of the draws made from it. The numbers
 * of a draw depend on nothing else, so they do not change with threads, devices or sizes before them.
 */
export class Generator {
  #seed: number
  #draws = 0

  constructor(seed = 0) {
    this.#seed = seed
  }

  /** Starts over from `seed`. */
  manualSeed(seed: number): this {
    if (!Number.isSafeInteger(seed) || seed < 0)
      throw new OptionError(`manualSeed: a seed is a whole number from 0, got ${String(seed)}.`, { op: 'manualSeed' })
    this.#seed = seed
    this.#draws = 0
    return this
  }

  /** The key of the next draw: two u32 words, as scalars of a kernel. */
  next(): readonly [number, number] {
    const low = this.#seed >>> 0
    const high = Math.floor(this.#seed / 2 ** 32) >>> 0
    return [(low ^ Math.imul(high, 0x9e3779b9)) >>> 0, this.#draws++ >>> 0]
  }

  /** What a checkpoint keeps. */
  state(): { seed: number; draws: number } {
    return { seed: this.#seed, draws: this.#draws }
  }
  load(state: { seed: number; draws: number }): void {
    this.#seed = state.seed
    this.#draws = state.draws
  }
}
