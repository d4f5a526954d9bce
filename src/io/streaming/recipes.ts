import { type Expr, input, scalar } from '../../kernels/expr.js'
import { type DType, isHalf } from '../../shapes/dtype.js'
import { once, type UpdateRule } from '../../update/define.js'
import { spreadOf } from '../../update/weighted-sum.js'
import type { Wide } from './float-bytes.js'
import type { Step } from './workspace.js'

/** How a tensor of the result comes from those of the models. */
export interface Recipe {
  /** The models whose tensors are read, in the order of the buffers. */
  readonly sources: readonly number[]
  /** Names of the tensors read from them, where they are not that of the result. */
  readonly names?: readonly string[]
  /** Buffers needed besides those of the sources. */
  readonly scratch?: number
  readonly steps: readonly Step[]
  /** The buffer that holds the result, written by the last step if there is one. */
  readonly result: number
}

/** The tensor of one model as it is: no arithmetic, so NaN elsewhere does not leak through a weight of 0. */
export const copyOf = (model: number): Recipe => ({ sources: [model], steps: [], result: 0 })

/** The rule's own expression over two buffers: the arithmetic of `update` on models that are loaded. */
function ruleStep(rule: UpdateRule<'stateless'>, target: number, source: number): Step {
  const scalars = rule.scalars(once)
  const slots = (dtype: 'f32' | 'f64') => scalars.map((_, slot) => scalar(slot, dtype))
  return {
    expr: (dtype) => rule.next({ target: input(0, dtype), source: input(1, dtype) }, slots(dtype), {}).target,
    reads: [target, source],
    write: target,
    scalars,
  }
}

/** What `rule` makes of the first model when the others follow as its sources, one after another. */
export function sequenceOf(rule: UpdateRule<'stateless'>, models: number): Recipe {
  if (rule.treatment === 'skip') return copyOf(0)
  if (rule.treatment === 'copy') return copyOf(models - 1)
  const all = Array.from({ length: models }, (_, model) => model)
  return { sources: all, steps: all.slice(1).map((source) => ruleStep(rule, 0, source)), result: 0 }
}

/**
 * `Σ w_i x_i` for weights that add up to 1, the arithmetic of `average` on models that are loaded: the first model plus
 * weighted differences from it, so that equal models stay equal bit for bit. A model of weight 0 is not read.
 */
export function weightedSum(weights: readonly number[]): Recipe {
  const used = weights.flatMap((weight, model) => (weight === 0 ? [] : [{ weight, model }]))
  const steps = used.slice(1).map(({ weight }, i): Step => {
    // The sum takes the place of the second model, for the first is needed to the end.
    return { expr: addedDifference, reads: [0, i + 1, i === 0 ? 0 : 1], write: 1, scalars: [weight] }
  })
  return { sources: used.map(({ model }) => model), steps, result: Math.min(1, steps.length) }
}

const addedDifference: Step['expr'] = (dtype) =>
  scalar(0, dtype).fma(input(1, dtype).sub(input(0, dtype)), input(2, dtype))

/**
 * The running variance of all data together, `Σ w_i (x_i + (mean_i − mean)²)`, as `average` pools it: within and between the
 * models. The mean is worked out again, and rounded as it is `stored`.
 */
export function pooledVariance(weights: readonly number[], names: PooledNames): Recipe {
  const used = weights.flatMap((weight, model) => (weight === 0 ? [] : [{ weight, model }]))
  const models = used.map(({ model }) => model)
  const [first = 0, ...others] = models
  if (others.length === 0) return copyOf(first)
  const count = used.length
  const centre = 2 * count
  const means = used.slice(1).map(({ weight }, i): Step => {
    return {
      expr: addedDifference,
      reads: [count, count + i + 1, i === 0 ? count : centre],
      write: centre,
      scalars: [weight],
    }
  })
  const spreads = used.slice(1).map(({ weight }, i): Step => {
    const reads = [0, count, i + 1, count + i + 1, centre, ...(i === 0 ? [] : [1])]
    return { expr: (dtype) => addedSpread(dtype, names.stored, i > 0), reads, write: 1, scalars: [weight] }
  })
  return {
    sources: [...models, ...models],
    names: [...models.map(() => names.variance), ...models.map(() => names.mean)],
    scratch: 1,
    steps: [...means, ...spreads],
    result: 1,
  }
}

/** The tensors of a running variance and its mean, and the dtype that the result has of the mean. */
interface PooledNames {
  readonly variance: string
  readonly mean: string
  readonly stored: DType
}

function addedSpread(dtype: Wide, stored: DType, going: boolean): Expr {
  const read = (slot: number) => input(slot, dtype)
  const centre = dtype === 'f32' && isHalf(stored) ? read(4).cast(stored).cast(dtype) : read(4)
  const [first, next] = [spreadOf(read(0), read(1), centre), spreadOf(read(2), read(3), centre)]
  return scalar(0, dtype).fma(next.sub(first), going ? read(5) : first)
}

/** What spherical interpolation must know of two tensors, seen as vectors. */
export interface Angle {
  readonly dot: number
  readonly norms: readonly [number, number]
}

/** Vectors closer than this, by their cosine, are interpolated along the line between them. */
const nearlyParallel = 0.9995

/**
 * `sin((1 − t)θ)/sin θ · a + sin(tθ)/sin θ · b`, θ being the angle between the tensors seen as vectors; `line` where they
 * are nearly parallel, or one is zero, and the formula would divide by nearly nothing.
 */
export function sphericalOf(t: number, { dot, norms: [a, b] }: Angle, line: Recipe): Recipe {
  const cosine = dot / (a * b)
  if (!(Math.abs(cosine) <= nearlyParallel)) return line
  const angle = Math.acos(cosine)
  const scalars = [1 - t, t].map((share) => Math.sin(share * angle) / Math.sin(angle))
  return { sources: [0, 1], steps: [{ expr: twoProducts, reads: [0, 1], write: 0, scalars }], result: 0 }
}

const twoProducts: Step['expr'] = (dtype) =>
  scalar(1, dtype).fma(input(1, dtype), scalar(0, dtype).mul(input(0, dtype)))
