import type { Kernel } from '../../kernels/kernel.js'

/** What a buffer holds before the run. `bool` is u32, 0 or 1; `f16` and `bf16` are bits, so results in them are no NaN. */
export type Contents = Float64Array | Float32Array | Int32Array | Uint32Array | Uint16Array

/** A run whose result may stand for the case's own. */
export interface Variant {
  readonly kernel: Kernel
  readonly buffers: readonly Contents[]
}

/**
 * How near a backend's result must be to the reference's. NaN always matches NaN; where an f32 denormal is
 * expected, 0 passes too.
 */
export type Tolerance =
  /** The same number, the sign of zero included: copies, + − × ÷ √, comparisons, casts, integers. */
  | { readonly kind: 'exact' }
  /** The same number; 0 and −0 are equal: extremes and sums that are exact in any order. */
  | { readonly kind: 'equal' }
  /** At most so many units in the last place away: transcendental functions. */
  | { readonly kind: 'ulp'; readonly ulp: number }
  /**
   * `|a − b| ≤ terms · ε · Σ |term|`, ε being half a unit in the last place of 1: what summing in any order may lose.
   * The reference computes `Σ |term|` by running `magnitudes`.
   */
  | { readonly kind: 'sum'; readonly terms: number; readonly magnitudes: Variant }

/** One run of one kernel, with everything it needs. */
export interface ConformanceCase {
  /** `kind/what`, unique. */
  readonly name: string
  readonly kernel: Kernel
  /** One per operand, in the order of `Backend.run`. The same array given twice is one buffer bound twice. */
  readonly buffers: readonly Contents[]
  readonly scalars: readonly number[]
  readonly tolerance: Tolerance
  /** Other results that are right as a whole: what a mode without FMA computes, or one that flushes denormals. */
  readonly orElse?: readonly Variant[]
  /** The run must throw a `ShapeError` and leave every buffer as it was. */
  readonly mustThrow?: true
}

export const exact: Tolerance = { kind: 'exact' }
export const equal: Tolerance = { kind: 'equal' }
export const ulps = (ulp: number): Tolerance => ({ kind: 'ulp', ulp })
