import { type Expr, input, scalar } from '../kernels/expr.js'
import type { MapKernel } from '../kernels/kernel.js'
import { mapInto, mapTensors } from '../ops/define.js'
import { mapRows, rowsAt, setRows } from '../ops/index/map-rows.js'
import { repeated } from '../ops/movement/views.js'
import { fillTensor } from '../tensor/fill.js'
import type { Scalars } from '../tensor/recorder.js'
import { emptyTensor, type TensorRecord } from '../tensor/record.js'
import { scope } from '../tensor/scope.js'
import { type BlendOptions, blendDType, blended } from './blend.js'
import type { Kept } from './prepare.js'

/** The blend that a ledger puts off, and the tensors that it is of. */
export interface Booked extends Pick<BlendOptions, 'precision' | 'skipNonFinite'> {
  readonly target: TensorRecord
  readonly source: TensorRecord
  readonly kept: Kept
  readonly next: BlendOptions['rule']['next']
}

/**
 * What a lazy shadow has put off of a table whose source changes row by row: for each row the sum of log(1 − τ) over the
 * blends that it has had. A row is `total − sum` behind, so that a blend which is put off costs nothing at all, and a step
 * that changes a few rows has these blended first.
 *
 * Sums are kept in two parts, to the precision of two f32: differences of large sums are as good as small ones.
 */
export class Ledger {
  /** Of the sums. */
  readonly dtype: 'f32' | 'f64'
  readonly high: TensorRecord
  readonly low: TensorRecord
  readonly #booked: Booked
  readonly #weights: readonly Expr[]
  readonly #states: readonly TensorRecord[]
  readonly #writes: readonly TensorRecord[]
  readonly #exprs: readonly Expr[]

  /** No row is behind anything yet. */
  constructor(booked: Booked) {
    const { target, source, kept, next, precision, skipNonFinite } = booked
    this.#booked = booked
    const dtype = blendDType(target.dtype)
    this.dtype = dtype
    const [size = 0] = target.shape
    this.high = emptyTensor(target.device, dtype, [size], 'buffer')
    this.low = emptyTensor(target.device, dtype, [size], 'buffer')
    this.clear()
    this.#weights = weights(dtype)
    const tensors: Kept = { ...kept, target, source }
    const named = (name: string): TensorRecord => tensors[name] ?? target
    // After target, source and what rounding has lost.
    const first = precision === 'kahan' ? 3 : 2
    const { states, writes, exprs } = blended({
      rule: { state: {}, next },
      types: { target: target.dtype, source: source.dtype },
      precision,
      skipNonFinite,
      numbers: [0, 1, 2, 3].map((i) => input(first + i, dtype)),
      measured: {},
      randomSlot: 0,
    })
    this.#states = states.map(named)
    this.#writes = writes.map(named)
    this.#exprs = exprs
  }

  /** Blends some rows up to `total`: those that `index` names, which are in range. `random` is a key, where one is needed. */
  settleRows(index: TensorRecord, total: Scalars, random: Scalars): void {
    const { target, source } = this.#booked
    scope(() => {
      const weights = this.#weightsOf(rowsAt(this.high, index), rowsAt(this.low, index), total)
      const reads = [target, source, ...this.#states].map((table) => ({ table }))
      const listed = weights.map((each) => ({ listed: each }))
      mapRows({ index, reads: [...reads, ...listed], exprs: this.#exprs, writes: this.#writes, scalars: random })
      const sum = (part: number) => this.#filled(emptyTensor(target.device, this.dtype, index.shape), part, total)
      setRows(this.high, index, sum(0))
      setRows(this.low, index, sum(1))
    })
  }

  /** Blends all rows up to `total`. */
  settle(total: Scalars, random: Scalars): void {
    const { target, source } = this.#booked
    const { shape, device } = target
    scope(() => {
      const axes = shape.map((_, axis) => axis).slice(1)
      const numbers = this.#weightsOf(this.high, this.low, total).map((each) => repeated(each, shape, axes))
      const inputs = [target, source, ...this.#states, ...numbers]
      const operands = (tensors: readonly TensorRecord[]) => tensors.map((each) => each.operand())
      const kernel: MapKernel = {
        kind: 'map',
        shape,
        inputs: operands(inputs),
        outputs: operands(this.#writes),
        exprs: this.#exprs,
      }
      for (const { storage } of this.#writes) storage.settleReaders()
      const storages = [...inputs, ...this.#writes].map(({ storage }) => storage)
      device.run(kernel, storages, random)
      for (const { storage } of this.#writes) storage.changed()
      this.#filled(this.high, 0, total)
      this.#filled(this.low, 1, total)
    })
  }

  /** All sums begin anew. */
  clear(): void {
    fillTensor(this.high, 0)
    fillTensor(this.low, 0)
  }

  /** The numbers of a blend for each sum. */
  #weightsOf(high: TensorRecord, low: TensorRecord, total: Scalars): readonly TensorRecord[] {
    return this.#weights.map((expr) => mapTensors(expr, [high, low], total))
  }

  #filled(output: TensorRecord, part: number, total: Scalars): TensorRecord {
    return mapInto(output, scalar(part, output.dtype), [], total)
  }

  dispose(): void {
    this.high.dispose()
    this.low.dispose()
  }
}

/**
 * What rows that are as far behind as two sums differ are blended with: `1 − e^d` and `−e^d`, and what the exponent's
 * rounding has lost of both.
 */
function weights(dtype: 'f32' | 'f64'): readonly Expr[] {
  const [high, low] = [scalar(0, dtype).sub(input(0, dtype)), scalar(1, dtype).sub(input(1, dtype))]
  const behind = high.add(low)
  const keep = behind.exp()
  const rest = keep.mul(low.sub(behind.sub(high))).neg()
  return [behind.expm1().neg(), keep.neg(), rest, rest]
}
