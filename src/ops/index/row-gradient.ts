import { type Expr, input } from '../../kernels/expr.js'
import { GradientError } from '../../shapes/errors.js'
import type { TensorRecord } from '../../tensor/record.js'
import type { Scalars } from '../../tensor/recorder.js'
import { scope } from '../../tensor/scope.js'
import { type Lookup, type RowGradient, withoutTape } from '../../tensor/tape.js'
import { mapTensors } from '../define.js'
import { concatRecord } from '../movement/concat.js'
import { packed, reshaped } from '../movement/views.js'
import { mapRows, summedByIndex } from './map-rows.js'
import { along, scattered } from './rows.js'

/** The rows that were looked up, once for each lookup; added up in their order, also where they are made a tensor. */
export class LookedUpRows implements RowGradient {
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
  static of(shape: readonly number[], index: TensorRecord, dy: TensorRecord): LookedUpRows {
    const listed = scope(() => {
      const whole = packed(index)
      return {
        index: whole.view({ shape: [whole.size], strides: [1] }),
        values: reshaped(dy, [whole.size, ...shape.slice(1)]),
      }
    })
    return new LookedUpRows(shape, [listed])
  }

  plus(other: RowGradient): RowGradient {
    return new LookedUpRows(this.shape, [...this.take(), ...other.take()])
  }

  take(): readonly Lookup[] {
    this.#dense?.dispose()
    return this.#lookups
  }

  get count(): number {
    return this.#lookups.reduce((sum, { index }) => sum + index.size, 0)
  }

  /** All lookups as one. */
  #listed(): Lookup {
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

  dense(): TensorRecord {
    if (this.#dense && !this.#dense.disposed) return this.#dense
    this.#dense = this.#scattered()
    this.#dense.leaveScope()
    return this.#dense
  }

  toTensor(): TensorRecord {
    const made = this.#scattered()
    this.dispose()
    return made
  }

  update(exprs: readonly Expr[], table: TensorRecord, others: readonly TensorRecord[], scalars: Scalars): void {
    scope(() => {
      const { index, values } = this.#listed()
      const listed = summedByIndex(index, values, this.shape[0] ?? 0)
      const reads = [{ table }, { listed }, ...others.map((other) => ({ table: other }))]
      mapRows({ index, reads, exprs, writes: [table, ...others], scalars })
    })
  }

  #scattered(): TensorRecord {
    return withoutTape(() =>
      scope(() => {
        const { index, values } = this.#listed()
        return scattered('backward', values, index, along(this.shape, 0, index.size), this.shape)
      }),
    )
  }

  held(): readonly TensorRecord[] {
    const lookups = this.#lookups.flatMap(({ index, values }) => [index, values])
    return this.#dense ? [...lookups, this.#dense] : lookups
  }

  dispose(fate?: string): void {
    for (const record of this.held()) record.dispose(fate)
  }
}

const signed = (index: TensorRecord): TensorRecord =>
  index.dtype === 'i32' ? index : mapTensors(input(0, index.dtype).cast('i32'), [index])
