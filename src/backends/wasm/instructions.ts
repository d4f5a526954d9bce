/**
 * WebAssembly instructions as typed values. A `Value` is code that leaves one number on the stack; the
 * namespaces below carry the names of the text format (`f32x4.add`, `i32.load`), so knowing one is knowing
 * the other. Numbers are accepted wherever a scalar value is.
 */

export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128'
type Scalar = Exclude<ValueType, 'v128'>

export const valueTypeCode: Readonly<Record<ValueType, string>> = {
  i32: '\x7f',
  i64: '\x7e',
  f32: '\x7d',
  f64: '\x7c',
  v128: '\x7b',
}

/** Machine code as text whose characters are bytes: joining pieces is one step of the engine, however long they are. */
export type Code = string

/** Bytes as code. */
export const bytes = String.fromCharCode

type Words = Int32Array | Float32Array | Float64Array
const bytesOf = (words: Words): Code => bytes(...new Uint8Array(words.buffer))

/** Unsigned LEB128. */
export function u32(value: number): Code {
  let rest = value >>> 0
  if (rest < 0x80) return bytes(rest)
  let code = ''
  for (; rest > 0x7f; rest >>>= 7) code += bytes((rest & 0x7f) | 0x80)
  return code + bytes(rest)
}

/** Signed LEB128. */
function i32Code(value: number): Code {
  let code = ''
  for (let rest = value | 0; ; ) {
    const low = rest & 0x7f
    rest >>= 7
    if (rest === (low & 0x40 ? -1 : 0)) return code + bytes(low)
    code += bytes(low | 0x80)
  }
}
function i64Code(value: bigint): Code {
  let code = ''
  for (let rest = BigInt.asIntN(64, value); ; ) {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    if (rest === (low & 0x40 ? -1n : 0n)) return code + bytes(low)
    code += bytes(low | 0x80)
  }
}

/**
 * Code that leaves one number of type `T` on the stack. Used twice, it is evaluated twice: `FunctionBuilder.let`
 * keeps it. An i32 has arithmetic as methods, signed unless the name ends in U: addresses and counters read like formulas.
 */
export class Value<T extends ValueType = ValueType> {
  // Thousands are made before a first step: fields that are only declared cost no initializer.
  declare readonly type: T
  declare readonly code: Code
  constructor(type: T, code: Code) {
    this.type = type
    this.code = code
  }
  add(this: I32, b: I32Like): I32 {
    return b === 0 ? this : int(this, b, '\x6a')
  }
  sub(this: I32, b: I32Like): I32 {
    return b === 0 ? this : int(this, b, '\x6b')
  }
  mul(this: I32, b: I32Like): I32 {
    return b === 1 ? this : int(this, b, '\x6c')
  }
  divU(this: I32, b: I32Like): I32 {
    return int(this, b, '\x6e')
  }
  remU(this: I32, b: I32Like): I32 {
    return int(this, b, '\x70')
  }
  and(this: I32, b: I32Like): I32 {
    return int(this, b, '\x71')
  }
  or(this: I32, b: I32Like): I32 {
    return int(this, b, '\x72')
  }
  xor(this: I32, b: I32Like): I32 {
    return int(this, b, '\x73')
  }
  shl(this: I32, b: I32Like): I32 {
    return int(this, b, '\x74')
  }
  shrS(this: I32, b: I32Like): I32 {
    return int(this, b, '\x75')
  }
  shrU(this: I32, b: I32Like): I32 {
    return int(this, b, '\x76')
  }
  eq(this: I32, b: I32Like): I32 {
    return int(this, b, '\x46')
  }
  ne(this: I32, b: I32Like): I32 {
    return int(this, b, '\x47')
  }
  lt(this: I32, b: I32Like): I32 {
    return int(this, b, '\x48')
  }
  gt(this: I32, b: I32Like): I32 {
    return int(this, b, '\x4a')
  }
  le(this: I32, b: I32Like): I32 {
    return int(this, b, '\x4c')
  }
  ge(this: I32, b: I32Like): I32 {
    return int(this, b, '\x4e')
  }
  geU(this: I32, b: I32Like): I32 {
    return int(this, b, '\x4f')
  }
  eqz(this: I32): I32 {
    return new Value('i32', `${this.code}\x45`)
  }
}

export type I32 = Value<'i32'>
export type I32Like = I32 | number
export type Like<T extends ValueType> = T extends Scalar ? Value<T> | number : Value<T>
export type V128 = Value<'v128'>

const constants: { readonly [T in Scalar]: (value: number) => Code } = {
  i32: (value) => `\x41${i32Code(value)}`,
  i64: (value) => `\x42${i64Code(BigInt(value))}`,
  f32: (value) => `\x43${bytesOf(Float32Array.of(value))}`,
  f64: (value) => `\x44${bytesOf(Float64Array.of(value))}`,
}

/** The code of a value, or of the constant a number stands for. */
export const codeOf = (type: ValueType, x: Value | number): Code =>
  typeof x === 'number' ? constants[type as Scalar](x) : x.code

const int = (a: I32, b: I32Like, op: Code): I32 => new Value('i32', a.code + codeOf('i32', b) + op)

const simd = (opcode: number): Code => `\xfd${u32(opcode)}`
const atomic = (opcode: number): Code => `\xfe${u32(opcode)}`

const unary =
  <A extends ValueType, R extends ValueType>(arg: A, result: R, op: Code) =>
  (a: Like<A>): Value<R> =>
    new Value(result, codeOf(arg, a) + op)
const binary =
  <A extends ValueType, R extends ValueType>(arg: A, result: R, op: Code) =>
  (a: Like<A>, b: Like<A>): Value<R> =>
    new Value(result, codeOf(arg, a) + codeOf(arg, b) + op)
const ternary =
  (op: Code) =>
  (a: V128, b: V128, c: V128): V128 =>
    new Value('v128', a.code + b.code + c.code + op)
const shift =
  (op: Code) =>
  (a: V128, count: I32Like): V128 =>
    new Value('v128', a.code + codeOf('i32', count) + op)
const extract =
  <R extends ValueType>(result: R, op: Code) =>
  (a: V128, lane: number): Value<R> =>
    new Value(result, a.code + op + bytes(lane))
const replace =
  <A extends Scalar>(arg: A, op: Code) =>
  (a: V128, lane: number, x: Value<A> | number): V128 =>
    new Value('v128', a.code + codeOf(arg, x) + op + bytes(lane))
/** `op` ends with the base-2 logarithm of the natural alignment. */
const load =
  <R extends ValueType>(result: R, op: Code) =>
  (address: I32Like, offset = 0): Value<R> =>
    new Value(result, codeOf('i32', address) + op + u32(offset))
const loadLane =
  (op: Code) =>
  (address: I32Like, into: V128, lane: number, offset = 0): V128 =>
    new Value('v128', codeOf('i32', address) + into.code + op + u32(offset) + bytes(lane))
const rmw =
  (op: Code) =>
  (address: I32Like, value: I32Like, offset = 0): I32 =>
    new Value('i32', codeOf('i32', address) + codeOf('i32', value) + op + u32(2) + u32(offset))

export const i32 = {
  const: (value: number): I32 => new Value('i32', constants.i32(value)),
  load: load('i32', '\x28\x02'),
  wrap_i64: unary('i64', 'i32', '\xa7'),
  reinterpret_f32: unary('f32', 'i32', '\xbc'),
  atomicLoad: load('i32', `${atomic(0x10)}\x02`),
  atomicAdd: rmw(atomic(0x1e)),
  atomicSub: rmw(atomic(0x25)),
  /**
   * 0 woken, 1 the value differed, 2 timed out; the timeout in ns, negative for never. Shared memory only.
   * `let` it first: Node 20's baseline compiler loses values that wait on the stack below it.
   */
  atomicWait: (address: I32Like, expected: I32Like, timeout: Like<'i64'>, offset = 0): I32 =>
    new Value(
      'i32',
      codeOf('i32', address) + codeOf('i32', expected) + codeOf('i64', timeout) + atomic(0x01) + u32(2) + u32(offset),
    ),
  /** How many waiters were woken. */
  atomicNotify: rmw(atomic(0x00)),
}

const long = (opcode: number) => binary('i64', 'i64', bytes(opcode))

export const i64 = {
  const: (value: number | bigint): Value<'i64'> => new Value('i64', `\x42${i64Code(BigInt(value))}`),
  add: long(0x7c),
  sub: long(0x7d),
  mul: long(0x7e),
  or: long(0x84),
  shl: long(0x86),
  shr_u: long(0x88),
  extend_i32_u: unary('i32', 'i64', '\xad'),
}

const single = (opcode: number) => binary('f32', 'f32', bytes(opcode))

export const f32 = {
  const: (value: number): Value<'f32'> => new Value('f32', constants.f32(value)),
  ne: binary('f32', 'i32', '\x5c'),
  gt: binary('f32', 'i32', '\x5e'),
  add: single(0x92),
  div: single(0x95),
  load: load('f32', '\x2a\x02'),
  convert_i32_s: unary('i32', 'f32', '\xb2'),
  demote_f64: unary('f64', 'f32', '\xb6'),
}

export const f64 = {
  mul: binary('f64', 'f64', '\xa2'),
  convert_i64_s: unary('i64', 'f64', '\xb9'),
}

const v = (op: number) => binary('v128', 'v128', simd(op))
const v1 = (op: number) => unary('v128', 'v128', simd(op))

const constant = (lanes: Words): V128 => new Value('v128', simd(0x0c) + bytesOf(lanes))

export const v128 = {
  load: load('v128', `${simd(0x00)}\x04`),
  load32_splat: load('v128', `${simd(0x09)}\x02`),
  load16_splat: load('v128', `${simd(0x08)}\x01`),
  /** Four 16-bit lanes, widened with zeros. */
  load16x4_u: load('v128', `${simd(0x04)}\x03`),
  load16_lane: loadLane(`${simd(0x55)}\x01`),
  load32_zero: load('v128', `${simd(0x5c)}\x02`),
  load32_lane: loadLane(`${simd(0x56)}\x02`),
  not: v1(0x4d),
  and: v(0x4e),
  /** `a & ~b`. */
  andnot: v(0x4f),
  or: v(0x50),
  xor: v(0x51),
  /** Bits of `a` where the mask is 1, of `b` where it is 0. */
  bitselect: ternary(simd(0x52)),
  any_true: unary('v128', 'i32', simd(0x53)),
}

export const i16x8 = {
  /** Two vectors of signed 32-bit lanes, each limited to 0 … 65535, side by side. */
  narrow_i32x4_u: v(0x86),
}

export const i32x4 = {
  const: (value: number): V128 => constant(Int32Array.of(value, value, value, value)),
  /** Four different lanes. */
  constants: (...lanes: readonly [number, number, number, number]): V128 => constant(Int32Array.from(lanes)),
  /** Whole lanes: positions 0-3 from `a`, 4-7 from `b`. */
  shuffle: (a: V128, b: V128, lanes: readonly [number, number, number, number]): V128 => {
    let code = a.code + b.code + simd(0x0d)
    for (const lane of lanes) code += bytes(lane * 4, lane * 4 + 1, lane * 4 + 2, lane * 4 + 3)
    return new Value('v128', code)
  },
  splat: unary('i32', 'v128', simd(0x11)),
  extract_lane: extract('i32', simd(0x1b)),
  replace_lane: replace('i32', simd(0x1c)),
  eq: v(0x37),
  ne: v(0x38),
  lt_s: v(0x39),
  lt_u: v(0x3a),
  gt_s: v(0x3b),
  gt_u: v(0x3c),
  le_s: v(0x3d),
  le_u: v(0x3e),
  ge_s: v(0x3f),
  ge_u: v(0x40),
  abs: v1(0xa0),
  neg: v1(0xa1),
  shl: shift(simd(0xab)),
  shr_s: shift(simd(0xac)),
  shr_u: shift(simd(0xad)),
  add: v(0xae),
  sub: v(0xb1),
  mul: v(0xb5),
  min_s: v(0xb6),
  min_u: v(0xb7),
  max_s: v(0xb8),
  max_u: v(0xb9),
  trunc_sat_f32x4_s: v1(0xf8),
  trunc_sat_f32x4_u: v1(0xf9),
  trunc_sat_f64x2_s_zero: v1(0xfc),
  trunc_sat_f64x2_u_zero: v1(0xfd),
  relaxed_laneselect: ternary(simd(0x10b)),
}

export const i64x2 = {
  shl: shift(simd(0xcb)),
}

export const f32x4 = {
  const: (value: number): V128 => constant(Float32Array.of(value, value, value, value)),
  splat: unary('f32', 'v128', simd(0x13)),
  extract_lane: extract('f32', simd(0x1f)),
  eq: v(0x41),
  ne: v(0x42),
  lt: v(0x43),
  gt: v(0x44),
  le: v(0x45),
  ge: v(0x46),
  ceil: v1(0x67),
  floor: v1(0x68),
  trunc: v1(0x69),
  nearest: v1(0x6a),
  abs: v1(0xe0),
  neg: v1(0xe1),
  sqrt: v1(0xe3),
  add: v(0xe4),
  sub: v(0xe5),
  mul: v(0xe6),
  div: v(0xe7),
  /** `b < a ? b : a`. `min` and `max`, with their rules for NaN and signed zeros, take seven times as long on x64. */
  pmin: v(0xea),
  /** `a < b ? b : a`. */
  pmax: v(0xeb),
  convert_i32x4_s: v1(0xfa),
  convert_i32x4_u: v1(0xfb),
  demote_f64x2_zero: v1(0x5e),
  /** `a * b + c` rounded once: only where the engine has relaxed SIMD and the machine FMA. */
  relaxed_madd: ternary(simd(0x105)),
}

export const f64x2 = {
  const: (value: number): V128 => constant(Float64Array.of(value, value)),
  add: v(0xf0),
  sub: v(0xf1),
  mul: v(0xf2),
  div: v(0xf3),
  pmin: v(0xf6),
  pmax: v(0xf7),
  convert_low_i32x4_s: v1(0xfe),
  convert_low_i32x4_u: v1(0xff),
  promote_low_f32x4: v1(0x5f),
}

/** `condition ? yes : no`; both are evaluated. */
export function select<T extends ValueType>(condition: I32Like, yes: Value<T>, no: Value<T>): Value<T> {
  const op = yes.type === 'v128' ? `\x1c\x01${valueTypeCode.v128}` : '\x1b'
  return new Value(yes.type, yes.code + no.code + codeOf('i32', condition) + op)
}

/** Opcodes that leave nothing on the stack, for `FunctionBuilder`; those that store with their alignment. */
export const effects = {
  store: { i32: '\x36\x02', i64: '\x37\x03', f32: '\x38\x02', f64: '\x39\x03', v128: '\xfd\x0b\x04' } as Readonly<
    Record<ValueType, Code>
  >,
  /** By bytes of a lane. */
  storeLane: { 2: '\xfd\x59\x01', 4: '\xfd\x5a\x02', 8: '\xfd\x5b\x03' } as const,
  atomicStore: '\xfe\x17\x02',
  memoryCopy: '\xfc\x0a\0\0',
  memoryFill: '\xfc\x0b\0',
} as const
