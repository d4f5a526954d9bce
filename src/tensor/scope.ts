import { OptionError } from '../shapes/errors.js'
import type { TensorRecord } from './record.js'
import type { Tape } from './tape.js'

/** Tensors created while a scope is open. */
export class Scope {
  readonly created = new Set<TensorRecord>()
  /** `operation` scopes belong to one op: what the op made on the way is owned by its tape entry. */
  constructor(
    readonly operation: boolean,
    /** For messages about what it has released. */
    readonly name = 'the scope() it was made in',
  ) {}
}

/** Innermost last. */
const open: Scope[] = []

/** The scope that a new tensor belongs to. Parameters and buffers belong to none. */
export const currentScope = (): Scope | undefined => open.at(-1)

/** What the op that is running has made so far, except `output`; it stops belonging to the op's scope. */
export function takeIntermediates(output: TensorRecord): TensorRecord[] {
  const scope = currentScope()
  if (!scope?.operation) return []
  const taken = [...scope.created].filter((record) => record !== output && !record.recording)
  for (const record of taken) record.leaveScope()
  return taken
}

const isTensor = (value: object): value is TensorRecord => 'storage' in value && 'recording' in value

/** The key of a method by which a value that is not a tensor, such as gradients, names the tensors it needs. */
export const HELD: unique symbol = Symbol('dfdt.held')
const isHolder = (value: object): value is { [HELD](): Iterable<TensorRecord> } => HELD in value

/** The tensors inside a result: a tensor, gradients, or arrays and plain objects of them. */
function* tensorsIn(value: unknown, depth = 0): Generator<TensorRecord> {
  if (typeof value !== 'object' || value === null || depth > 8) return
  if (isTensor(value)) yield value
  else if (isHolder(value)) yield* value[HELD]()
  else for (const item of Object.values(value)) yield* tensorsIn(item, depth + 1)
}

/**
 * Runs `fn` and releases every tensor made inside it, except those it returns (alone, or in arrays and
 * objects; gradients count too) and what a returned taped tensor needs for its backward. Parameters and buffers are never touched.
 *
 * Throws: `OptionError` when `fn` returns a promise: read results after the scope instead.
 * Torch: nothing; memory follows reference counts there.
 * @example const accuracy = scope(() => model.forward(x).argmax(-1).eq(y).to('f32').mean())
 */
export function scope<R>(fn: () => R): R {
  const result = inScope(new Scope(false), fn)
  if (result instanceof Promise) {
    // It goes on with tensors that are gone; that it fails is what the error below says.
    result.catch(() => undefined)
    throw new OptionError('scope: the function returned a promise; return tensors and await their values outside.')
  }
  return result
}

/** The scope of a function that is being captured: its tensors have values only in the runs of the program. */
export function captureScope<R>(fn: () => R): R {
  return inScope(new Scope(false, 'the compiled function it was made in'), fn)
}

/** Runs the body of one op: what it makes besides its result is released, or kept by the tape until backward. */
export function operation<R>(fn: () => R): R {
  return inScope(new Scope(true), fn)
}

function inScope<R>(scope: Scope, fn: () => R): R {
  open.push(scope)
  let result: R
  try {
    result = fn()
  } catch (error) {
    open.pop()
    release(scope.created, `${scope.name} has failed`)
    throw error
  }
  open.pop()
  const keep = new Set(tensorsIn(result))
  const tapes = new Set<Tape>()
  for (const record of keep) if (record.recording) tapes.add(record.recording.root)
  // An op's tape entry owns what it needs already; walking the tape after every op would take quadratic time.
  if (!scope.operation)
    for (const tape of tapes) for (const entry of tape.entries) for (const input of entry.inputs) keep.add(input)
  const outer = currentScope()
  const stays = (record: TensorRecord) => keep.has(record) || (record.recording && tapes.has(record.recording.root))
  const gone = [...scope.created].filter((record) => !stays(record))
  for (const record of scope.created) if (stays(record)) record.joinScope(outer)
  release(gone, `${scope.name} has ended; return it from there to keep it`)
  return result
}

/** Releases tensors, and with a taped one what its gradient would have read. */
function release(records: Iterable<TensorRecord>, fate: string): void {
  const tapes = new Set<Tape>()
  for (const record of records) {
    if (record.recording) tapes.add(record.recording.root)
    record.dispose(fate)
  }
  for (const tape of tapes)
    for (const { output, owned } of tape.entries) if (output.disposed) for (const record of owned) record.dispose(fate)
}
