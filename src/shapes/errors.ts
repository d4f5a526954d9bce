/**
 * Every error dfdt throws. One class per remedy; `code` is stable API, `message` is a sentence that
 * says what was expected, what came, and what to do.
 */

/** Fields shared by all dfdt errors. */
export interface ErrorDetails {
  /** The operation that refused, as the user typed it: `matmul`, `update`, `load`. */
  readonly op?: string
  /** Shapes involved, in argument order. */
  readonly shapes?: readonly (readonly number[])[]
  /** A parameter path, or the path of a file. */
  readonly path?: string
  /** Byte offset in a file or buffer. */
  readonly offset?: number
  readonly cause?: unknown
}

/** V8 keeps 10 calls unless told otherwise: a layer in a model in a model has more below the user's own line. */
const callsShown = 60

/** Root of the error classes: `error instanceof DfdtError` catches all of them. */
export abstract class DfdtError extends Error {
  abstract readonly code: string
  // Declared only: Node prints every field that an error has, also those that are undefined.
  declare readonly op: string | undefined
  declare readonly shapes: readonly (readonly number[])[] | undefined
  declare readonly path: string | undefined
  declare readonly offset: number | undefined

  constructor(message: string, { cause, ...details }: ErrorDetails = {}) {
    const { stackTraceLimit: limit } = Error
    // Whoever wants no stacks gets none. Reflect, because some hosts freeze the property.
    if (limit > 0) Reflect.set(Error, 'stackTraceLimit', Math.max(limit, callsShown))
    super(message, cause === undefined ? undefined : { cause })
    if (limit > 0) Reflect.set(Error, 'stackTraceLimit', limit)
    this.name = new.target.name
    Object.assign(this, details)
  }
}

/** Sizes, ranks, axes or model structures do not fit together. */
export class ShapeError extends DfdtError {
  readonly code = 'SHAPE'
}

/** The operation is not defined for this dtype, or two dtypes differ. */
export class DTypeError extends DfdtError {
  readonly code = 'DTYPE'
}

/** A device lacks a feature, ran out of memory, or tensors live on different devices. */
export class DeviceError extends DfdtError {
  readonly code = 'DEVICE'
}

/**
 * Kernels broke off while they ran, because a thread ended or trapped. Thrown by that run, and by every use of what it
 * was writing, until whole values are written over it: load a saved file, and reset the optimizer.
 */
export class HalfWrittenError extends DeviceError {}

/** Differentiation went wrong: nothing to differentiate, a second backward, a parameter without a gradient. */
export class GradientError extends DfdtError {
  readonly code = 'GRADIENT'
}

/** A tensor was read after its memory had been released. */
export class DisposedError extends DfdtError {
  readonly code = 'DISPOSED'
}

/** Something inside `compile` cannot become part of a program: reading a value, making a model. */
export class CaptureError extends DfdtError {
  readonly code = 'CAPTURE'
}

/** A number that must be finite is NaN or infinite. */
export class NonFiniteError extends DfdtError {
  readonly code = 'NON_FINITE'
}

/** A file or buffer is not what it claims to be; `offset` says where, `path` which file. */
export class FormatError extends DfdtError {
  readonly code = 'FORMAT'
}

/** An option has a value outside its range, or options contradict each other. */
export class OptionError extends DfdtError {
  readonly code = 'OPTION'
}
