import { GradientError } from '../shapes/errors.js'
import type { FloatDType } from '../shapes/dtype.js'
import type { Shape } from '../shapes/dim.js'
import { recordOf, type TensorRecord, typed } from '../tensor/record.js'
import { takeIntermediates } from '../tensor/scope.js'
import { type Entry, isRecording, Tape } from '../tensor/tape.js'
import type { Tensor } from '../tensor/tensor.js'

/** A tensor of any shape, on no tape: what vjps are written with, in terms of the public ops. */
export type Value = Tensor<Shape, FloatDType>

/** Gradient of one input, given the gradient of the output. */
export type ValueVjp = (dy: Value) => Value

/**
 * Puts `output` on the tape of its inputs, if any of them is on one. One vjp per input; undefined where
 * no gradient flows. Without a taped input this does nothing, so untaped code pays nothing. `rows` is the gradient of the
 * first input where the output is rows of it.
 */
export function record(
  op: string,
  output: TensorRecord,
  inputs: readonly TensorRecord[],
  vjps: readonly (ValueVjp | undefined)[],
  rows?: Entry['rows'],
): TensorRecord {
  if (!isRecording()) return output
  for (const input of inputs) {
    const parameter = input.source ?? input
    if (parameter.role === 'parameter') parameter.device.recorder?.parameter(parameter)
  }
  const taped = inputs.some((input) => input.recording)
  if (!taped && !fromParameters(inputs)) return output
  let tape: Tape | undefined
  for (const input of inputs) {
    const own = input.recording ?? input.pending
    if (!own) continue
    // What was computed from parameters alone joins the tape that it meets.
    if (taped && !input.recording) for (const { output: made } of own.entries) made.recording = own
    tape = tape ? tape.merge(own) : own.root
  }
  tape ??= new Tape()
  if (tape.consumed) {
    const remedy = 'call .trace() on the input again for a new step, or pass { retain: true } to the first backward()'
    throw new GradientError(`${op}: an input is on a tape that backward() has already used up; ${remedy}.`, { op })
  }
  if (taped) output.recording = tape
  else output.pending = tape
  output.trained = inputs.some((input) => input.trained || isTrainable(input))
  const untyped = vjps.map((vjp) => vjp && ((dy: TensorRecord) => recordOf(vjp(typed<Value>(dy)))))
  tape.record({ op, output, inputs, vjps: untyped, rows, owned: takeIntermediates(output) })
  return output
}

const isTrainable = (record: TensorRecord): boolean => record.role === 'parameter' && !record.frozen

/** Whether all inputs are parameters or come from them: `scale.broadcastTo(x.shape)`, whose gradient must not be lost. */
const fromParameters = (inputs: readonly TensorRecord[]): boolean =>
  inputs.length > 0 && inputs.every((input) => input.pending !== undefined || isTrainable(input))
