import { halfBits, narrow } from '../../shapes/half.js'
import { type DType, isHalf } from '../../tensor/dtype.js'
import type { Contents } from './case.js'

/** Seeded random numbers for test data: Marsaglia's xorshift of 32 bits (2003), the same everywhere. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = (Math.imul(seed, 0x9e3779b1) ^ 0x5bd1e995) >>> 0 || 1
    for (let i = 0; i < 8; i++) this.bits()
  }

  bits(): number {
    let x = this.#state
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    this.#state = x >>> 0
    return this.#state
  }
  /** In [0, 1). */
  unit(): number {
    return this.bits() / 2 ** 32
  }
  between(low: number, high: number): number {
    return low + (high - low) * this.unit()
  }
  /** A whole number from `low` to `high`, both included. */
  whole(low: number, high: number): number {
    return low + Math.floor(this.unit() * (high - low + 1))
  }
  /** Either sign, every order of magnitude from 2^low to 2^high as likely as another. */
  magnitude(low: number, high: number): number {
    return (this.bits() & 1024 ? 1 : -1) * 2 ** this.between(low, high)
  }
  chance(probability: number): boolean {
    return this.unit() < probability
  }
  pick<T>(list: readonly [T, ...T[]]): T {
    return list[this.whole(0, list.length - 1)] ?? list[0]
  }
  shuffled<T>(list: readonly T[]): T[] {
    return list
      .map((value) => ({ value, at: this.bits() }))
      .sort((a, b) => a.at - b.at)
      .map(({ value }) => value)
  }
}

/** What random elements look like. */
export type Style =
  /** Floats around 1 in size; integers of all sizes. */
  | 'plain'
  /** Small whole numbers except 0, also in floats: sums of products are exact in any order, and every term counts. */
  | 'whole'

/** Zeros in an array of the dtype's kind; `bool` lies in u32, `f16` and `bf16` as bits. */
export function emptyContents(dtype: DType, length: number): Contents {
  if (dtype === 'f64') return new Float64Array(length)
  if (dtype === 'f32') return new Float32Array(length)
  if (isHalf(dtype)) return new Uint16Array(length)
  return dtype === 'i32' ? new Int32Array(length) : new Uint32Array(length)
}

/** These elements in an array of the dtype's kind. */
export function contentsOf(dtype: DType, values: ArrayLike<number>): Contents {
  if (isHalf(dtype)) return narrow(values, dtype)
  const contents = emptyContents(dtype, values.length)
  contents.set(values)
  return contents
}

export function randomElement(random: Random, dtype: DType, style: Style): number {
  if (dtype === 'bool') return random.whole(0, 1)
  if (style === 'whole') return random.whole(1, 4) * (dtype !== 'u32' && random.chance(0.5) ? -1 : 1)
  if (dtype === 'i32') return random.bits() | 0
  if (dtype === 'u32') return random.bits()
  return random.between(-2, 2)
}

export function randomContents(random: Random, dtype: DType, length: number, style: Style): Contents {
  const contents = emptyContents(dtype, length)
  const half = isHalf(dtype) ? dtype : undefined
  return contents.map(() => {
    const value = randomElement(random, dtype, style)
    return half ? halfBits(value, half) : value
  })
}
