import { markAverage } from '../model/averaged.js'
import { convertModel } from '../model/clone.js'
import { freeze } from '../model/freeze.js'
import type { PathPattern } from '../model/paths.js'
import { tensorsOf } from '../model/walk.js'
import { type DType, type FloatDType, isFloat, isHalf } from '../shapes/dtype.js'
import { OptionError } from '../shapes/errors.js'
import type { TensorRecord } from '../tensor/record.js'
import { nonFinitePolicies, precisions } from './blend.js'
import { requireTiming, type Timing } from './clock.js'
import { requireRule, type UpdateRule } from './define.js'
import { requireOneOf, requireOptions, written } from './options.js'
import { FollowingShadow, type Shadow, type ShadowOptions } from './shadow.js'
import { given, requireSelection, selecting, selector } from './treatment.js'

/**
 * An average that follows `source`: it owns a copy of the model, counts, schedules, and updates in place whenever
 * `update()` is called, in compiled steps fused with the optimizer. The average takes no gradient, and no optimizer
 * accepts it.
 *
 * `every: k` updates at each k-th call with the weight of k updates, so that half-lives stay what they are; `unit:
 * 'update'` states rates per update instead, `unit: 'sample'` per sample. `after` and `when` say when following begins and
 * whether an update happens; `only`, `except`, `where`, `buffers` and `frozen` to which tensors; `nonFinite` keeps NaN
 * out, `lazy` skips what has not changed, down to rows of an embedding, `metrics` measures the distance on the way.
 *
 * An average of f16 or bf16 weights is f32, because steps of 1 % and less vanish in 8 bits; `dtype` chooses otherwise.
 * `precision: 'kahan'` keeps what rounding loses, as an average of f16 or bf16 does unless told otherwise.
 *
 * Throws: `OptionError` for options out of range, a pattern that matches nothing, and combinations that make no sense.
 * Torch: `swa_utils.AveragedModel(model, multi_avg_fn=…)`, with `update_parameters`.
 * @example
 * const teacher = follow(student, ema({ halfLife: 1000 }))
 * const step = compile((x: Tensor<[32, 784]>, y: Tensor<[32], 'i32'>) => {
 *   const loss = crossEntropy(student.forward(x.trace()), y)
 *   optimizer.step(loss.backward())
 *   teacher.update()
 *   return loss
 * })
 * teacher.model.forward(images)
 * @example follow(student, ema({ decay: 0.9999 }), { dtype: 'bf16' }) // half the memory, compensated
 */
export function follow<M extends object, const D extends FloatDType = never>(
  source: M,
  rule: UpdateRule,
  options: ShadowOptions<PathPattern<NoInfer<M>>, D> = {},
): Shadow<M, D> {
  requireArguments(source, rule)
  requireOptions('follow', options, names)
  requireSelection('follow', options)
  requireTiming('follow', options)
  requirePrecision(options)
  requireSense(rule, options)
  const dtype: FloatDType | undefined = options.dtype
  const dtypeOf = (own: DType): DType => (!isFloat(own) ? own : (dtype ?? (isHalf(own) ? 'f32' : own)))
  const target = convertModel('follow', source, dtypeOf, sharedBy(source, options, dtypeOf))
  freeze(target)
  markAverage(target)
  const precision = options.precision ?? (dtype && isHalf(dtype) ? 'kahan' : 'plain')
  // The typed face of the class says what its model is.
  return new FollowingShadow(source, target, rule, options, precision) as unknown as Shadow<M, D>
}

/** What is not selected, where that stays the memory of the source. */
function sharedBy(source: object, options: ShadowOptions, dtypeOf: (dtype: DType) => DType) {
  const { rest = 'keep' } = options
  const refuse = (message: string): never => {
    throw new OptionError(`follow: ${message}.`, { op: 'follow' })
  }
  requireOneOf('follow', 'rest', rest, ['keep', 'share'])
  if (options.rest === undefined) return undefined
  if (given(options).length === 0) refuse('rest is what only, except or where leave out; give one of them')
  if (rest === 'keep') return undefined
  const selected = selector('follow', source, options)
  const left = tensorsOf(source).filter((one) => selected(one).leftOut !== undefined)
  const other = left.find(({ tensor: { dtype } }) => dtypeOf(dtype) !== dtype)
  if (other) {
    const { dtype } = other.tensor
    refuse(`"${other.path}" cannot be shared: it is ${dtype}, and the average ${dtypeOf(dtype)}; say dtype: '${dtype}'`)
  }
  const tensors = new Set(left.map(({ tensor }) => tensor))
  return (tensor: TensorRecord) => tensors.has(tensor)
}

/** What callers without types may get wrong, and `stochastic` where no bits are cut off. */
function requirePrecision({ dtype, precision }: ShadowOptions): void {
  const refuse = (message: string): never => {
    throw new OptionError(`follow: ${message}.`, { op: 'follow' })
  }
  if (dtype !== undefined && !isFloat(dtype)) refuse(`dtype is one of f64, f32, f16, bf16, got ${String(dtype)}`)
  requireOneOf('follow', 'precision', precision, precisions)
  if (precision === 'stochastic' && !(dtype && isHalf(dtype)))
    refuse("precision: 'stochastic' rounds averages of f16 or bf16; add dtype: 'bf16', or keep small steps by 'kahan'")
}

const names = [
  ...(['every', 'after', 'before', 'when', 'unit'] as const satisfies (keyof Timing)[]),
  ...selecting,
  ...(['nonFinite', 'dtype', 'precision', 'lazy', 'metrics', 'rest'] as const satisfies (keyof ShadowOptions)[]),
]

/** What callers without types may get wrong. */
function requireArguments(source: unknown, rule: unknown): void {
  const refuse = (message: string): never => {
    throw new OptionError(`follow: ${message}.`, { op: 'follow' })
  }
  if (typeof source !== 'object' || source === null) refuse(`needs a model, got ${written(source)}`)
  if (source instanceof FollowingShadow) refuse('follow the average of a shadow by its model: follow(shadow.model, …)')
  requireRule('follow', rule)
}

/** What does not go together. */
function requireSense(rule: UpdateRule, options: ShadowOptions): void {
  const { lazy, nonFinite = 'propagate', metrics } = options
  requireOneOf('follow', 'nonFinite', nonFinite, nonFinitePolicies)
  const refuse = (message: string): never => {
    throw new OptionError(`follow: ${message}.`, { op: 'follow' })
  }
  if (metrics && rule.treatment !== 'blend') refuse(`${rule.name} does not blend at this rate; leave metrics out`)
  if (!lazy) return
  if (!rule.blend) refuse(`${rule.name} cannot be put off; lazy is for ema and its family`)
  if (nonFinite !== 'propagate' && nonFinite !== 'skipElement')
    refuse(`lazy looks at tensors when it has to, too late for nonFinite: '${nonFinite}'; use 'skipElement'`)
  if (metrics) refuse('a lazy shadow does not see every update; leave metrics out')
}
