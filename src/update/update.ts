import { input } from '../kernels/expr.js'
import { type Pass, prepareForeach, runPass, type Stretch } from '../model/foreach.js'
import { type TensorPair, zipModels } from '../model/compare.js'
import { hasTensors, tensorsOf } from '../model/walk.js'
import type { SameTree, SrcArg } from '../model/paths.js'
import { type DType, isFloat } from '../shapes/dtype.js'
import { DTypeError, OptionError } from '../shapes/errors.js'
import { describe, recordOf, type TensorRecord } from '../tensor/record.js'
import type { Tensor } from '../tensor/tensor.js'
import { type Action, blendExpr, type UpdateRule } from './define.js'

/** Two models of one structure. */
export interface UpdatePair<A, B> {
  /** The model that changes. */
  readonly target: A
  /** The model it learns from; it is only read. */
  readonly source: SrcArg<SameTree<A, B>, B>
}

/** When an update happens. */
export interface UpdateOptions {
  /** A bool of this very step, such as `loss.lt(best)`: the update happens where it holds, read by the program itself. */
  readonly if?: Tensor<[], 'bool'>
  /** Asked by the host before each update: `() => step >= 1000 && step % 10 === 0`. */
  readonly when?: () => boolean
}

/**
 * Updates one model from another, in place, in one pass over all their tensors: parameters by the rule, buffers by
 * the rule's policy. Tensors are matched by path, shape and dtype, when compiling and again before anything is
 * written. Tied tensors are updated once. An update whose condition does not hold reads and writes nothing.
 *
 * Throws: `ShapeError` listing every difference between the two models, and memory they share.
 * Torch: `AveragedModel.update_parameters`, which does not check.
 * @example update({ target: teacher, source: student }, ema({ decay: 0.999 }))
 * @example update({ target: best, source: model }, copy(), { if: loss.lt(lowest) })
 */
export function update<A extends object, B extends object>(
  models: UpdatePair<A, B>,
  rule: UpdateRule,
  options: UpdateOptions = {},
): void {
  requireArguments(models, rule)
  const passes = passesFor(models.target, models.source as object, rule)
  const device = passes[0]?.pass.device
  if (!device) return
  const run = () => {
    for (const { pass, blends } of passes) runPass(pass, blends ? rule.scalars : [])
  }
  const { if: flag, when } = options
  const decided = flag === undefined ? run : () => onFlag(recordOf(flag), run)
  if (when) device.when(when, decided)
  else decided()
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null

/** What callers without types may get wrong. */
function requireArguments(models: { readonly target: unknown; readonly source: unknown }, rule: unknown): void {
  if (isObject(models) && isObject(models.target) && isObject(models.source) && isObject(rule)) return
  const form = 'update({ target: teacher, source: student }, ema({ decay: 0.999 }))'
  throw new OptionError(`update: needs two models and a rule, as in ${form}.`, { op: 'update' })
}

function onFlag(flag: TensorRecord, run: () => void): void {
  if (flag.dtype !== 'bool' || flag.size !== 1) {
    const message = `update: { if } takes a bool scalar, got a ${describe(flag)}; compare a scalar, as in loss.lt(best).`
    throw new DTypeError(message, { op: 'update' })
  }
  flag.device.whenTrue(flag.storage, flag.offset, run)
}

/** One pass of an update; only blends read the rule's scalars. */
interface UpdatePass {
  readonly pass: Pass
  readonly blends: boolean
}

/** Passes of an update with the tensors they were made for. */
interface Prepared {
  readonly targets: readonly TensorRecord[]
  readonly sources: readonly TensorRecord[]
  readonly passes: readonly UpdatePass[]
}

/** By target, source and rule: checking and matching two large models takes longer than blending small ones. */
const prepared = new WeakMap<object, WeakMap<object, Map<string, Prepared>>>()

function passesFor(target: object, source: object, rule: UpdateRule): readonly UpdatePass[] {
  const ofTarget = prepared.get(target) ?? new WeakMap<object, Map<string, Prepared>>()
  prepared.set(target, ofTarget)
  const ofPair = ofTarget.get(source) ?? new Map<string, Prepared>()
  ofTarget.set(source, ofPair)
  const key = `${rule.action} ${rule.buffers} ${rule.action === 'blend' ? blendExpr(rule, 'f32').id : ''}`
  const known = ofPair.get(key)
  if (known && hasTensors(target, known.targets) && hasTensors(source, known.sources)) return known.passes
  const pairs = zipModels('update', target, source)
  const all = (model: object) => tensorsOf(model).map(({ tensor }) => tensor)
  const made = { targets: all(target), sources: all(source), passes: passesOf(pairs, rule) }
  ofPair.set(key, made)
  return made.passes
}

function passesOf(pairs: readonly TensorPair[], rule: UpdateRule): UpdatePass[] {
  const groups = new Map<string, { dtype: DType; action: Action; stretches: Stretch[] }>()
  for (const pair of pairs) {
    const action = actionFor(pair, rule)
    if (action === 'keep') continue
    const target = pair.target.tensor
    const key = `${action} ${target.dtype}`
    const group = groups.get(key) ?? { dtype: target.dtype, action, stretches: [] }
    groups.set(key, group)
    group.stretches.push({ reads: [target, pair.source.tensor], writes: [target] })
  }
  return [...groups.values()].flatMap(({ dtype, action, stretches }) => {
    const blend = action === 'blend' && isFloat(dtype) ? blendExpr(rule, dtype) : undefined
    const pass = blend
      ? prepareForeach([blend], stretches)
      : prepareForeach(
          [input(0, dtype)],
          stretches.map(({ reads, writes }) => ({ reads: reads.slice(1), writes })),
        )
    return pass ? [{ pass, blends: blend !== undefined }] : []
  })
}

/** Parameters follow the rule, buffers its policy; integers are copied where floats blend. */
function actionFor({ target }: TensorPair, { action, buffers }: UpdateRule): Action {
  if (target.role === 'parameter') return action
  if (buffers === 'skip') return 'keep'
  return buffers === 'blend' && isFloat(target.tensor.dtype) ? action : 'copy'
}
