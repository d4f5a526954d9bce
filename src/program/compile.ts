import { CaptureError, DeviceError, OptionError } from '../shapes/errors.js'
import { requireOptions, written } from '../shapes/options.js'
import { type Device, defaultDevice, isCapturing } from '../tensor/device.js'
import { TensorRecord } from '../tensor/record.js'
import type { Tensor } from '../tensor/tensor.js'
import type { Like } from './capture.js'
import { Program } from './program.js'
import { type ArgumentsOf, admittedAll, checkSignature, mapSpecs, type SpecTree, type TensorsOf } from './specs.js'
import { identityOf, isData, leavesOf, mapTensors, signatureOf } from './tree.js'

/** What a compiled function gives: its results are values, on no tape. It gives no promises. */
export type Finished<R> =
  R extends Tensor<infer S, infer D, infer _T>
    ? Tensor<S, D>
    : R extends PromiseLike<unknown>
      ? never
      : R extends (...args: never[]) => unknown
        ? R
        : R extends object
          ? { [K in keyof R]: Finished<R[K]> }
          : R

/** A compiled function. */
export interface Compiled<Args extends readonly unknown[], R> {
  (...args: Args): R
  /**
   * The program of the last call, or of the stated signature, as a table: one kernel a line in the order they run, with
   * what was fused into it, the bytes it moves and its arithmetic; `all` threads share it, or `one` runs it because it is
   * small. Kernels of a phase do not wait for each other. The arena holds arguments, results and all that lies between
   * kernels; host effects are what JavaScript does before each run: counting steps, schedules, random keys. When programs
   * were dropped to keep within `{ programs }`, the first line says how many.
   */
  explain(): string
  /**
   * Runs the function once with these arguments, which counts as a step, and gives `explain()` with the time that each
   * kernel took by itself, measured where it ran. Throws what a call throws. The first runs are slower, while the engine
   * optimises the program: profile after some steps.
   */
  profile(...args: Args): Promise<string>
  /** How many signatures have a program now. */
  readonly programs: number
  /** How often the function was captured so far. When it grows with every call, `explain()` says why. */
  readonly captures: number
  /** Returns the programs' memory. The next call captures the function again. */
  dispose(): void
}

/** What `compile` may be told. */
export interface CompileOptions {
  /** Programs kept for the function; the least recently used goes first. Default: 8. */
  readonly programs?: number
}

/**
 * Turns a function of tensors into one program: forward, loss, backward, optimizer and model updates run as kernels
 * on a fixed memory plan, without JavaScript in between. The same body gives the same numbers as when it is called
 * plainly.
 *
 * The function runs once per signature (structure, shapes and dtypes of its arguments, and the other values in them), to
 * be captured; the programs of the last 8 signatures are kept, or of as many as `{ programs: 16 }` says. Arguments and
 * results may be arrays and plain objects of tensors. Arguments are copied in and results out, so later runs overwrite
 * nothing; results are on no tape.
 * Models, optimizers and other tensors it mentions, also parameters among its arguments, are used by identity and
 * updated in place; a parameter that it returns comes back as a view. What the host works out per step (learning rates,
 * counters, random keys) is worked out before each run. Any other JavaScript in it runs at the capture only: a number it
 * returns or a variable it assigns stays as it was then, and `if (x.sum().gt(0))` is always taken, since JavaScript holds
 * every object for true (typescript-eslint finds such a condition by `no-unnecessary-condition`; the compiler does not).
 * Values decide with `where()`, or with `update(…, { if: loss.lt(best) })`.
 * State the signature, `compile([f32(32, 784), i32(32)], fn)`, in arrays and objects if the arguments are, and typed
 * arrays and plain numbers are accepted; a number that changes from call to call belongs there, as `f32()`.
 *
 * A run that fails counts no step, draws no random numbers and leaves parameters, buffers and state as they were:
 * arguments, schedules and exhausted memory fail before the kernels start, and indices out of range before anything that
 * lasts is written, wherever in the function the lookup is. There are two exceptions. Indices that the function works out
 * from what it has written in the same run are found out of range when they are there: what it wrote before stays. And when
 * a thread dies while the kernels run, `HalfWrittenError`, parameters and state are lost: until a saved file is loaded (and
 * the optimizer reset), every use of them throws the same error.
 *
 * Throws: `CaptureError` when the function reads a value, makes a model, or calls another compiled function, with the
 * line of the function that does it; `ShapeError`, `DTypeError`, `DeviceError` for arguments that do not fit;
 * `OptionError` for a signature that states no tensors, and for options out of range;
 * `DeviceError` when the memory does not suffice; `HalfWrittenError` as above.
 * Torch: `torch.compile(step)`, with backward and optimizer inside, and without guards on Python values.
 * @example
 * const step = compile((x: Tensor<[32, 784]>, y: Tensor<[32], 'i32'>) => {
 *   const loss = crossEntropy(model.forward(x.trace()), y)
 *   optimizer.step(loss.backward())
 *   return loss
 * })
 */
export function compile<const Specs extends readonly SpecTree[], R>(
  signature: Specs,
  fn: (...args: TensorsOf<Specs>) => R,
  options?: CompileOptions,
): Compiled<ArgumentsOf<Specs>, Finished<R>>
export function compile<Args extends readonly unknown[], R>(
  fn: (...args: Args) => R,
  options?: CompileOptions,
): Compiled<Args, Finished<R>>
export function compile(first: unknown, ...rest: readonly unknown[]): Compiled<readonly unknown[], unknown> {
  const [specs, fn, options = {}] = typeof first === 'function' ? [undefined, first, ...rest] : [first, ...rest]
  if (typeof fn !== 'function')
    throw new CaptureError('compile: needs a function, alone or after a signature: compile([f32(32, 784)], (x) => …).')
  requireOptions('compile', options, ['programs'])
  const { programs = 8 } = options as CompileOptions
  if (!Number.isSafeInteger(programs) || programs < 1)
    throw new OptionError(`compile: programs must be a whole number from 1 on, got ${written(programs)}.`)
  if (specs) checkSignature(specs as readonly SpecTree[])
  return compiled(fn as (...args: unknown[]) => unknown, specs as readonly SpecTree[] | undefined, programs)
}

function compiled(
  fn: (...args: unknown[]) => unknown,
  specs: readonly SpecTree[] | undefined,
  mostPrograms: number,
): Compiled<readonly unknown[], unknown> {
  /** The most recently used comes first. */
  const programs: { readonly key: string; readonly program: Program }[] = []
  let [captures, dropped] = [0, 0]
  const programFor = (device: Device, args: readonly unknown[]): Program => {
    const key = `${identityOf(device)} ${specs ? 'stated' : signatureOf(args)}`
    const at = programs.findIndex((known) => known.key === key && known.program.fits)
    const [known] = at < 0 ? [] : programs.splice(at, 1)
    const program =
      known?.program ??
      new Program(device, (standIn) => {
        captures++
        return fn(...(specs?.map((spec) => mapSpecs(spec, standIn)) ?? standIns(args, standIn)))
      })
    programs.unshift({ key, program })
    if (programs.length > mostPrograms) {
      programs.pop()?.program.release()
      dropped++
    }
    return program
  }
  /** A table of a program, below what all calls so far have to say. */
  const withHistory = (table: string): string => {
    if (dropped === 0) return table
    const remedy = 'state the signature, with numbers that change as f32(), or keep more: compile(fn, { programs: 16 })'
    return `programs: ${captures} captured, ${dropped} dropped, at most ${mostPrograms} kept; ${remedy}\n${table}`
  }
  const withProgram = <X>(
    args: readonly unknown[],
    use: (program: Program, inputs: readonly TensorRecord[]) => X,
  ): X => {
    if (isCapturing())
      throw new CaptureError('compile: a compiled function was called inside another; call the plain function there.')
    const own: TensorRecord[] = []
    try {
      const device = [...leavesOf(args)].find((leaf) => leaf instanceof TensorRecord)?.device ?? defaultDevice()
      const values = specs ? admittedAll(device, specs, args, own) : args
      const inputs = [...leavesOf(values)].filter(isData)
      requireUsable(device, inputs)
      return use(programFor(device, values), inputs)
    } finally {
      for (const record of own) record.dispose()
    }
  }
  const call = (...args: readonly unknown[]): unknown => withProgram(args, (program, inputs) => program.run(inputs))
  const compiled = Object.assign(call, {
    explain(): string {
      const program = programs[0]?.program ?? (specs && programFor(defaultDevice(), []))
      return withHistory(program?.explain() ?? 'Not compiled yet: call the function once, or state its signature.')
    },
    profile: (...args: readonly unknown[]): Promise<string> =>
      withProgram(args, (program, inputs) => program.profile(inputs)).then(withHistory),
    programs: 0,
    captures: 0,
    dispose(): void {
      for (const { program } of programs.splice(0)) program.release()
    },
  })
  return Object.defineProperties(compiled, {
    programs: { get: () => programs.length },
    captures: { get: () => captures },
  })
}

/** The arguments with stand-ins for the tensors that change from run to run. */
const standIns = (args: readonly unknown[], standIn: (like: Like) => TensorRecord): unknown[] =>
  args.map((arg) => mapTensors(arg, (record) => (isData(record) ? standIn(record) : record)))

function requireUsable(device: Device, inputs: readonly TensorRecord[]): void {
  for (const input of inputs) {
    // Throws when it was disposed.
    const { device: other } = input.storage
    if (other !== device) {
      const there = other.name === device.name ? `another ${other.name} device` : other.name
      throw new DeviceError(`compile: arguments are on ${device.name} and on ${there}; create them on one device.`)
    }
    if (input.tape === 'taped')
      throw new CaptureError('compile: an argument is taped; pass it plain and call .trace() inside the function.')
  }
}
