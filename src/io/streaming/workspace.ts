import type { Expr } from '../../kernels/expr.js'
import type { FloatDType, Wide } from './float-bytes.js'

/** One kernel over the chunks at hand: `buffers[write][i] ← expr(buffers[reads[0]][i], buffers[reads[1]][i], …)`. */
export interface Step {
  readonly expr: (dtype: Wide) => Expr
  readonly reads: readonly number[]
  readonly write: number
  /** In f64; rounded once to the dtype the step runs in. */
  readonly scalars: readonly number[]
}

/** What is made of one chunk of each of several tensors. */
export interface Task {
  readonly steps: readonly Step[]
  /** The buffer that holds the result, written by the last step if there is one. */
  readonly result: number
  /** What the files hold that the buffers are filled from, and what the result is to be. */
  readonly from: readonly FloatDType[]
  readonly to: FloatDType
  readonly count: number
}

/** Buffers of one size in which chunks of tensors meet. */
export interface Workspace {
  /** Where the `count` elements of a buffer must lie before `run`. Memory itself: ask again after anything has run. */
  source(buffer: number, dtype: FloatDType, count: number): Uint8Array
  run(task: Task): void
  /** Where the elements of the result lie after `run`. */
  result(task: Task): Uint8Array
  release(): void
}
