import { input } from '../kernels/expr.js'
import { GradientError } from '../shapes/errors.js'
import { mapTensors } from '../ops/define.js'
import { along, scattered } from '../ops/index/rows.js'
import { concatRecord } from '../ops/movement/concat.js'
import { packed, reshaped } from '../ops/movement/views.js'
import type { TensorRecord } from '../tensor/record.js'
import { scope } from '../tensor/scope.js'
import { withoutTape } from '../tensor/tape.js'

/** What lookups of a table add to its gradient: a row of `values`, `[n, …row]`, for each index, `[n]`. */
export interface Lookup {
  readonly index: TensorRecord
  readonly values: TensorRecord
}

/**
 * The gradient of a table of which some rows were looked up: those rows, once for each lookup, instead of a tensor as
 * large as the table. Rows that were looked up several times are added up in the order of the lookups, also when it is
 * made a tensor.
 */
export class RowGradient {
  readonly shape: readonly number[]
  /** Of the indices, which rows are changed by: nobody looks at them again. */
  readonly #versions: readonly number[]
  readonly #lookups: readonly Lookup[]
  #dense: TensorRecord | undefined

  constructor(shape: readonly number[], lookups: readonly Lookup[]) {
    this.shape = shape
    this.#lookups = lookups
    this.#versions = lookups.map(({ index }) => index.version)
  }

  /** From the gradient of what `index` has looked up. Keeps views of both. */
  static of(shape: readonly number[], index: TensorRecord, dy: TensorRecord): RowGradient {
    const listed = scope(() => {
      const whole = packed(index)
      return {
        index: whole.view({ shape: [whole.size], strides: [1] }),
        values: reshaped(dy, [whole.size, ...shape.slice(1)]),
      }
    })
    return new RowGradient(shape, [listed])
  }

  /** Both, one after another; they are this one's from now on. */
  plus(other: RowGradient): RowGradient {
    this.#dense?.dispose()
    other.#dense?.dispose()
    return new RowGradient(this.shape, [...this.#lookups, ...other.#lookups])
  }

  /** Rows that were looked up, those looked up twice counted twice. */
  get count(): number {
    return this.#lookups.reduce((sum, { index }) => sum + index.size, 0)
  }

  /** All lookups as one. */
  listed(): Lookup {
    if (this.#lookups.some(({ index }, i) => index.version !== this.#versions[i])) {
      const remedy = 'use gradients before the indices of their lookups change'
      throw new GradientError(`These gradients are gone: indices were changed in place since backward(); ${remedy}.`)
    }
    const [only, ...more] = this.#lookups
    if (only && more.length === 0) return only
    return {
      index: concatRecord(
        this.#lookups.map(({ index }) => signed(index)),
        0,
      ),
      values: concatRecord(
        this.#lookups.map(({ values }) => values),
        0,
      ),
    }
  }

  /** As a tensor of the table's shape, 0 elsewhere; it lives as long as this does. */
  dense(): TensorRecord {
    if (this.#dense && !this.#dense.disposed) return this.#dense
    this.#dense = this.#scattered()
    this.#dense.leaveScope()
    return this.#dense
  }

  /** As a tensor of its own; this is used up. */
  toTensor(): TensorRecord {
    const made = this.#scattered()
    this.dispose()
    return made
  }

  #scattered(): TensorRecord {
    return withoutTape(() =>
      scope(() => {
        const { index, values } = this.listed()
        return scattered('backward', values, index, along(this.shape, 0, index.size), this.shape)
      }),
    )
  }

  /** The tensors that it is made of. */
  held(): readonly TensorRecord[] {
    const lookups = this.#lookups.flatMap(({ index, values }) => [index, values])
    return this.#dense ? [...lookups, this.#dense] : lookups
  }

  get disposed(): boolean {
    return this.held().some(({ disposed }) => disposed)
  }

  dispose(fate?: string): void {
    for (const record of this.held()) record.dispose(fate)
  }
}

const signed = (index: TensorRecord): TensorRecord =>
  index.dtype === 'i32' ? index : mapTensors(input(0, index.dtype).cast('i32'), [index])
