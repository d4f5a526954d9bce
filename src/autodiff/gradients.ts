import { GradientError } from '../shapes/errors.js'
import { describe, recordOf, TensorRecord } from '../tensor/record.js'
import { HELD } from '../tensor/scope.js'
import type { Entry, RowGradient } from '../tensor/tape.js'

/** Of a parameter: a tensor of its shape, or the rows of it that were looked up. */
export type Gradient = TensorRecord | RowGradient

/** A gradient that was not computed because nobody had asked for it yet: of an input rather than a parameter. */
export interface Deferred {
  readonly entry: Entry
  readonly slot: number
  readonly dy: TensorRecord
}

/** What a backward leaves to be finished on demand. */
export interface Rest {
  /** Tape entries that no parameter took part in, latest first. */
  readonly entries: readonly Entry[]
  readonly deferred: readonly Deferred[]
  /** Finishes: returns the gradients of the traced inputs. */
  run(): Map<TensorRecord, TensorRecord>
  release(): void
  /** The tensors that `run` will need. */
  held(): readonly TensorRecord[]
}

/**
 * The run time of the interface `Gradients`: a value, not a field on tensors. Gradients of parameters are
 * there at once; those of traced inputs are worked out when they are first asked for.
 */
export class GradientMap {
  #leaves: Map<TensorRecord, Gradient>
  #rest: Rest | undefined
  #consumed: string | undefined

  constructor(leaves: Map<TensorRecord, Gradient>, rest: Rest | undefined) {
    this.#leaves = leaves
    this.#rest = rest
  }

  get(tensor: unknown): TensorRecord {
    const record = recordOf(tensor)
    const found = this.find(record)
    if (found) return found
    const why = record.frozen
      ? 'it is frozen'
      : record.source || record.role === 'parameter'
        ? 'the loss does not depend on it'
        : record.tape === 'taped'
          ? 'it is an intermediate result; only parameters and traced inputs have gradients'
          : 'it is neither a parameter nor was it traced: call .trace() on it before computing the loss'
    throw new GradientError(`gradients.get: no gradient for this ${describe(record)}: ${why}.`, { op: 'get' })
  }

  /** The gradient of a leaf as a tensor, or undefined. */
  find(leaf: TensorRecord): TensorRecord | undefined {
    const found = this.arrived(leaf)
    return found && !(found instanceof TensorRecord) ? found.dense() : found
  }

  /** The gradient of a leaf as it has arrived, or undefined. */
  arrived(leaf: TensorRecord): Gradient | undefined {
    if (this.#consumed) throw new GradientError(`These gradients are gone: ${this.#consumed}.`, { op: 'get' })
    const key = leaf.source ?? leaf
    const found = this.#leaves.get(key)
    if (found || !this.#rest || (leaf.role === 'parameter' && !leaf.frozen)) return found
    const rest = this.#rest
    this.#rest = undefined
    for (const [input, gradient] of rest.run()) this.#leaves.set(input, gradient)
    rest.release()
    return this.#leaves.get(key)
  }

  /** Hands the gradients of the leaves to a later backward, which adds to them. */
  take(): Map<TensorRecord, Gradient> {
    if (this.#consumed) throw new GradientError(`These gradients are gone: ${this.#consumed}.`, { op: 'backward' })
    const leaves = this.#leaves
    this.#leaves = new Map()
    this.dispose('a later backward({ accumulate }) took them over; use what it returned')
    return leaves
  }

  /** What a scope that returns these gradients must keep. */
  [HELD](): readonly TensorRecord[] {
    const leaves = [...this.#leaves.values()].flatMap((leaf) => (leaf instanceof TensorRecord ? leaf : leaf.held()))
    return [...leaves, ...(this.#rest?.held() ?? [])]
  }

  toString(): string {
    if (this.#consumed) return `Gradients (gone: ${this.#consumed})`
    const shapes = [...this.#leaves.values()].map(({ shape }) => `[${shape.join(', ')}]`)
    return `Gradients of ${shapes.length} tensors: ${shapes.join(' ')}`
  }
  /** What Node prints for console.log(gradients). */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }

  dispose(fate = 'dispose() was called'): void {
    this.#consumed ??= fate
    for (const gradient of this.#leaves.values()) gradient.dispose(fate)
    this.#leaves.clear()
    this.#rest?.release()
    this.#rest = undefined
  }
}
