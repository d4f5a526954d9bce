import type { Dims, Shape } from '../shapes/dim.js'
import type { DType } from '../shapes/dtype.js'
import { CaptureError, DeviceError, DTypeError, ShapeError } from '../shapes/errors.js'
import { contiguousStrides, sizeOf } from '../shapes/strides.js'
import { bytesPerElement } from '../tensor/backend.js'
import { type Device, defaultDevice } from '../tensor/device.js'
import { toBytes } from '../tensor/elements.js'
import { describe, emptyTensor, TensorRecord } from '../tensor/record.js'
import { Storage } from '../tensor/storage.js'
import type { DataOf, Tensor } from '../tensor/tensor.js'
import { Program } from './program.js'
import { mapTensors, signatureOf, tensorsIn } from './tree.js'

/** Shape and dtype of an argument, known before there is one. */
export interface Spec<S extends Shape = Shape, D extends DType = DType> {
  readonly shape: S
  readonly dtype: D
}

const specOf =
  <D extends DType>(dtype: D) =>
  <const S extends Dims>(...shape: S): Spec<[...S], D> => ({ shape: [...shape], dtype })

/** An f32 argument of the stated sizes: `compile([f32(32, 784)], …)`. */
export const f32 = specOf('f32')
/** An i32 argument of the stated sizes. */
export const i32 = specOf('i32')
/** A u32 argument of the stated sizes. */
export const u32 = specOf('u32')
/** A bool argument of the stated sizes. */
export const bool = specOf('bool')

/** The tensors that stated arguments are. */
export type TensorsOf<Specs extends readonly Spec[]> = {
  [K in keyof Specs]: Specs[K] extends Spec<infer S, infer D> ? Tensor<S, D> : never
}
/** What may be passed for them: tensors, typed arrays, and numbers for scalars. */
export type ArgumentsOf<Specs extends readonly Spec[]> = {
  [K in keyof Specs]: Specs[K] extends Spec<infer S, infer D> ? Tensor<S, D> | DataOf<D> | (S extends [] ? number : never) : never
}

/** A compiled function. */
export interface Compiled<Args extends readonly unknown[], R> {
  (...args: Args): R
  /** The program of the last call, or of the stated signature: kernels, bytes moved, arithmetic, memory. */
  explain(): string
  /** Runs the function once with these arguments and gives the time of each kernel, in the order of `explain()`. */
  profile(...args: Args): string
  /** How many signatures have a program now. */
  readonly programs: number
  /** Returns the programs' memory. */
  dispose(): void
}

/** Programs kept for one function; the least recently used goes first. */
const mostPrograms = 8

/**
 * Turns a function of tensors into one program: forward, loss, backward, optimizer and model updates run as kernels
 * on a fixed memory plan, without JavaScript in between. The same body gives the same numbers as when it is called
 * plainly.
 *
 * The function runs once per signature (structure, shapes and dtypes of its arguments), to be captured; programs are
 * cached. Models, optimizers and other tensors it mentions are used by identity and updated in place. What the host
 * works out per step (learning rates, counters, random keys) is worked out before each run.
 * State the signature, `compile([f32(32, 784), i32(32)], fn)`, and typed arrays and plain numbers are accepted.
 *
 * Throws: `CaptureError` when the function reads a value or makes a model; `ShapeError`, `DTypeError`, `DeviceError` for
 * arguments that do not fit.
 * Torch: `torch.compile(step)`, with backward and optimizer inside.
 * @example
 * const step = compile((x: Tensor<[32, 784]>, y: Tensor<[32], 'i32'>) => {
 *   const loss = crossEntropy(model.forward(x.trace()), y)
 *   optimizer.step(loss.backward())
 *   return loss
 * })
 */
export function compile<const Specs extends readonly Spec[], R>(
  signature: Specs,
  fn: (...args: TensorsOf<Specs>) => R,
): Compiled<ArgumentsOf<Specs>, R>
export function compile<Args extends readonly unknown[], R>(fn: (...args: Args) => R): Compiled<Args, R>
export function compile(
  first: readonly Spec[] | ((...args: never[]) => unknown),
  second?: (...args: never[]) => unknown,
): Compiled<readonly unknown[], unknown> {
  const specs = typeof first === 'function' ? undefined : first
  const fn = (typeof first === 'function' ? first : second) as ((...args: unknown[]) => unknown) | undefined
  if (!fn) throw new CaptureError('compile: give the function after the signature: compile([f32(32, 784)], (x) => …).')
  return compiled(fn, specs)
}

function compiled(fn: (...args: unknown[]) => unknown, specs: readonly Spec[] | undefined): Compiled<readonly unknown[], unknown> {
  const programs = new Map<string, Program>()
  let last: Program | undefined
  const prepare = (args: readonly unknown[]): { program: Program; inputs: TensorRecord[]; own: TensorRecord[] } => {
    const own: TensorRecord[] = []
    const values = specs ? specs.map((spec, i) => admitted(spec, args[i], i, own)) : args
    const inputs = tensorsIn(values)
    const device = inputs[0]?.device ?? defaultDevice()
    const other = inputs.find((record) => record.device !== device)
    if (other) throw new DeviceError(`compile: arguments are on ${device.name} and on ${other.device.name}; create them on one device.`)
    const taped = inputs.find((record) => record.tape === 'taped')
    if (taped) throw new CaptureError('compile: an argument is taped; pass it plain and call .trace() inside the function.')
    const key = signatureOf(values)
    let program = programs.get(key)
    if (program) programs.delete(key)
    else program = captureProgram(device, values, fn)
    programs.set(key, program)
    for (const [oldest, unused] of programs) {
      if (programs.size <= mostPrograms) break
      unused.release()
      programs.delete(oldest)
    }
    last = program
    return { program, inputs, own }
  }
  const call = (...args: readonly unknown[]): unknown => {
    const { program, inputs, own } = prepare(args)
    const result = program.run(inputs)
    for (const record of own) record.dispose()
    return result
  }
  return Object.assign(call, {
    explain(): string {
      if (!last && specs) last = captureProgram(defaultDevice(), specs.map((spec) => placeholder(defaultDevice(), spec)), fn)
      return last?.explain() ?? 'Not compiled yet: call the function once, or state its signature.'
    },
    profile(...args: readonly unknown[]): string {
      const { program, inputs, own } = prepare(args)
      const times = program.profile(inputs)
      for (const record of own) record.dispose()
      return program.profileText(times)
    },
    get programs() {
      return programs.size
    },
    dispose(): void {
      for (const program of programs.values()) program.release()
      programs.clear()
      last = undefined
    },
  })
}

function captureProgram(device: Device, values: unknown, fn: (...args: unknown[]) => unknown): Program {
  const placeholders: TensorRecord[] = []
  const inputs = mapTensors(values, (record) => {
    const made = placeholder(device, record)
    placeholders.push(made)
    return made
  }) as unknown[]
  return new Program(device, placeholders, () => fn(...inputs))
}

/** A tensor of a program that is not there yet. */
function placeholder(device: Device, { shape, dtype }: { readonly shape: readonly number[]; readonly dtype: DType }): TensorRecord {
  const storage = new Storage(device, sizeOf(shape) * bytesPerElement[dtype])
  return new TensorRecord(storage, { dtype, shape, strides: contiguousStrides(shape), offset: 0 })
}

/** An argument as a tensor of the stated kind. */
function admitted(spec: Spec, value: unknown, position: number, own: TensorRecord[]): TensorRecord {
  const expected = describe(spec)
  if (value instanceof TensorRecord) {
    if (value.shape.join() !== spec.shape.join())
      throw new ShapeError(`compile: argument ${position} must be a ${expected}, got a ${describe(value)}.`, { shapes: [spec.shape, value.shape] })
    if (value.dtype !== spec.dtype) throw new DTypeError(`compile: argument ${position} must be a ${expected}, got ${value.dtype}.`)
    return value
  }
  const data = typeof value === 'number' ? [value] : value
  const isData = Array.isArray(data) || (ArrayBuffer.isView(data) && !(data instanceof DataView))
  const length = isData ? (data as ArrayLike<number>).length : undefined
  if (length !== sizeOf(spec.shape)) {
    const got = length === undefined ? typeof value : `${length} elements`
    throw new ShapeError(`compile: argument ${position} must be a ${expected} or its ${sizeOf(spec.shape)} elements, got ${got}.`, { shapes: [spec.shape] })
  }
  const made = emptyTensor(defaultDevice(), spec.dtype, spec.shape)
  made.storage.write(0, toBytes(data as ArrayLike<number>, spec.dtype))
  own.push(made)
  return made
}
