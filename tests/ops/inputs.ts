import { Random } from '../../src/testing/conformance/random.js'

/** `float` inputs are made as f32 values and used as f32 and as f64, so that both see the same numbers. */
export type InputType = 'float' | 'i32' | 'u32' | 'bool'

/** One input of a case: its values come from the seed of its place in the table. */
export interface InputSpec {
  readonly shape: readonly number[]
  readonly type: InputType
  readonly fill: (random: Random, size: number) => readonly number[]
}

type Shape = readonly number[]
const repeat = (size: number, one: () => number) => Array.from({ length: size }, one)

/** Floats, equally likely from low to high. */
export const floats = (shape: Shape, low = -2, high = 2): InputSpec => ({
  shape,
  type: 'float',
  fill: (random, size) => repeat(size, () => random.between(low, high)),
})

/** Floats that are all at least 0.05 apart, in random order: no ties, no kinks between two of them. */
export const distinct = (shape: Shape): InputSpec => ({
  shape,
  type: 'float',
  fill: (random, size) => random.shuffled(Array.from({ length: size }, (_, i) => (i - size / 2 + 0.25) * 0.1)),
})

/** Exactly these values, repeated until the shape is full. */
export const exactly = (shape: Shape, values: readonly number[], type: InputType = 'float'): InputSpec => ({
  shape,
  type,
  fill: (_, size) => Array.from({ length: size }, (_unused, i) => values[i % values.length] ?? 0),
})

/** The values where elementwise functions go wrong first. */
export const edges: InputSpec = exactly(
  [14],
  [0, -0, 1, -1, 1e-30, -1e-30, 1e-4, 20, -20, 300, -300, 1e20, -1e20, Number.NaN],
)
/** The same without NaN and beyond what an exponential can hold. */
export const moderateEdges: InputSpec = exactly([10], [0, -0, 1, -1, 1e-30, 1e-4, -1e-4, 20, -20, 80])

/** Whole numbers from low to high, both included. */
export const ints = (shape: Shape, low: number, high: number, type: InputType = 'i32'): InputSpec => ({
  shape,
  type,
  fill: (random, size) => repeat(size, () => random.whole(low, high)),
})

export const bools = (shape: Shape): InputSpec => ints(shape, 0, 1, 'bool')

/** Positive rows that sum to 1 along the last axis; about a quarter of them hold a 0. */
export const probabilities = (shape: Shape): InputSpec => ({
  shape,
  type: 'float',
  fill: (random, size) => {
    const width = shape.at(-1) ?? 1
    const values = repeat(size, () => (random.chance(0.25 / width) ? 0 : random.between(0.05, 1)))
    return values.map((value, i) => {
      const row = Math.floor(i / width) * width
      return value / values.slice(row, row + width).reduce((sum, next) => sum + next, 0)
    })
  },
})

/** The elements of an input, rounded to what its dtype holds. */
export function valuesOf({ shape, type, fill }: InputSpec, seed: number): number[] {
  const size = shape.reduce((product, n) => product * n, 1)
  const values = fill(new Random(seed), size)
  return values.map((value) => (type === 'float' ? Math.fround(value) : value))
}

/** A seed from a name (FNV-1a), so that a new row in the table changes no other. */
export function seedOf(name: string): number {
  let hash = 0x811c9dc5
  for (const letter of name) hash = Math.imul(hash ^ (letter.codePointAt(0) ?? 0), 0x01000193) >>> 0
  return hash
}
