import type { BinaryOp, CompareOp, Expr, UnaryOp } from '../../kernels/expr.js'
import { halfBits, halfValue } from '../../shapes/half.js'
import { type DType, type HalfDType, isFloat, isHalf } from '../../tensor/dtype.js'
import { DTypeError } from '../../tensor/errors.js'
import { erf } from './erf.js'
import { fmaF32 } from './fma.js'

/**
 * What every node of an Expr computes on one element. Elements of every dtype are held as JavaScript numbers;
 * a function gets values of its dtype and returns one. Float functions are computed in f64 and, on f32, rounded
 * once: that is the correctly rounded f32 result for + − × ÷ √, and the f64 one's nearest f32 for the others.
 */
export type ScalarFunction = (a: number, b: number, c: number) => number

/** Nearest integer, ties to even; the sign of zero is kept. Adding 2⁵² leaves no bits for a fraction. */
function roundTiesToEven(x: number): number {
  if (!(Math.abs(x) < 2 ** 52)) return x
  const shift = x < 0 ? -(2 ** 52) : 2 ** 52
  const rounded = x + shift - shift
  return rounded === 0 ? x * 0 : rounded
}

/** IEEE's pow, which C and PyTorch follow: JavaScript's differs in `1^NaN` and `(±1)^±∞`, which are 1. */
function pow(x: number, y: number): number {
  if (x === 1) return 1
  if (x === -1 && Math.abs(y) === Number.POSITIVE_INFINITY) return 1
  return x ** y
}

/** Math.max and Math.min order the zeros; here the left of two equal values wins, as in a vector instruction. */
const larger = (a: number, b: number) => (a === b ? a : Math.max(a, b))
const smaller = (a: number, b: number) => (a === b ? a : Math.min(a, b))

type Table<Op extends string> = Readonly<Partial<Record<Op, ScalarFunction>>>

const floatUnary: Table<UnaryOp> = {
  neg: (x) => -x,
  abs: Math.abs,
  sqrt: Math.sqrt,
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  sin: Math.sin,
  cos: Math.cos,
  tanh: Math.tanh,
  erf,
  floor: Math.floor,
  ceil: Math.ceil,
  round: roundTiesToEven,
}
const integerUnary: Table<UnaryOp> = { neg: (x) => -x, abs: Math.abs, not: (x) => ~x }
const boolUnary: Table<UnaryOp> = { not: (x) => 1 - x }

const floatBinary: Table<BinaryOp> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  pow,
  max: larger,
  min: smaller,
}
const integerBinary: Table<BinaryOp> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: Math.imul,
  max: larger,
  min: smaller,
  // Truncates towards zero; there is no infinity to divide by zero to, so the quotient is 0 then.
  div: (a, b) => (b === 0 ? 0 : Math.trunc(a / b)),
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  shl: (a, b) => a << b,
  shr: (a, b) => a >> b,
}
const unsignedBinary: Table<BinaryOp> = { ...integerBinary, shr: (a, b) => a >>> b }
const boolBinary: Table<BinaryOp> = {
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  max: larger,
  min: smaller,
}

const compare: Readonly<Record<CompareOp, ScalarFunction>> = {
  eq: (a, b) => Number(a === b),
  ne: (a, b) => Number(a !== b),
  lt: (a, b) => Number(a < b),
  le: (a, b) => Number(a <= b),
  gt: (a, b) => Number(a > b),
  ge: (a, b) => Number(a >= b),
}

const tables = {
  f64: [floatUnary, floatBinary],
  f32: [floatUnary, floatBinary],
  i32: [integerUnary, integerBinary],
  u32: [integerUnary, unsignedBinary],
  bool: [boolUnary, boolBinary],
} as const

/** Brings a result back into its dtype: floats round, integers keep their low 32 bits. */
const wrap: Readonly<Record<DType, (x: number) => number>> = {
  f64: (x) => x,
  f32: Math.fround,
  f16: (x) => halfValue(halfBits(x, 'f16'), 'f16'),
  bf16: (x) => halfValue(halfBits(x, 'bf16'), 'bf16'),
  i32: (x) => x | 0,
  u32: (x) => x >>> 0,
  bool: (x) => x,
}

const clampTo = (low: number, high: number) => (x: number) =>
  Number.isNaN(x) ? 0 : Math.trunc(Math.min(Math.max(x, low), high)) + 0

const toBool = (x: number) => Number(x !== 0)
const fromFloat: Readonly<Record<DType, (x: number) => number>> = {
  ...wrap,
  i32: clampTo(-(2 ** 31), 2 ** 31 - 1),
  u32: clampTo(0, 2 ** 32 - 1),
  bool: toBool,
}
const fromInteger = { ...wrap, bool: toBool }

/** The conversion of `Expr.cast`. Constants and host scalars are f64 and converted the same way. */
export function castFunction(from: DType, to: DType): (x: number) => number {
  return isFloat(from) ? fromFloat[to] : fromInteger[to]
}

const bits = new DataView(new ArrayBuffer(4))
const asBits: Readonly<Partial<Record<DType, readonly [write: (x: number) => void, read: () => number]>>> = {
  f32: [(x) => bits.setFloat32(0, x), () => bits.getFloat32(0)],
  i32: [(x) => bits.setInt32(0, x), () => bits.getInt32(0)],
  u32: [(x) => bits.setUint32(0, x), () => bits.getUint32(0)],
}

/** The conversion of `Expr.bitcast`. */
function bitcastFunction(from: DType, to: DType): ScalarFunction | undefined {
  const [write] = asBits[from] ?? []
  const [, read] = asBits[to] ?? []
  if (!write || !read) return undefined
  return (x) => {
    write(x)
    return read()
  }
}

/** `a · b + c`: rounded once on f32; product and sum rounded each on f64; wrapped on integers. */
function fmaFunction(dtype: Exclude<DType, HalfDType>): ScalarFunction | undefined {
  if (dtype === 'f32') return fmaF32
  if (dtype === 'f64') return (a, b, c) => a * b + c
  return dtype === 'bool' ? undefined : (a, b, c) => wrap[dtype](Math.imul(a, b) + c)
}

/** The function of an inner node; throws `DTypeError` where the operation has no meaning on the node's dtype. */
export function scalarFunction(node: Expr): ScalarFunction {
  const dtype = node.args[0]?.dtype ?? node.dtype
  const found = lookUp(node, dtype)
  if (found) return found
  throw new DTypeError(`Expr ${node.op}: not defined on ${dtype}; cast its arguments first.`, { op: node.op })
}

function lookUp(node: Expr, dtype: DType): ScalarFunction | undefined {
  const { op } = node
  if (op === 'cast') return castFunction(dtype, node.dtype)
  if (op === 'bitcast') return bitcastFunction(dtype, node.dtype)
  if (op === 'select') return (condition, yes, no) => (condition === 0 ? no : yes)
  // Nothing computes on what is only stored.
  if (isHalf(dtype)) return undefined
  if (op === 'fma') return fmaFunction(dtype)
  if (op === 'isNaN') return (x) => Number(Number.isNaN(x))
  if (op in compare) return compare[op as CompareOp]
  const [unary, binary] = tables[dtype]
  const raw = node.args.length === 1 ? unary[op as UnaryOp] : binary[op as BinaryOp]
  if (!raw || dtype === 'f64' || dtype === 'bool') return raw
  const toDType = wrap[dtype]
  return (a, b, c) => toDType(raw(a, b, c))
}
