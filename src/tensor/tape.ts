import type { Expr } from '../kernels/expr.js'
import type { TensorRecord } from './record.js'
import type { Scalars } from './recorder.js'

/** Gradient of one input from the gradient of the output. Runs with recording off. */
export type Vjp = (dy: TensorRecord) => TensorRecord

/** What lookups of a table add to its gradient: a row of `values`, `[n, …row]`, for each index, `[n]`. */
export interface Lookup {
  readonly index: TensorRecord
  readonly values: TensorRecord
}

/**
 * The gradient of a table of which some rows were looked up: those rows, instead of a tensor as large as the table. It
 * comes with the op that looks up, so that other programs carry none of its code.
 */
export interface RowGradient {
  readonly shape: readonly number[]
  /** Rows that were looked up, those looked up twice counted twice. */
  readonly count: number
  /** Both, one after another; neither is used any more. */
  plus(other: RowGradient): RowGradient
  /** As a tensor of the table's shape, 0 elsewhere; it lives as long as this does. */
  dense(): TensorRecord
  /** As a tensor of its own; this is used up. */
  toTensor(): TensorRecord
  /**
   * Changes the rows that were looked up, of the table and of others of its shape. The slots of the expressions are an
   * element of the table, its gradient, the others; expression j goes to the table, then the others.
   */
  update(exprs: readonly Expr[], table: TensorRecord, others: readonly TensorRecord[], scalars: Scalars): void
  /** Hands over the lookups; this is used up. */
  take(): readonly Lookup[]
  /** The tensors that it is made of. */
  held(): readonly TensorRecord[]
  dispose(fate?: string): void
}

/** One recorded operation. */
export interface Entry {
  readonly sequence: number
  readonly op: string
  readonly output: TensorRecord
  readonly inputs: readonly TensorRecord[]
  /** One per input; undefined where no gradient flows. */
  readonly vjps: readonly (Vjp | undefined)[]
  /** Write counts of the inputs when they were used, to notice changes in place before backward. */
  readonly versions: readonly number[]
  /** Where the output is rows of the first input: its gradient as rows. The vjp makes a tensor as large as the table. */
  readonly rows?: ((dy: TensorRecord) => RowGradient) | undefined
  /** Other tensors that the vjps read; released with the entry. */
  readonly owned: readonly TensorRecord[]
}

let nextSequence = 0

/**
 * What backward() will walk: the operations recorded since `trace()`, in order, and with them the
 * ownership of every intermediate. Tapes of operands merge into one.
 */
export class Tape {
  #entries: Entry[] = []
  #mergedInto: Tape | undefined
  #consumed = false

  /** The tape this one has been merged into, or itself. */
  get root(): Tape {
    let tape: Tape = this
    while (tape.#mergedInto) tape = tape.#mergedInto
    return tape
  }
  get consumed(): boolean {
    return this.root.#consumed
  }
  /** In the order they were recorded. */
  get entries(): readonly Entry[] {
    return this.root.#entries
  }

  record(entry: Omit<Entry, 'sequence' | 'versions'>): void {
    const versions = entry.inputs.map((input) => input.version)
    this.root.#entries.push({ ...entry, versions, sequence: nextSequence++ })
  }

  merge(other: Tape): Tape {
    const [a, b] = [this.root, other.root]
    if (a === b) return a
    const [large, small] = a.#entries.length >= b.#entries.length ? [a, b] : [b, a]
    if (small.#entries.length > 0) {
      large.#entries = [...large.#entries, ...small.#entries].sort((x, y) => x.sequence - y.sequence)
      small.#entries = []
    }
    small.#mergedInto = large
    large.#consumed ||= small.#consumed
    return large
  }

  /** Releases what the entry of `output` owns: nobody will ask for its gradient. */
  abandon(output: TensorRecord): void {
    for (const entry of this.entries) if (entry.output === output) for (const owned of entry.owned) owned.dispose()
  }

  /** Ends the tape; the entries go to whoever walks them. */
  consume(): readonly Entry[] {
    const root = this.root
    const entries = root.#entries
    root.#consumed = true
    root.#entries = []
    return entries
  }
}

let recording = true
export const isRecording = (): boolean => recording

/** Runs `fn` with recording on, inside a gradient: what is computed again there has a tape of its own. */
export function withTape<R>(fn: () => R): R {
  const before = recording
  recording = true
  try {
    return fn()
  } finally {
    recording = before
  }
}

/** Runs `fn` without recording: gradients are computed so, and parameters updated. Torch: `no_grad`. */
export function withoutTape<R>(fn: () => R): R {
  const before = recording
  recording = false
  try {
    return fn()
  } finally {
    recording = before
  }
}
