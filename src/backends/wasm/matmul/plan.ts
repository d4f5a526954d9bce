import type { MatmulKernel, Operand } from '../../../kernels/kernel.js'
import { DTypeError } from '../../../tensor/errors.js'
import { collapse } from '../collapse.js'
import { type PointerWord, scratch } from '../launch.js'
import type { Mode } from '../modes.js'
import { columnsOf, type Tile, tiles } from './tile.js'
import { axisWords, words, workspace } from './words.js'

/** Everything a launch of the kernel `matmul` needs but the function itself. */
export interface MatmulPlan {
  /** The argument block; the words in `pointers` are filled when it runs. */
  readonly block: Int32Array
  /** a, b and output are operands 0, 1 and 2; one word is for the scratch memory. */
  readonly pointers: readonly PointerWord[]
  /** Rough time on one thread. */
  readonly nanoseconds: number
  /** Scratch bytes for one thread; its start is aligned to 16. Thread t uses the t-th stretch of this length. */
  readonly workBytes: number
}

/** How operands are read: measured choices, which never change a result. */
export interface MatmulChoices {
  /** Whether the output is computed transposed. */
  readonly turned: boolean
  readonly packA: boolean
  readonly packB: boolean
  /** Needs a B with contiguous columns and an output with contiguous rows. */
  readonly rowByRow: boolean
  readonly kBlock: number
  readonly mBlock: number
  readonly nBlock: number
}

/** One operand as steps in elements over rows, columns and batch axes. */
interface Steps {
  readonly row: number
  readonly column: number
  readonly batch: readonly number[]
}

interface Product {
  readonly batch: readonly number[]
  readonly m: number
  readonly n: number
  readonly k: number
  readonly a: Steps
  readonly b: Steps
  readonly output: Steps
  /** Whether a and b changed places. */
  readonly swapped: boolean
}

/**
 * Chooses how to compute a product: which batch axes are one, whether the output is computed transposed, what is
 * packed, how the work is cut. `choices` overrides the packing and blocking, for tests and measurements.
 *
 * @throws DTypeError when an operand is not f32
 */
export function planMatmul(
  kernel: MatmulKernel,
  mode: Mode,
  choices: Partial<MatmulChoices> = {},
  tile: Tile = tiles[mode.name],
): MatmulPlan {
  for (const { dtype } of [kernel.a, kernel.b, kernel.output]) {
    if (dtype !== 'f32')
      throw new DTypeError(`matmul on the wasm device takes f32, got ${dtype}. Cast the operands to f32.`, {
        op: 'matmul',
      })
  }
  const straight = oriented(batchFolded(stepsOf(kernel)))
  const product = (choices.turned ?? turns(straight, tile)) ? turned(straight) : straight
  const { m, n, k, a, b, output, batch } = product
  const chosen = { ...choose(product, tile), ...choices }
  const mBlock = roundUp(chosen.mBlock, tile.rows)
  const splitRows = m > n
  const units = Math.ceil(splitRows ? m / tile.rows : n / columnsOf(tile))
  const batches = batch.reduce((all, size) => all * size, 1)
  const packed =
    (chosen.packA ? mBlock * chosen.kBlock : 0) +
    (chosen.packB ? roundUp(Math.min(n, chosen.nBlock), columnsOf(tile)) * chosen.kBlock : 0)
  const workBytes = roundUp(workspace.packed + packed * 4, 64) + 64

  const block = new Int32Array(words.firstAxis + batch.length * axisWords.count)
  const set = (values: Partial<Record<keyof typeof words, number>>) => {
    for (const [name, value] of Object.entries(values)) block[words[name as keyof typeof words]] = value
  }
  set({
    workBytes,
    m,
    n,
    k,
    aRow: a.row * 4,
    aColumn: a.column * 4,
    bRow: b.row * 4,
    bColumn: b.column * 4,
    outputRow: output.row * 4,
    outputColumn: output.column * 4,
    packA: Number(chosen.packA),
    packB: Number(chosen.packB),
    rowByRow: Number(chosen.rowByRow),
    strip: Math.floor(stripBytes / 4 / Math.min(m, mBlock)),
    kBlock: chosen.kBlock,
    mBlock,
    nBlock: chosen.nBlock,
    splitRows: Number(splitRows),
    units,
    allUnits: m === 0 || n === 0 ? 0 : units * batches,
    axes: batch.length,
  })
  batch.forEach((size, i) => {
    const at = words.firstAxis + i * axisWords.count
    block[at + axisWords.size] = size
    for (const [name, steps] of [
      ['a', a],
      ['b', b],
      ['output', output],
    ] as const)
      block[at + axisWords[name]] = (steps.batch[i] ?? 0) * 4
  })
  const [first, second] = product.swapped ? [1, 0] : [0, 1]
  const operands = [kernel.a, kernel.b]
  return {
    block,
    pointers: [
      { word: words.a, operand: first, bytes: (operands[first]?.offset ?? 0) * 4 },
      { word: words.b, operand: second, bytes: (operands[second]?.offset ?? 0) * 4 },
      { word: words.output, operand: 2, bytes: kernel.output.offset * 4 },
      { word: words.work, operand: scratch, bytes: 0 },
    ],
    nanoseconds: batches * nanosecondsOf(product, tile, mode),
    workBytes,
  }
}

/** Of the output, before an epilogue is called on it: what stays in a near cache. */
const stripBytes = 32 * 1024
const roundUp = (x: number, step: number): number => Math.ceil(x / step) * step

function stepsOf({ batch, m, n, k, a, b, output }: MatmulKernel): Product {
  const steps = ({ strides }: Operand): Steps => ({
    batch: strides.slice(0, batch.length),
    row: strides[batch.length] ?? 0,
    column: strides[batch.length + 1] ?? 0,
  })
  return { batch, m, n, k, a: steps(a), b: steps(b), output: steps(output), swapped: false }
}

/** Merges batch axes, and takes the last one into the rows or columns where the operands go on in equal steps. */
function batchFolded(p: Product): Product {
  const { shape, strides } = collapse({ shape: p.batch, strides: [p.a.batch, p.b.batch, p.output.batch] })
  const [aBatch = [], bBatch = [], outputBatch = []] = strides
  const merged: Product = {
    ...p,
    batch: shape,
    a: { ...p.a, batch: aBatch },
    b: { ...p.b, batch: bBatch },
    output: { ...p.output, batch: outputBatch },
  }
  const last = shape.length - 1
  const size = shape[last]
  if (size === undefined) return merged
  const without = (steps: Steps): Steps => ({ ...steps, batch: steps.batch.slice(0, last) })
  const rest = {
    ...merged,
    batch: shape.slice(0, last),
    a: without(merged.a),
    b: without(merged.b),
    output: without(merged.output),
  }
  const follows = (steps: Steps, step: number, count: number) => steps.batch[last] === step * count
  if (merged.b.batch[last] === 0) {
    if (p.m === 1) {
      return {
        ...rest,
        m: size,
        a: { ...rest.a, row: aBatch[last] ?? 0 },
        output: { ...rest.output, row: outputBatch[last] ?? 0 },
      }
    }
    if (follows(merged.a, p.a.row, p.m) && follows(merged.output, p.output.row, p.m)) return { ...rest, m: size * p.m }
  }
  if (merged.a.batch[last] === 0) {
    if (p.n === 1) {
      return {
        ...rest,
        n: size,
        b: { ...rest.b, column: bBatch[last] ?? 0 },
        output: { ...rest.output, column: outputBatch[last] ?? 0 },
      }
    }
    if (follows(merged.b, p.b.column, p.n) && follows(merged.output, p.output.column, p.n))
      return { ...rest, n: size * p.n }
  }
  return merged
}

/** Computes the output transposed where its rows, not its columns, are neighbours: `Cᵀ = Bᵀ Aᵀ`. */
function oriented(p: Product): Product {
  // The step along an axis of one element is free.
  const unit = { a: { ...p.a }, b: { ...p.b }, output: { ...p.output } }
  if (p.k === 1) [unit.a.column, unit.b.row] = [1, 1]
  if (p.m === 1) [unit.a.row, unit.output.row] = [1, 1]
  if (p.n === 1) [unit.b.column, unit.output.column] = [1, 1]
  const whole = { ...p, ...unit }
  if (p.output.row !== 1 || (unit.output.column === 1 && p.n > 1)) return whole
  return turned(whole)
}

/** The product computed transposed. */
function turned(p: Product): Product {
  const turn = ({ batch, row, column }: Steps): Steps => ({ batch, row: column, column: row })
  return { ...p, m: p.n, n: p.m, a: turn(p.b), b: turn(p.a), output: turn(p.output), swapped: !p.swapped }
}

/**
 * Whether a few rows times a B stored by columns, as in a layer, is better computed transposed: B, then on the left, is read
 * where it is, and what is packed is the smaller A. Each element of the output is then copied once, which costs four times
 * as much as packing one.
 */
function turns({ m, n, k, a, b }: Product, tile: Tile): boolean {
  const few = m * (k + 4 * n) < n * k
  return tile.fma && m > 2 && few && b.row === 1 && b.column !== 1 && (a.column === 1 || a.row === 1)
}

function choose({ m, n, k, a, b, output }: Product, tile: Tile): Omit<MatmulChoices, 'turned'> {
  const directA = a.column === 1 || a.row === 1
  const directB = b.column === 1
  const rowByRow = m <= (tile.fma ? 2 : 1) && b.row === 1 && !directB && output.column === 1
  // Measured: without FMA a packed A, whose addresses need no arithmetic, pays early; with it only for large blocks,
  // earlier where a transposed A jumps from one k to the next.
  const plain = m >= 32 && n >= 64 && k >= 32
  const large = a.column === 1 ? m >= 192 && n >= 192 && k >= 64 : m >= 96 && n >= 128
  const packA = !rowByRow && (!directA || (tile.fma ? large : plain))
  const packB = !rowByRow && (!directB || (tile.fma ? m >= 48 && m * n * k > 128 ** 3 : plain))
  // Blocks of about 256 steps and 240 rows, of equal sizes; one row never comes back to the output.
  const cut = (length: number, size: number) => Math.max(1, Math.ceil(length / Math.max(1, Math.round(length / size))))
  if (output.column !== 1 && output.row === 1) {
    // An output that is copied gets whole sums; rows of A stay in the cache for all panels of B.
    const kBlock = cut(k, 1024)
    return { packA, packB, rowByRow, kBlock, mBlock: roundUp(cut(m, 65536 / kBlock), tile.rows), nBlock: 2048 }
  }
  return {
    packA,
    packB,
    rowByRow,
    kBlock: m === 1 && !packB ? Math.max(1, k) : cut(k, 256),
    mBlock: roundUp(cut(m, 240), tile.rows),
    nBlock: 2048,
  }
}

/** Floating-point operations per nanosecond of whole tiles. */
const speed = { plain: 35, fma: 45, '256': 85 } as const

function nanosecondsOf({ m, n, k, b }: Product, tile: Tile, mode: Mode): number {
  const operations = 2 * m * roundUp(n, columnsOf(tile)) * k
  // Reading B costs time of its own, which shows where a row of it serves few rows; turning it round twice that.
  const reading = (b.column === 1 ? 0.06 : 0.12) * n * k
  return 60 + operations / speed[mode.name] + reading
}
