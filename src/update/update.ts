import { zipModels } from '../model/compare.js'
import type { PathPattern, SameTree, SrcArg } from '../model/paths.js'
import { hasTensors, tensorsOf } from '../model/walk.js'
import { DTypeError, OptionError } from '../shapes/errors.js'
import type { Device } from '../tensor/device.js'
import { describe, recordOf, type TensorRecord } from '../tensor/record.js'
import type { Tensor } from '../tensor/tensor.js'
import { type NonFinitePolicy, nonFinitePolicies } from './blend.js'
import { requireFinite } from './finite.js'
import { once, requireRule, type UpdateRule } from './define.js'
import { answered, requireFunction, requireOneOf, requireOptions } from './options.js'
import { type Prepared, prepare } from './prepare.js'
import { requireSelection, type Selection, selecting, treat } from './treatment.js'

/** Two models of one structure. */
export interface UpdatePair<A, B> {
  /** The model that changes. */
  readonly target: A
  /** The model it learns from; only a few rules write it. */
  readonly source: SrcArg<SameTree<A, B>, B>
}

/** When an update happens, and to what. */
export interface UpdateOptions<P extends string = string> extends Selection<P> {
  /** A bool of this very step, such as `loss.lt(best)`: the update happens where it holds, read by the program itself. */
  readonly if?: Tensor<[], 'bool'>
  /** Asked by the host before each update: `() => step >= 1000 && step % 10 === 0`. */
  readonly when?: () => boolean
  /** What becomes of NaN and infinity in the source. Default `propagate`. */
  readonly nonFinite?: NonFinitePolicy
}

/**
 * Updates one model from another, in place, in one pass over all their tensors: parameters by the rule, buffers copied
 * unless `{ buffers }` says otherwise. Tensors are matched by path, shape and dtype, when compiling and again before
 * anything is written. Tied tensors are updated once. An update whose condition does not hold reads and writes nothing.
 *
 * `only`, `except` and `where` choose tensors by path or predicate. Rules that count or keep state need `follow`.
 *
 * Throws: `ShapeError` listing every difference between the two models, and memory they share; `OptionError` when a
 * pattern matches nothing, or the rule needs `follow`.
 * Torch: `AveragedModel.update_parameters`, which does not check.
 * @example update({ target: teacher, source: student }, ema({ decay: 0.999 }))
 * @example update({ target: teacher, source: student }, ema({ tau: 0.01 }), { only: ['encoder.*'] })
 * @example update({ target: best, source: model }, copy(), { if: loss.lt(lowest) })
 */
export function update<A extends object, B extends object>(
  models: UpdatePair<A, B>,
  rule: UpdateRule<'stateless'>,
  options: UpdateOptions<PathPattern<NoInfer<A>>> = {},
): void {
  requireArguments(models, rule)
  requireOptions('update', options, names)
  requireFunction('update', 'when', options.when)
  const prepared = preparedFor(models.target, models.source as object, rule, options)
  const { device } = prepared
  if (!device) return
  conditionally(device, options, () => prepared.run(rule.scalars(once)))
  if (options.nonFinite === 'error') device.afterRun(() => requireFinite('update', prepared))
}

/** Runs `body` where the conditions hold. */
export function conditionally(
  device: Device,
  { if: flag, when }: Pick<UpdateOptions, 'if' | 'when'>,
  body: () => void,
): void {
  if (typeof flag === 'boolean')
    throw new OptionError(
      `update: { if } takes a bool scalar, a tensor, got ${flag}; what the host knows is asked by { when: () => … }.`,
    )
  const decided = flag === undefined ? body : () => onFlag(recordOf(flag), body)
  if (when) device.when(() => answered('update', when()), decided)
  else decided()
}

function onFlag(flag: TensorRecord, run: () => void): void {
  if (flag.dtype !== 'bool' || flag.size !== 1) {
    const message = `update: { if } takes a bool scalar, got a ${describe(flag)}; compare a scalar, as in loss.lt(best).`
    throw new DTypeError(message, { op: 'update' })
  }
  flag.device.whenTrue(flag.storage, flag.offset, run)
}

const names = [...selecting, ...(['if', 'when', 'nonFinite'] as const satisfies (keyof UpdateOptions)[])]

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null

/** What callers without types may get wrong. */
function requireArguments(models: { readonly target: unknown; readonly source: unknown }, rule: UpdateRule): void {
  if (!isObject(models) || !isObject(models.target) || !isObject(models.source)) {
    const form = 'update({ target: teacher, source: student }, ema({ decay: 0.999 }))'
    throw new OptionError(`update: needs two models and a rule, as in ${form}.`, { op: 'update' })
  }
  requireRule('update', rule)
  if (rule.kind === 'stateless') return
  const remedy = `follow(source, ${rule.name}(…)) keeps them`
  throw new OptionError(`update: this ${rule.name} counts its updates or keeps state; ${remedy}.`, { op: 'update' })
}

/** An update with the tensors that it was made for. */
interface Remembered {
  readonly targets: readonly TensorRecord[]
  readonly sources: readonly TensorRecord[]
  readonly prepared: Prepared
}

/** Of two models; those that have not been asked for longest go. */
const mostRemembered = 16

/** By target, source and rule: checking and matching two large models takes longer than blending small ones. */
const remembered = new WeakMap<object, WeakMap<object, Map<string, Remembered>>>()

function preparedFor(target: object, source: object, rule: UpdateRule, selection: UpdateOptions): Prepared {
  const ofTarget = remembered.get(target) ?? new WeakMap<object, Map<string, Remembered>>()
  remembered.set(target, ofTarget)
  const ofPair = ofTarget.get(source) ?? new Map<string, Remembered>()
  ofTarget.set(source, ofPair)
  const { only, except, buffers, frozen, where, nonFinite } = selection
  // What a predicate says, and what is frozen, may change from call to call.
  const varies = where !== undefined || (frozen !== undefined && frozen !== 'blend')
  const treatments = () => treat('update', target, zipModels('update', target, source), rule, selection)
  if (varies) requireSelection('update', selection)
  const now = varies ? treatments() : undefined
  const ways = `${rule.treatment} ${rule.key} ${String(only)} ${String(except)} ${buffers} ${nonFinite}`
  const key = now ? `${ways} ${now.map(({ treatment }) => treatment).join()}` : ways
  const known = ofPair.get(key)
  if (known && hasTensors(target, known.targets) && hasTensors(source, known.sources)) return known.prepared
  requireSelection('update', selection)
  requireOneOf('update', 'nonFinite', nonFinite, nonFinitePolicies)
  const treated = now ?? treatments()
  const plain = { precision: 'plain', nonFinite: selection.nonFinite ?? 'propagate', metrics: false } as const
  const prepared = prepare({ treated, rule, ...plain, kept: () => ({}) })
  const all = (model: object) => tensorsOf(model).map(({ tensor }) => tensor)
  ofPair.delete(key)
  ofPair.set(key, { targets: all(target), sources: all(source), prepared })
  const [oldest] = ofPair.keys()
  if (ofPair.size > mostRemembered && oldest !== undefined) ofPair.delete(oldest)
  return prepared
}
