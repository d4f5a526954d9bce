import { type Expr, index as position } from '../../kernels/expr.js'
import type { MapKernel } from '../../kernels/kernel.js'
import type { Scalars } from '../../tensor/recorder.js'
import { emptyTensor, type TensorRecord } from '../../tensor/record.js'
import { scope } from '../../tensor/scope.js'
import { mapInto } from '../define.js'
import { filled } from '../fill.js'
import { repeated } from '../movement/views.js'
import { along, gathered, type Rows, scatterInto } from './rows.js'

/** The rows of a table before the change; or `[n, …row]`, `[n]` for one number a row, equal for equal indices. */
export type RowOperand = { readonly table: TensorRecord } | { readonly listed: TensorRecord }

/** Changes of the rows of some tables, in place; others are neither read nor written. */
export interface RowsPass {
  /** `[n]`, of rows that were looked up before, so that all are in range. A row may be named several times: it is changed once, since each time gives the same. */
  readonly index: TensorRecord
  /** What the slots of the expressions are. */
  readonly reads: readonly RowOperand[]
  readonly exprs: readonly Expr[]
  /** For each expression the table that it goes to. */
  readonly writes: readonly TensorRecord[]
  readonly scalars?: Scalars
}

/** How rows that were looked up before lie in their table. */
const known = ({ shape }: TensorRecord, { size }: TensorRecord): Rows => ({ ...along(shape, 0, size), inRange: true })

/** The rows of a table that were looked up before, `[n, …row]`. On no tape. */
export const rowsAt = (table: TensorRecord, index: TensorRecord): TensorRecord =>
  gathered('rows', table, index, known(table, index), [index.size, ...table.shape.slice(1)])

/** Puts the rows of `values`, `[n, …row]`, in place of those of a table; of rows named twice the last stays. */
export function setRows(table: TensorRecord, index: TensorRecord, values: TensorRecord): void {
  const { storage, device } = table
  storage.requireOwn()
  storage.settleRows(index)
  const operands = { source: values.operand(), index: index.operand(), output: table.operand() }
  const kernel = { kind: 'scatter', combine: 'set', ...known(table, index), ...operands } as const
  device.run(kernel, [values.storage, index.storage, storage])
  storage.changed()
}

/** Makes the changes. Counts as a write in place of those rows. */
export function mapRows({ index, reads, exprs, writes, scalars = [] }: RowsPass): void {
  scope(() => {
    const rows = reads.map((read) => ('table' in read ? rowsAt(read.table, index) : read.listed))
    const [first] = rows
    if (!first) return
    const { device, shape } = first
    const axes = shape.map((_, axis) => axis).slice(1)
    const operands = rows.map((each) => (each.rank < shape.length ? repeated(each, shape, axes) : each))
    const results = exprs.map(({ dtype }) => emptyTensor(device, dtype, shape))
    const kernel: MapKernel = {
      kind: 'map',
      shape,
      inputs: operands.map((each) => each.operand()),
      outputs: results.map((each) => each.operand()),
      exprs,
    }
    device.run(
      kernel,
      [...operands, ...results].map(({ storage }) => storage),
      scalars,
    )
    for (const [i, table] of writes.entries()) {
      const result = results[i]
      if (result) setRows(table, index, result)
    }
  })
}

/** For each index the sum of the rows of `values` that have it, in their order; `size` is that of the table. */
export function summedByIndex(index: TensorRecord, values: TensorRecord, size: number): TensorRecord {
  return scope(() => {
    const { device } = index
    const [count = 0] = index.shape
    // Any one of the positions that an index has stands for all of them; nothing else of `owner` is read.
    const owner = emptyTensor(device, 'u32', [size])
    setRows(owner, index, mapInto(emptyTensor(device, 'u32', [count]), position(), []))
    const owners = rowsAt(owner, index)
    const sums = filled(device, values.dtype, values.shape, 0)
    scatterInto('rows', sums, values, owners, known(sums, owners))
    return rowsAt(sums, owners)
  })
}
