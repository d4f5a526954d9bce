import { DTypeError, OptionError } from '../tensor/errors.js'
import type { AnyTensor, DataOf, Shape, Tape, Tensor } from '../tensor/tensor.js'
import { backwardRecord } from '../autodiff/backward.js'
import { tensor } from '../ops/creation.js'
import { mul } from '../ops/elementwise/mul.js'
import { sum } from '../ops/reduce/sum.js'
import { recordOf, type TensorRecord, typed } from '../tensor/record.js'
import { scope } from '../tensor/scope.js'
import { assertClose } from './close.js'
import { Random } from './conformance/random.js'

/** Options of `gradcheck`. */
export interface GradcheckOptions {
  /** Of the random cotangent; 1 if not given. */
  readonly seed?: number
  /** How far each element is moved to either side, times its size where that is above 1; 1e-5 if not given. */
  readonly eps?: number
  /** Allowed difference relative to the measured slope; 1e-6 if not given. */
  readonly rtol?: number
  /** Allowed absolute difference; 1e-8 if not given. */
  readonly atol?: number
  /** Where the function has kinks or jumps: elements closer than 100 eps to one of these values are not moved. */
  readonly avoid?: readonly number[]
}

/** The inputs as the checked function gets them. */
type Traced<Xs extends readonly AnyTensor[]> = {
  [K in keyof Xs]: Xs[K] extends Tensor<infer S, infer D, infer _T> ? Tensor<S, D, 'taped'> : never
}

/**
 * Compares the gradients of `fn` with central differences: `(f(x + eps) − f(x − eps)) / 2 eps`, element by element, for
 * the sum of the output times a random cotangent. A plain sum would not see every mistake: that of a softmax is constant.
 *
 * Inputs of f64 are traced and checked; others, such as indices, are passed on. f64 lives on `referenceDevice()`.
 *
 * Throws: `AssertionError` naming input, element, both slopes, tolerances and seed; `DTypeError` for f32 inputs, which
 * are too coarse; `OptionError` when nothing can be checked.
 * Torch: `torch.autograd.gradcheck(fn, inputs)`.
 * @example gradcheck((x) => swish(x), [tensor([-1, 0.5], { dtype: 'f64', device: referenceDevice() })])
 */
export function gradcheck<const Xs extends readonly AnyTensor[]>(
  fn: (...inputs: Traced<Xs>) => Tensor<Shape, 'f64', Tape>,
  inputs: Xs,
  options: GradcheckOptions = {},
): void {
  const call = (records: readonly TensorRecord[]) =>
    recordOf(fn(...(records.map((record) => typed<AnyTensor>(record)) as unknown as Traced<Xs>)))
  checkRecords(call, inputs.map(recordOf), options)
}

function checkRecords(
  fn: (inputs: readonly TensorRecord[]) => TensorRecord,
  inputs: readonly TensorRecord[],
  { seed = 1, eps = 1e-5, rtol = 1e-6, atol = 1e-8, avoid = [] }: GradcheckOptions,
): void {
  const single = inputs.find((x) => x.dtype === 'f32')
  if (single)
    throw new DTypeError("gradcheck: needs inputs of f64, got f32; create them with { dtype: 'f64' }.", {
      op: 'gradcheck',
    })
  if (!inputs.some((x) => x.dtype === 'f64')) {
    throw new OptionError('gradcheck: there is no input of f64 to check; give it at least one.', { op: 'gradcheck' })
  }
  const trace = (x: TensorRecord) => (x.dtype === 'f64' ? x.trace() : x)

  const { cotangent, slopes } = scope(() => {
    const output = fn(inputs.map(trace))
    const random = new Random(seed)
    const cotangent = Float64Array.from({ length: output.size }, () => random.between(-1, 1))
    return { cotangent, slopes: slopesOf(output, cotangent, inputs) }
  })
  const value = (changed: TensorRecord, at: number) => {
    const output = fn(inputs.map((x, i) => trace(i === at ? changed : x)))
    const data = output.dataSync()
    return cotangent.reduce((total, weight, i) => total + weight * (data[i] ?? Number.NaN), 0)
  }
  inputs.forEach((x, at) => {
    if (x.dtype !== 'f64') return
    const data = x.dataSync()
    const found = slopes[at] ?? new Float64Array()
    const measured = Float64Array.from(data, (element, i) => {
      const step = eps * Math.max(1, Math.abs(element))
      // Left out: equal to what was found, so that the comparison passes it.
      if (avoid.some((kink) => Math.abs(element - kink) < 100 * step)) return found[i] ?? 0
      const moved = (by: number) =>
        scope(() => {
          const copy = Float64Array.from(data)
          copy[i] = element + by
          return value(recordOf(tensor(copy, [...x.shape], { device: x.device })), at)
        })
      return (moved(step) - moved(-step)) / (2 * step)
    })
    assertClose(found, measured, { rtol, atol, name: `gradcheck: input ${at}`, shape: x.shape, seed })
  })
}

/** The gradients of Σ cotangent · output, per input. */
function slopesOf(output: TensorRecord, cotangent: DataOf<'f64'>, inputs: readonly TensorRecord[]) {
  if (output.dtype !== 'f64' || !output.recording) {
    const got = `${output.dtype}, ${output.recording ? 'taped' : 'not taped'}`
    throw new OptionError(
      `gradcheck: the function must give a taped f64 tensor, got ${got}; compute it from the inputs.`,
      { op: 'gradcheck' },
    )
  }
  const weights = tensor(cotangent, [...output.shape], { device: output.device })
  const loss = sum(mul(typed<Tensor<Shape, 'f64', Tape>>(output), weights))
  const gradients = backwardRecord(recordOf(loss))
  // An input that the output does not depend on has no gradient: the slope is 0.
  return inputs.map((x) =>
    x.dtype === 'f64' ? (gradients.find(x)?.dataSync() ?? new Float64Array(x.size)) : undefined,
  )
}
