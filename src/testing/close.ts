import { DfdtError } from '../tensor/errors.js'

/** A check of `dfdt/testing` failed: two values differ by more than their tolerance. */
export class AssertionError extends DfdtError {
  readonly code = 'ASSERTION'
}

/** Numbers in any form a test has them: one, a typed array, nested arrays; booleans count as 0 and 1. */
export type NumberArray = number | boolean | ArrayLike<number | boolean> | readonly NumberArray[]

/** Options of `assertClose`. */
export interface CloseOptions {
  /** Allowed difference relative to the expected value; 1e-5 if not given. */
  readonly rtol?: number
  /** Allowed absolute difference; 1e-8 if not given. */
  readonly atol?: number
  /** What is compared, to open the message with. */
  readonly name?: string
  /** The shape of the values where they come flat, as from `data()`. */
  readonly shape?: readonly number[]
  /** The seed the values were made from, printed so that a failure can be repeated. */
  readonly seed?: number
}

interface Flat {
  readonly shape: readonly number[]
  readonly values: readonly number[]
}

/**
 * Passes if every element of `actual` is close to its partner: `|a − b| ≤ atol + rtol · |b|`, b being expected.
 * NaN matches NaN and nothing else, an infinity matches the same infinity.
 *
 * Throws: `AssertionError` naming both shapes where they differ, otherwise how many elements are too far off,
 * and of the worst its index, both values, the difference, the tolerances and the seed.
 * Torch: `torch.testing.assert_close(…, equal_nan=True)`, whose defaults depend on the dtype; these are NumPy's.
 * @example assertClose(await x.array(), [[0.5, 1], [2, 3]], { rtol: 1e-6 })
 */
export function assertClose(actual: NumberArray, expected: NumberArray, options: CloseOptions = {}): void {
  const { rtol = 1e-5, atol = 1e-8, name = 'assertClose', seed } = options
  const a = flatten(actual, options.shape)
  const b = flatten(expected, options.shape)
  const from = seed === undefined ? '' : `, seed ${seed}`
  if (String(a.shape) !== String(b.shape)) {
    const message = `${name}: shapes differ: got [${a.shape.join(', ')}], expected [${b.shape.join(', ')}]${from}.`
    throw new AssertionError(message, { shapes: [a.shape, b.shape] })
  }
  // How many times its tolerance each element is off.
  const excess = a.values.map((value, i) => excessOf(value, b.values[i] ?? Number.NaN, rtol, atol))
  const wrong = excess.filter((times) => times > 1).length
  if (wrong === 0) return
  const worst = excess.indexOf(excess.reduce((most, times) => Math.max(most, times), 0))
  const [got = Number.NaN, want = Number.NaN] = [a.values[worst], b.values[worst]]
  const message =
    `${name}: ${wrong} of ${excess.length} elements of shape [${a.shape.join(', ')}] are not close. ` +
    `Worst at [${indexOf(worst, a.shape).join(', ')}]: got ${show(got)}, expected ${show(want)}, ` +
    `difference ${Math.abs(got - want)}; rtol ${rtol}, atol ${atol}${from}.`
  throw new AssertionError(message, { shapes: [a.shape] })
}

function excessOf(a: number, b: number, rtol: number, atol: number): number {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return 0
  if (!Number.isFinite(a) || !Number.isFinite(b)) return Number.POSITIVE_INFINITY
  const difference = Math.abs(a - b)
  const allowed = atol + rtol * Math.abs(b)
  return difference <= allowed ? 0 : Math.max(difference / allowed, 1 + Number.EPSILON)
}

const show = (x: number) => (Object.is(x, -0) ? '-0' : String(x))

function indexOf(position: number, shape: readonly number[]): number[] {
  const index: number[] = []
  for (const size of [...shape].reverse()) {
    index.unshift(position % size)
    position = Math.floor(position / size)
  }
  return index
}

function flatten(data: NumberArray, shape: readonly number[] | undefined): Flat {
  const flat = flattenNested(data)
  const isFlat = shape && flat.shape.length === 1 && flat.values.length === shape.reduce((n, size) => n * size, 1)
  return isFlat ? { shape, values: flat.values } : flat
}

/** Throws `AssertionError` where rows of one array have different shapes. */
function flattenNested(data: NumberArray): Flat {
  if (typeof data === 'number' || typeof data === 'boolean') return { shape: [], values: [Number(data)] }
  const entries = Array.from(data as ArrayLike<NumberArray>)
  if (entries.length > 0 && entries.every((x) => typeof x !== 'object')) {
    return { shape: [entries.length], values: entries.map(Number) }
  }
  const rows = entries.map(flattenNested)
  const inner = rows[0]?.shape ?? []
  const ragged = rows.find(({ shape }) => String(shape) !== String(inner))
  if (ragged) {
    const message = `assertClose: rows of one array have shapes [${inner}] and [${ragged.shape}]; make them equal.`
    throw new AssertionError(message, { shapes: [inner, ragged.shape] })
  }
  return { shape: [rows.length, ...inner], values: rows.flatMap(({ values }) => values) }
}

const float = new Float32Array(1)
const bits = new Int32Array(float.buffer)

/** The place of an f32 among all of them in ascending order; both zeros have place 0. */
function rank(x: number): number {
  float[0] = x
  const word = bits[0] ?? 0
  return word >= 0 ? word : -(word & 0x7fffffff)
}

/**
 * How many f32 steps lie between the f32 nearest `a` and the one nearest `b`: 0 for equal values, for 0 and −0 and
 * for two NaN; ∞ for NaN against a number. From the largest finite value to infinity is one step.
 * @example ulpDistance(1, 1 + 2 ** -23) // 1
 */
export function ulpDistance(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) && Number.isNaN(b) ? 0 : Number.POSITIVE_INFINITY
  return Math.abs(rank(a) - rank(b))
}
