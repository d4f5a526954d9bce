import { type Shape, sameShape, showShape } from '../shapes/dim.js'
import { arithmeticOf, type DType, type FloatDType, isFloat, isHalf } from '../shapes/dtype.js'
import { DeviceError, DTypeError, OptionError, ShapeError } from '../shapes/errors.js'
import { type Expr, input, nodes, scalar, substitute } from '../kernels/expr.js'
import type { MapKernel } from '../kernels/kernel.js'
import { fits } from '../tensor/elements.js'
import type { Scalars } from '../tensor/recorder.js'
import { describe, emptyTensor, recordOf, type TensorRecord, typed } from '../tensor/record.js'
import type { Tape, Tensor } from '../tensor/tensor.js'
import { record, type Value } from './record.js'

/** Gradient of one argument as an expression of the output's gradient, the arguments (at most three) and the output. */
export type ExprVjp = (dy: Expr, args: readonly [Expr, Expr, Expr], y: Expr) => Expr

/**
 * An elementwise op: what happens to one element, and its derivative, side by side. Of f16 and bf16 tensors the elements
 * come as f32, and results are rounded back.
 */
export interface OpDefinition {
  /** As errors name it. */
  readonly name: string
  /** The op on single elements; tensors and numbers both arrive as expressions. */
  readonly forward: (...args: Expr[]) => Expr
  /** One per argument; null where no gradient flows. */
  readonly vjp: readonly (ExprVjp | null)[]
  /** Accepted dtypes: `float` (default), `number` (also i32, u32), or `any`. */
  readonly dtypes?: 'float' | 'number' | 'any'
  /** The first argument is a bool tensor, whatever the dtype of the others, as in `where`. */
  readonly condition?: boolean
}

/** The dtypes that can be computed with: all but bool. */
export type NumberDType = Exclude<DType, 'bool'>

/** `(x: S) → S`. */
export type Unary<D0 extends DType = FloatDType> = <S extends Shape, D extends D0, T extends Tape = never>(
  x: Tensor<S, D, T>,
) => Tensor<S, D, T>

/** `(a: S, b: S) → S`; either side may be a number. */
export interface Binary<D0 extends DType = FloatDType> {
  <S extends Shape, D extends D0, T extends Tape = never>(a: number, b: Tensor<S, D, T>): Tensor<S, D, T>
  <S extends Shape, D extends D0, T extends Tape = never, T2 extends Tape = never>(
    a: Tensor<S, D, T>,
    b: Tensor<NoInfer<S>, NoInfer<D>, T2> | number,
  ): Tensor<S, D, T | T2>
}

/** `(a: S, b: S) → S` of bool; either side may be a number. Never taped. */
export interface Comparison {
  <S extends Shape, D extends DType, T extends Tape = never>(a: number, b: Tensor<S, D, T>): Tensor<S, 'bool'>
  <S extends Shape, D extends DType, T extends Tape = never, T2 extends Tape = never>(
    a: Tensor<S, D, T>,
    b: Tensor<NoInfer<S>, NoInfer<D>, T2> | number,
  ): Tensor<S, 'bool'>
}

interface Lowered {
  readonly forward: Expr
  readonly vjps: readonly (Expr | undefined)[]
}

/**
 * Makes an elementwise op from its definition: one fused kernel forward, one per gradient, on every backend.
 * Arguments are tensors of one shape, or numbers; a number is passed with each run, so no value of it
 * makes new code. The result has the dtype of the expression.
 *
 * Throws (the op): `ShapeError` when shapes differ, `DTypeError`, `DeviceError`.
 * @example
 * const swish = defineOp<Unary>({
 *   name: 'swish',
 *   forward: (x) => x.div(x.neg().exp().add(1)),
 *   vjp: [(dy, [x], y) => { const s = x.neg().exp().add(1).recip(); return dy.mul(y.add(s.mul(y.neg().add(1)))) }],
 * })
 */
// biome-ignore lint/suspicious/noExplicitAny: the caller states the op's type; the run time checks what it says
export function defineOp<F extends (...args: any[]) => any = Unary>(definition: OpDefinition): F {
  const { name, forward, vjp } = definition
  if (typeof forward !== 'function' || !Array.isArray(vjp)) {
    const form = 'forward: (x) => …, vjp: [(dy, [x], y) => …]'
    throw new OptionError(`defineOp ${name}: give a function and a list with one gradient an argument: { ${form} }.`)
  }
  const lowered = new Map<string, Lowered>()
  const op = (...args: readonly unknown[]): unknown => {
    if (args.length < forward.length)
      throw new OptionError(`${name}: needs ${forward.length} arguments, got ${args.length}.`, { op: name })
    const values = args.map((arg) => (typeof arg === 'number' ? arg : recordOf(arg)))
    return typed<Value>(applyElementwise(definition, values, lowered))
  }
  return op as F
}

type Argument = TensorRecord | number

function applyElementwise(
  definition: OpDefinition,
  args: readonly Argument[],
  cache: Map<string, Lowered>,
): TensorRecord {
  const { name } = definition
  const dtype = requireAlike(definition, args)
  const tensors = args.filter((arg) => typeof arg !== 'number')
  const numbers = args.filter((arg) => typeof arg === 'number')
  const key = args.map((arg) => (typeof arg === 'number' ? '#' : arg.dtype)).join()
  const known = cache.get(key)
  const { forward, vjps } = known ?? lower(definition, args, dtype)
  if (!known) cache.set(key, { forward, vjps })
  const [head, ...rest] = tensors
  if (!head) throw noTensor(name)
  const output = mapTensors(forward, [head, ...rest], numbers)
  if (!isFloat(forward.dtype)) return output
  const gradients = vjps.map((vjp) => vjp && ((dy: Value) => gradient(vjp, recordOf(dy), tensors, output, numbers)))
  return record(name, output, tensors, gradients)
}

const gradient = (vjp: Expr, dy: TensorRecord, args: readonly TensorRecord[], y: TensorRecord, numbers: number[]) =>
  typed<Value>(mapTensors(vjp, [dy, ...args, y], numbers))

/** The definition with each argument's kind and dtype filled in; `dtype` is that of the numbers. */
function lower({ forward, vjp }: OpDefinition, args: readonly Argument[], dtype: DType): Lowered {
  let inputs = 0
  let scalars = 0
  const operand = (slot: number, of: DType) => input(slot, of).cast(arithmeticOf(of))
  // A gradient's operands are dy, the arguments, y, in this order.
  const leaves = args.map((arg) => {
    if (typeof arg !== 'number') return [operand(inputs, arg.dtype), operand(++inputs, arg.dtype)] as const
    const number = scalar(scalars++, arithmeticOf(dtype))
    return [number, number] as const
  })
  const computed = forward(...leaves.map(([leaf]) => leaf))
  // Rounded once, to what the arguments are.
  const result = isHalf(dtype) && computed.dtype === 'f32' ? computed.cast(dtype) : computed
  const dy = operand(0, result.dtype)
  const [first = dy, second = dy, third = dy] = leaves.map(([, leaf]) => leaf)
  const y = operand(inputs + 1, result.dtype)
  const vjps = args.flatMap((arg, i) => {
    if (typeof arg === 'number') return []
    return isFloat(arg.dtype) ? vjp[i]?.(dy, [first, second, third], y).cast(arg.dtype) : undefined
  })
  return { forward: result, vjps }
}

/** The dtype that the arguments share, which numbers take on too. */
function requireAlike({ name, dtypes = 'float', condition = false }: OpDefinition, args: readonly Argument[]): DType {
  const [head, ...tail] = args
  if (condition && (head === undefined || typeof head === 'number' || head.dtype !== 'bool')) {
    const got = typeof head === 'object' ? head.dtype : 'a number'
    throw new DTypeError(`${name}: the condition must be a bool tensor, got ${got}; compare first, as in x.gt(0).`, {
      op: name,
    })
  }
  const values = condition ? tail : args
  const [first, ...others] = values.filter((arg) => typeof arg !== 'number')
  const shaped = typeof head === 'object' ? head : first
  if (!shaped) throw noTensor(name)
  const dtype = first?.dtype ?? 'f32'
  if ((dtypes === 'float' && !isFloat(dtype)) || (dtypes === 'number' && dtype === 'bool'))
    throw new DTypeError(`${name}: is not defined for ${dtype}; convert with .to('f32').`, { op: name })
  if (first) requirePair(name, shaped, first)
  for (const other of others) {
    requirePair(name, shaped, other)
    if (other.dtype === dtype) continue
    throw differentDTypes(name, dtype, other.dtype)
  }
  for (const value of values) if (typeof value === 'number') requireFitting(name, value, dtype)
  return dtype
}

const noTensor = (op: string) => new ShapeError(`${op}: needs at least one tensor, got only numbers.`, { op })

/** An integer tensor would round a fraction silently. */
function requireFitting(op: string, value: number, dtype: DType): void {
  if (fits(value, dtype) || Math.abs(value) === Number.POSITIVE_INFINITY) return
  const remedy = value < 0 && dtype === 'u32' ? ".to('i32')" : ".to('f32')"
  throw new DTypeError(`${op}: ${value} is not a value of ${dtype}; convert the tensor with ${remedy}.`, { op })
}

function requirePair(op: string, a: TensorRecord, b: TensorRecord): void {
  if (a === b) return
  if (!sameShape(a.shape, b.shape)) {
    const shapes = [a.shape, b.shape]
    const message = `${op}: shapes ${showShape(a.shape)} and ${showShape(b.shape)} differ; stretch one with .broadcastTo().`
    throw new ShapeError(message, { op, shapes })
  }
  requireDevice(op, a, b)
}

/** The error for two dtypes where one was expected. */
export function differentDTypes(op: string, a: DType, b: DType): DTypeError {
  const wider = isHalf(a) ? (isFloat(b) ? b : a) : isFloat(a) ? a : isFloat(b) ? b : a === 'bool' ? b : a
  return new DTypeError(`${op}: dtypes ${a} and ${b} differ; convert one with .to('${wider}').`, { op })
}

/** Both on one device, else `DeviceError`. */
export function requireDevice(op: string, a: TensorRecord, b: TensorRecord): void {
  if (a.device === b.device) return
  const there = a.device.name === b.device.name ? `another ${b.device.name} device` : b.device.name
  const message = `${op}: got a ${describe(a)} on ${a.device.name} and a ${describe(b)} on ${there}; create both on one device.`
  throw new DeviceError(message, { op })
}

/** Runs `expr` over tensors of one shape (slot i = tensors[i]; unused ones are not touched) into a new tensor. */
export function mapTensors(
  expr: Expr,
  tensors: readonly [TensorRecord, ...TensorRecord[]],
  scalars: Scalars = [],
): TensorRecord {
  const [{ device, shape }] = tensors
  return mapInto(emptyTensor(device, expr.dtype, shape), expr, tensors, scalars)
}

/** The same into an existing tensor, which may be a view and may be one of `tensors`. Returns it. */
export function mapInto(
  output: TensorRecord,
  expr: Expr,
  tensors: readonly TensorRecord[],
  scalars: Scalars = [],
): TensorRecord {
  const { used, compact } = compacted(expr)
  const operands = used.map((slot) => tensors[slot]).filter((t) => t !== undefined)
  const kernel: MapKernel = {
    kind: 'map',
    shape: output.shape,
    inputs: operands.map((t) => t.operand()),
    outputs: [output.operand()],
    exprs: [compact],
  }
  output.device.run(kernel, [...operands.map((t) => t.storage), output.storage], scalars)
  return output
}

const compactions = new WeakMap<Expr, { used: readonly number[]; compact: Expr }>()

/** The expression with its input slots renumbered to those it reads, so that no kernel touches what it does not need. */
export function compacted(expr: Expr): { used: readonly number[]; compact: Expr } {
  const known = compactions.get(expr)
  if (known) return known
  const slots = nodes([expr]).flatMap((node) => (node.op === 'input' ? [node.value] : []))
  const used = [...new Set(slots)].sort((a, b) => a - b)
  const compact = substitute(expr, (leaf) => (leaf.op === 'input' ? input(used.indexOf(leaf.value), leaf.dtype) : leaf))
  const result = { used, compact }
  compactions.set(expr, result)
  return result
}
