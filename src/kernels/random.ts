import { constant, type Expr, index, scalar } from './expr.js'

/**
 * Counter-based random numbers as an expression: Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror, Shaw:
 * "Parallel random numbers: as easy as 1, 2, 3", 2011), keyed by two scalars and counted by the element's index.
 * The numbers depend on key and index alone, so they are the same on every backend and any number of threads.
 */

const rotations = [13, 15, 26, 6, 17, 29, 16, 24]
const parity = 0x1bd11bda

const rotate = (x: Expr, count: number) => x.shl(count).or(x.shr(32 - count))

/** Two random u32 words per element; `slot` and `slot + 1` are the scalars that hold the key. */
export function randomBits(slot = 0): readonly [Expr, Expr] {
  const key0 = scalar(slot, 'u32')
  const key1 = scalar(slot + 1, 'u32')
  const keys = [key0, key1, key0.xor(key1).xor(constant(parity, 'u32'))] as const
  let x = index().add(key0)
  let y = key1.add(constant(0, 'u32'))
  for (let round = 0; round < 20; round++) {
    x = x.add(y)
    y = rotate(y, rotations[round % 8] ?? 0).xor(x)
    if (round % 4 !== 3) continue
    const turn = (round + 1) / 4
    x = x.add(keys[turn % 3] ?? key0)
    y = y.add(keys[(turn + 1) % 3] ?? key0).add(turn)
  }
  return [x, y]
}

/** The upper 24 bits as a float in [0, 1), every value a multiple of 2⁻²⁴. */
const unit = (bits: Expr): Expr =>
  bits
    .shr(8)
    .cast('i32')
    .cast('f32')
    .mul(2 ** -24)

/** Uniform in [0, 1), f32. */
export const uniformUnit = (slot = 0): Expr => unit(randomBits(slot)[0])

/** Standard normal, f32, by Box and Muller (1958): √(−2 ln(1 − u)) · cos(2πv). */
export function normalUnit(slot = 0): Expr {
  const [a, b] = randomBits(slot)
  const radius = constant(1, 'f32').sub(unit(a)).log().mul(-2).sqrt()
  return radius.mul(
    unit(b)
      .mul(2 * Math.PI)
      .cos(),
  )
}
