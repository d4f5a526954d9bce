import { GradientError, OptionError, ShapeError } from '../shapes/errors.js'
import { arithmeticOf, type FloatDType } from '../shapes/dtype.js'
import { input } from '../kernels/expr.js'
import { fillTensor } from '../tensor/fill.js'
import { emptyTensor, recordOf, TensorRecord } from '../tensor/record.js'
import { scope } from '../tensor/scope.js'
import { type Entry, type RowGradient, withoutTape } from '../tensor/tape.js'
import type { BackwardOptions, Gradients, Tape, Tensor } from '../tensor/tensor.js'
import { mapTensors } from '../ops/define.js'
import { forDType } from '../ops/expressions.js'
import { packed } from '../ops/movement/views.js'
import { type Deferred, type Gradient, GradientMap } from './gradients.js'

/**
 * Differentiates a scalar with respect to every parameter, and every traced input, it was computed from.
 *
 * The tape is used up: its intermediates are released at once (reading one later is a `DisposedError`; the
 * loss itself stays readable). `{ retain: true }` keeps tape and intermediates; `{ accumulate: gradients }`
 * adds to the gradients of an earlier backward, which are taken over.
 * Gradients of traced inputs are worked out when `gradients.get(input)` asks for them.
 *
 * Throws: `ShapeError` when the loss is not a scalar, `GradientError` when it is not taped, its tape was used
 * before, or a parameter was changed in place since.
 * Torch: `loss.backward()`, but gradients are returned, not stored on tensors.
 * @example const gradients = crossEntropy(model.forward(x.trace()), y).backward()
 */
export function backward<D extends FloatDType>(loss: Tensor<[], D, Tape>, options: BackwardOptions = {}): Gradients {
  return asGradients(backwardRecord(recordOf(loss), options))
}

/** The typed face of a gradient map. */
const asGradients = (map: GradientMap): Gradients => map as unknown as Gradients

/** The run-time face of gradients. */
export function gradientMapOf(gradients: unknown): GradientMap {
  if (gradients instanceof GradientMap) return gradients
  throw new OptionError('Expected the gradients that loss.backward() returned.')
}

export function backwardRecord(loss: TensorRecord, { retain = false, accumulate }: BackwardOptions = {}): GradientMap {
  const tape = loss.recording
  if (!tape) {
    const compiled = 'what compiled functions return is on no tape: call backward() inside them'
    throw new GradientError(`backward: needs a taped tensor; call .trace() on the input first (${compiled}).`, {
      op: 'backward',
    })
  }
  if (loss.size !== 1 || loss.rank !== 0) {
    const remedy = 'reduce with .mean() or .sum()'
    throw new ShapeError(`backward: needs a scalar, got shape [${loss.shape.join(', ')}]; ${remedy}.`, {
      op: 'backward',
    })
  }
  if (tape.consumed) {
    const remedy = 'compute the loss again, or pass { retain: true } to the first backward()'
    throw new GradientError(`backward: this tape was already used up by an earlier backward(); ${remedy}.`, {
      op: 'backward',
    })
  }
  const entries = [...tape.entries].reverse()
  requireUnchanged(loss, entries)
  const leaves = accumulate ? gradientMapOf(accumulate).take() : new Map<TensorRecord, Gradient>()
  if (!retain) tape.consume()
  const flow = new Map<TensorRecord, TensorRecord>()
  const deferred: Deferred[] = []
  try {
    return withoutTape(() => differentiate(loss, entries, { leaves, flow, deferred }, retain))
  } catch (error) {
    for (const gradient of [...leaves.values(), ...flow.values(), ...deferred.map(({ dy }) => dy)]) gradient.dispose()
    if (!retain) for (const entry of entries) for (const record of made(entry)) if (record !== loss) release(record)
    throw error
  }
}

/** What has arrived: at parameters, at other tensors of the tape, and what is put off. */
interface Arrived {
  readonly leaves: Map<TensorRecord, Gradient>
  readonly flow: Map<TensorRecord, TensorRecord>
  readonly deferred: Deferred[]
}

function differentiate(
  loss: TensorRecord,
  entries: readonly Entry[],
  { leaves, flow, deferred }: Arrived,
  retain: boolean,
): GradientMap {
  const start = leafOf(loss)
  if (start) arrive(leaves, start, one(loss))
  else add(flow, loss, one(loss))
  if (loss.trained)
    sweep(
      entries.filter((entry) => entry.output.trained),
      flow,
      leaves,
      deferred,
    )
  const rest = entries.filter((entry) => !entry.output.trained)
  const needed = new Set<TensorRecord>()
  for (const { entry } of deferred) for (const record of reads(entry)) needed.add(record)
  for (const entry of rest) for (const record of reads(entry)) needed.add(record)
  if (!retain) {
    for (const entry of entries)
      for (const record of made(entry)) if (record !== loss && !needed.has(record)) release(record)
    if (loss.storage.unshared) loss.storage.spill()
  }
  if (deferred.length === 0 && rest.length === 0 && flow.size === 0) return new GradientMap(leaves, undefined)
  return new GradientMap(leaves, {
    entries: rest,
    deferred,
    run: () => withoutTape(() => inputGradients(rest, flow, deferred)),
    release: () => {
      for (const { dy } of deferred) dy.dispose()
      for (const dy of flow.values()) dy.dispose()
      if (retain) return
      for (const entry of [...rest, ...deferred.map((d) => d.entry)])
        for (const record of made(entry)) if (record !== loss) release(record)
    },
    held: () => [...flow.values(), ...deferred.map(({ dy }) => dy), ...needed],
  })
}

const reads = (entry: Entry): TensorRecord[] => [...entry.inputs, entry.output, ...entry.owned]
/** What belongs to the tape because of an entry: its result, what its gradients read, and the traced views it took. */
const made = ({ output, owned, inputs }: Entry): TensorRecord[] => [
  output,
  ...owned,
  ...inputs.filter((input) => input.source),
]
const release = (record: TensorRecord): void =>
  record.dispose('backward() used up its tape; read it before, or pass { retain: true }')

/** The trainable parameter that a gradient for `target` belongs to, if any: itself, or what it was traced from. */
function leafOf(target: TensorRecord): TensorRecord | undefined {
  const origin = target.source ?? target
  return origin.role === 'parameter' && !origin.frozen ? origin : undefined
}

/** Throws when something that the loss was computed from has other values now; nothing is used up then. */
function requireUnchanged(loss: TensorRecord, entries: readonly Entry[]): void {
  const reached = new Set([loss])
  for (const entry of entries) {
    if (!reached.has(entry.output)) continue
    requireUnchangedInputs(entry)
    for (const input of entry.inputs) reached.add(input)
  }
}

function requireUnchangedInputs({ op, inputs, versions }: Entry): void {
  const changed = inputs.find((input, slot) => input.version !== versions[slot])
  if (!changed) return
  const what = (changed.source ?? changed).role === 'parameter' ? 'parameter' : 'tensor'
  const remedy = 'call backward() before optimizer.step() and update()'
  const message = `backward: a ${what} of shape [${changed.shape.join(', ')}] that ${op} had used was changed in place since; ${remedy}.`
  throw new GradientError(message, { op: 'backward' })
}

/** Runs the vjps of `entries` (latest first) over `flow`, the gradients that have arrived so far. */
function sweep(
  entries: readonly Entry[],
  flow: Map<TensorRecord, TensorRecord>,
  leaves: Map<TensorRecord, Gradient>,
  deferred?: Deferred[],
): void {
  for (const entry of entries) {
    const dy = flow.get(entry.output)
    if (!dy) continue
    flow.delete(entry.output)
    entry.inputs.forEach((target, slot) => {
      if (!entry.vjps[slot]) return
      const leaf = leafOf(target)
      if (leaf) arrive(leaves, leaf, entry.rows && slot === 0 ? rowsOf(entry, entry.rows, dy) : vjp(entry, slot, dy))
      else if (target.recording && target.trained) add(flow, target, vjp(entry, slot, dy))
      else if (target.recording) {
        if (deferred) deferred.push({ entry, slot, dy: dy.view() })
        else add(flow, target, vjp(entry, slot, dy))
      }
    })
    dy.dispose()
  }
}

/** Finishes what was put off: the gradients of traced inputs, by the tensor each was traced from. */
function inputGradients(
  entries: readonly Entry[],
  flow: Map<TensorRecord, TensorRecord>,
  deferred: readonly Deferred[],
): Map<TensorRecord, TensorRecord> {
  for (const { entry, slot, dy } of deferred) {
    const target = entry.inputs[slot]
    if (target) add(flow, target, vjp(entry, slot, dy))
  }
  // Of parameters that were frozen when the loss was computed, and are not any more.
  const unused = new Map<TensorRecord, Gradient>()
  sweep(entries, flow, unused)
  for (const gradient of unused.values()) gradient.dispose()
  const inputs = new Map<TensorRecord, TensorRecord>()
  for (const [traced, gradient] of flow) if (traced.source) add(inputs, traced.source, gradient)
  flow.clear()
  return inputs
}

/** One vjp; its intermediates are released, its result is a tensor of its own. */
function vjp(entry: Entry, slot: number, dy: TensorRecord): TensorRecord {
  requireUnchangedInputs(entry)
  const result = scope(() => entry.vjps[slot]?.(dy) ?? dy)
  return result === dy ? dy.view() : result
}

/** What a lookup adds to the gradient of its table. */
function rowsOf(entry: Entry, rows: (dy: TensorRecord) => RowGradient, dy: TensorRecord): RowGradient {
  requireUnchangedInputs(entry)
  return rows(dy)
}

const isRows = (gradient: Gradient): gradient is RowGradient => !(gradient instanceof TensorRecord)

/** Adds `gradient` to what has arrived for a parameter. Rows that were looked up stay apart until others need them. */
function arrive(leaves: Map<TensorRecord, Gradient>, leaf: TensorRecord, gradient: Gradient): void {
  const before = leaves.get(leaf)
  if (isRows(gradient) && (!before || isRows(before))) {
    leaves.set(leaf, before ? before.plus(gradient) : gradient)
    return
  }
  const sums = new Map<TensorRecord, TensorRecord>()
  for (const each of before ? [before, gradient] : [gradient]) add(sums, leaf, isRows(each) ? each.toTensor() : each)
  for (const [target, whole] of sums) leaves.set(target, whole)
}

const sum = forDType((dtype) => {
  const [a, b] = [input(0, dtype), input(1, dtype)].map((x) => x.cast(arithmeticOf(dtype)))
  return a && b ? a.add(b).cast(dtype) : input(0, dtype)
})

/** Adds `gradient` to what has arrived for `target`; leaves hold row-major gradients. */
function add(into: Map<TensorRecord, TensorRecord>, target: TensorRecord, gradient: TensorRecord): void {
  const before = into.get(target)
  if (!before) {
    const leaf = target.role === 'parameter' || !target.recording || target.source !== undefined
    const whole = leaf ? packed(gradient) : gradient
    if (whole !== gradient) gradient.dispose()
    into.set(target, whole)
    return
  }
  into.set(target, mapTensors(sum(gradient.dtype), [before, gradient]))
  before.dispose()
  gradient.dispose()
}

function one(loss: TensorRecord): TensorRecord {
  const seed = emptyTensor(loss.device, loss.dtype, [])
  fillTensor(seed, 1)
  return seed
}
