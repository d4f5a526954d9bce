import type { Shape } from '../shapes/dim.js'
import type { DType, FloatDType } from '../shapes/dtype.js'
import { DeviceError, DTypeError, ShapeError } from '../shapes/errors.js'
import { type Expr, input, nodes, scalar, substitute } from '../kernels/expr.js'
import type { MapKernel } from '../kernels/kernel.js'
import { describe, emptyTensor, recordOf, type TensorRecord, typed } from '../tensor/record.js'
import type { Tape, Tensor } from '../tensor/tensor.js'
import { record, type Value } from './record.js'

/** Gradient of one argument as an expression of the output's gradient, the arguments (at most three) and the output. */
export type ExprVjp = (dy: Expr, args: readonly [Expr, Expr, Expr], y: Expr) => Expr

/** An elementwise op: what happens to one element, and its derivative, side by side. */
export interface OpDefinition {
  /** As errors name it. */
  readonly name: string
  /** The op on single elements; tensors and numbers both arrive as expressions. */
  readonly forward: (...args: Expr[]) => Expr
  /** One per argument; null where no gradient flows. */
  readonly vjp: readonly (ExprVjp | null)[]
  /** Accepted dtypes: `float` (default), `number` (also i32, u32), or `any`. */
  readonly dtypes?: 'float' | 'number' | 'any'
}

/** `(x: S) → S` on floats. */
export type Unary = <S extends Shape, D extends FloatDType, T extends Tape = never>(
  x: Tensor<S, D, T>,
) => Tensor<S, D, T>

/** `(a: S, b: S) → S`; either side may be a number. */
export type Binary = <S extends Shape, D extends DType, T extends Tape = never, T2 extends Tape = never>(
  a: Tensor<S, D, T> | number,
  b: Tensor<NoInfer<S>, NoInfer<D>, T2> | number,
) => Tensor<S, D, T | T2>

/** `(a: S, b: S) → S` of bool; either side may be a number. Never taped. */
export type Comparison = <S extends Shape, D extends DType>(
  a: Tensor<S, D, never> | Tensor<S, D, Tape> | number,
  b: Tensor<NoInfer<S>, NoInfer<D>, never> | Tensor<NoInfer<S>, NoInfer<D>, Tape> | number,
) => Tensor<S, 'bool'>

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
  const lowered = new Map<string, Lowered>()
  const op = (...args: readonly unknown[]): unknown => {
    const values = args.map((arg) => (typeof arg === 'number' ? arg : recordOf(arg)))
    return typed<Value>(applyElementwise(definition, values, lowered))
  }
  return op as F
}

type Argument = TensorRecord | number

function applyElementwise(definition: OpDefinition, args: readonly Argument[], cache: Map<string, Lowered>): TensorRecord {
  const { name } = definition
  const tensors = args.filter((arg) => typeof arg !== 'number')
  const first = requireAlike(definition, tensors)
  const numbers = args.filter((arg) => typeof arg === 'number')
  const key = args.map((arg) => (typeof arg === 'number' ? '#' : arg.dtype)).join()
  let exprs = cache.get(key)
  if (!exprs) cache.set(key, (exprs = lower(definition, args, first.dtype)))
  const { forward, vjps } = exprs
  const output = mapTensors(forward, tensors, numbers)
  if (forward.dtype !== 'f32' && forward.dtype !== 'f64') return output
  const gradients = vjps.map((vjp) => vjp && ((dy: Value) => gradient(vjp, recordOf(dy), tensors, output, numbers)))
  return record(name, output, tensors, gradients)
}

/** Where the gradient is `dy` itself, nothing runs. */
const gradient = (vjp: Expr, dy: TensorRecord, args: readonly TensorRecord[], y: TensorRecord, numbers: number[]) =>
  typed<Value>(vjp.op === 'input' && vjp.value === 0 ? dy : mapTensors(vjp, [dy, ...args, y], numbers))

/** The definition with each argument's kind and dtype filled in. */
function lower({ forward, vjp }: OpDefinition, args: readonly Argument[], dtype: DType): Lowered {
  let inputs = 0
  let scalars = 0
  const leaves = args.map((arg) => (typeof arg === 'number' ? scalar(scalars++, dtype) : input(inputs++, arg.dtype)))
  const result = forward(...leaves)
  // A gradient's operands are dy, the arguments, y, in this order.
  const dy = input(0, result.dtype)
  const [first = dy, second = dy, third = dy] = leaves.map((leaf) =>
    leaf.op === 'input' ? input(leaf.value + 1, leaf.dtype) : leaf,
  )
  const y = input(inputs + 1, result.dtype)
  const vjps = args.flatMap((arg, i) => (typeof arg === 'number' ? [] : [vjp[i]?.(dy, [first, second, third], y)]))
  return { forward: result, vjps }
}

function requireAlike({ name, dtypes = 'float' }: OpDefinition, tensors: readonly TensorRecord[]): TensorRecord {
  const first = tensors.find((t) => t.dtype !== 'bool') ?? tensors[0]
  if (!first) throw new ShapeError(`${name}: needs at least one tensor, got only numbers.`, { op: name })
  const floating = first.dtype === 'f32' || first.dtype === 'f64'
  if ((dtypes === 'float' && !floating) || (dtypes === 'number' && first.dtype === 'bool'))
    throw new DTypeError(`${name}: is not defined for ${first.dtype}; convert with .to('f32').`, { op: name })
  for (const other of tensors) requirePair(name, first, other)
  return first
}

function requirePair(op: string, a: TensorRecord, b: TensorRecord): void {
  if (a === b) return
  const shapes = [a.shape, b.shape]
  if (a.shape.length !== b.shape.length || a.shape.some((size, axis) => size !== b.shape[axis]))
    throw new ShapeError(
      `${op}: shapes [${a.shape.join(', ')}] and [${b.shape.join(', ')}] differ; stretch one with .broadcastTo().`,
      { op, shapes },
    )
  if (a.dtype !== b.dtype && b.dtype !== 'bool')
    throw new DTypeError(`${op}: dtypes ${a.dtype} and ${b.dtype} differ; convert one with .to('${a.dtype}').`, { op })
  requireDevice(op, a, b)
}

/** Both on one device, else `DeviceError`. */
export function requireDevice(op: string, a: TensorRecord, b: TensorRecord): void {
  if (a.device === b.device) return
  const message = `${op}: got a ${describe(a)} on ${a.device.name} and a ${describe(b)} on ${b.device.name}; create both on one device.`
  throw new DeviceError(message, { op })
}

/** Runs `expr` over tensors of one shape (slot i = tensors[i]; unused ones are not touched) into a new tensor. */
export function mapTensors(expr: Expr, tensors: readonly TensorRecord[], scalars: readonly number[] = []): TensorRecord {
  const shapeOf = tensors[0]
  if (!shapeOf) throw new ShapeError('map: needs at least one tensor.')
  const output = emptyTensor(shapeOf.device, expr.dtype, shapeOf.shape)
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

/** The expression with its input slots renumbered to those it reads. */
function compacted(expr: Expr): { used: readonly number[]; compact: Expr } {
  const known = compactions.get(expr)
  if (known) return known
  const slots = nodes([expr]).flatMap((node) => (node.op === 'input' ? [node.value] : []))
  const used = [...new Set(slots)].sort((a, b) => a - b)
  const compact = substitute(expr, (leaf) => (leaf.op === 'input' ? input(used.indexOf(leaf.value), leaf.dtype) : leaf))
  const result = { used, compact }
  compactions.set(expr, result)
  return result
}
