import { widen } from '../../shapes/half.js'
import { elements } from '../elements.js'
import type { FileDType } from '../raw-tensor.js'

/** How far two tensors are apart, and how they lie as vectors; sums in f64 over the elements that are finite in both. */
export interface Distance {
  elements: number
  /** Elements whose values are not equal; two NaN are. */
  differing: number
  /** Elements that are infinite or NaN, in the first and in the second. */
  nonFinite: [number, number]
  /** Largest `|a − b|`. */
  largest: number
  /** `Σ (a − b)²`, `Σ a²`, `Σ b²` and `Σ a b`. */
  squares: { difference: number; first: number; second: number }
  dot: number
}

export const noDistance = (): Distance => ({
  elements: 0,
  differing: 0,
  nonFinite: [0, 0],
  largest: 0,
  squares: { difference: 0, first: 0, second: 0 },
  dot: 0,
})

/** `‖a − b‖ / ‖a‖`: 0 for equal tensors, infinite against zeros. */
export function relativeDistance({ squares }: Distance): number {
  return squares.difference === 0 ? 0 : Math.sqrt(squares.difference / squares.first)
}

/** Cosine of the angle between the tensors; NaN when one is zero. */
export function cosineOf({ squares, dot }: Distance): number {
  return Math.max(-1, Math.min(1, dot / Math.sqrt(squares.first * squares.second)))
}

/** What `scan` finds, in an array of f64: an object's fields would change their form as numbers grow, and slow it down. */
const found = new Float64Array(8)

/** Adds what one stretch of elements says to `total`. */
export function addDistance(total: Distance, a: ArrayLike<number>, b: ArrayLike<number>): void {
  scan(a, b)
  const [difference = 0, first = 0, second = 0, dot = 0, largest = 0, differing = 0, lostA = 0, lostB = 0] = found
  joinDistance(total, {
    ...{ elements: a.length, differing, largest, dot, nonFinite: [lostA, lostB] },
    squares: { difference, first, second },
  })
}

function scan(a: ArrayLike<number>, b: ArrayLike<number>): void {
  let difference = 0
  let first = 0
  let second = 0
  let dot = 0
  let largest = 0
  let differing = 0
  let lostA = 0
  let lostB = 0
  for (let i = 0; i < a.length; i++) {
    const x = a[i] ?? 0
    const y = b[i] ?? 0
    const gap = x - y
    // Finite exactly when both are, for no two finite f32 are that far apart, and f64 that are overflow the sums anyway.
    if (gap - gap === 0) {
      if (gap !== 0) differing++
      const size = Math.abs(gap)
      if (size > largest) largest = size
      difference += gap * gap
      first += x * x
      second += y * y
      dot += x * y
    } else {
      if (!Object.is(x, y)) differing++
      if (x - x !== 0) lostA++
      if (y - y !== 0) lostB++
    }
  }
  found.set([difference, first, second, dot, largest, differing, lostA, lostB])
}

/** Joins what was measured of one tensor to that of others. */
export function joinDistance(total: Distance, part: Distance): void {
  total.elements += part.elements
  total.differing += part.differing
  total.nonFinite[0] += part.nonFinite[0]
  total.nonFinite[1] += part.nonFinite[1]
  total.largest = Math.max(total.largest, part.largest)
  total.squares.difference += part.squares.difference
  total.squares.first += part.squares.first
  total.squares.second += part.squares.second
  total.dot += part.dot
}

/**
 * The elements as numbers, integers beyond 2^53 rounded; of types that are no numbers here (8-bit floats, complex) the
 * bytes. `raw` must be aligned to 8 bytes.
 */
export function numbersIn(raw: Uint8Array, dtype: FileDType): ArrayLike<number> {
  switch (dtype) {
    case 'F64':
      return elements(Float64Array, raw)
    case 'F32':
      return elements(Float32Array, raw)
    case 'F16':
      return widen(elements(Uint16Array, raw), 'f16')
    case 'BF16':
      return widen(elements(Uint16Array, raw), 'bf16')
    case 'I64':
      return Float64Array.from(elements(BigInt64Array, raw), Number)
    case 'U64':
      return Float64Array.from(elements(BigUint64Array, raw), Number)
    case 'I32':
      return elements(Int32Array, raw)
    case 'U32':
      return elements(Uint32Array, raw)
    case 'I16':
      return elements(Int16Array, raw)
    case 'U16':
      return elements(Uint16Array, raw)
    case 'I8':
      return elements(Int8Array, raw)
    case 'BOOL':
    case 'U8':
    case 'F8_E5M2':
    case 'F8_E4M3':
    case 'F8_E8M0':
    case 'F8_E4M3FNUZ':
    case 'F8_E5M2FNUZ':
    case 'C64':
      return raw
  }
}
