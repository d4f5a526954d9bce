/**
 * WebAssembly instructions as typed values. A `Value` is code that leaves one number on the stack; the
 * namespaces below carry the names of the text format (`f32x4.add`, `i32.load`), so knowing one is knowing
 * the other. Numbers are accepted wherever a scalar value is.
 */

export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128'
type Scalar = Exclude<ValueType, 'v128'>

export const valueTypeCode: Readonly<Record<ValueType, number>> = {
  i32: 0x7f,
  i64: 0x7e,
  f32: 0x7d,
  f64: 0x7c,
  v128: 0x7b,
}

/** Unsigned LEB128. */
export function u32(value: number): number[] {
  const bytes: number[] = []
  let rest = value >>> 0
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80)
    rest >>>= 7
  }
  bytes.push(rest)
  return bytes
}

/** Signed LEB128 of up to 64 bits. */
function signed(value: bigint): number[] {
  const bytes: number[] = []
  let rest = value
  for (;;) {
    const byte = Number(rest & 0x7fn)
    rest >>= 7n
    if ((rest === 0n && (byte & 0x40) === 0) || (rest === -1n && (byte & 0x40) !== 0)) return [...bytes, byte]
    bytes.push(byte | 0x80)
  }
}

const f32Bytes = (value: number) => [...new Uint8Array(new Float32Array([value]).buffer)]
const f64Bytes = (value: number) => [...new Uint8Array(new Float64Array([value]).buffer)]

/**
 * Code that leaves one number of type `T` on the stack. Used twice, it is evaluated twice: `FunctionBuilder.let`
 * keeps it.
 */
export class Value<T extends ValueType = ValueType> {
  constructor(
    readonly type: T,
    readonly code: readonly number[],
  ) {}
}

/** A Value of an i32, with arithmetic as methods: addresses and counters read like formulas. */
export class I32 extends Value<'i32'> {
  constructor(code: readonly number[]) {
    super('i32', code)
  }
  add(b: I32Like): I32 {
    return b === 0 ? this : i32.add(this, b)
  }
  sub(b: I32Like): I32 {
    return b === 0 ? this : i32.sub(this, b)
  }
  mul(b: I32Like): I32 {
    return b === 1 ? this : i32.mul(this, b)
  }
  divU(b: I32Like): I32 {
    return i32.div_u(this, b)
  }
  remU(b: I32Like): I32 {
    return i32.rem_u(this, b)
  }
  and(b: I32Like): I32 {
    return i32.and(this, b)
  }
  or(b: I32Like): I32 {
    return i32.or(this, b)
  }
  xor(b: I32Like): I32 {
    return i32.xor(this, b)
  }
  shl(b: I32Like): I32 {
    return i32.shl(this, b)
  }
  shrU(b: I32Like): I32 {
    return i32.shr_u(this, b)
  }
  shrS(b: I32Like): I32 {
    return i32.shr_s(this, b)
  }
  eqz(): I32 {
    return i32.eqz(this)
  }
  eq(b: I32Like): I32 {
    return i32.eq(this, b)
  }
  ne(b: I32Like): I32 {
    return i32.ne(this, b)
  }
  lt(b: I32Like): I32 {
    return i32.lt_s(this, b)
  }
  le(b: I32Like): I32 {
    return i32.le_s(this, b)
  }
  gt(b: I32Like): I32 {
    return i32.gt_s(this, b)
  }
  ge(b: I32Like): I32 {
    return i32.ge_s(this, b)
  }
  ltU(b: I32Like): I32 {
    return i32.lt_u(this, b)
  }
  geU(b: I32Like): I32 {
    return i32.ge_u(this, b)
  }
}

export type ValueOf<T extends ValueType> = T extends 'i32' ? I32 : Value<T>
export type Like<T extends ValueType> = T extends Scalar ? Value<T> | number : Value<T>
export type I32Like = Value<'i32'> | number
export type V128 = Value<'v128'>

export function typedValue<T extends ValueType>(type: T, code: readonly number[]): ValueOf<T>
export function typedValue(type: ValueType, code: readonly number[]): Value {
  return type === 'i32' ? new I32(code) : new Value(type, code)
}

const constants: { readonly [T in Scalar]: (value: number) => number[] } = {
  i32: (value) => [0x41, ...signed(BigInt(value | 0))],
  i64: (value) => [0x42, ...signed(BigInt.asIntN(64, BigInt(value)))],
  f32: (value) => [0x43, ...f32Bytes(value)],
  f64: (value) => [0x44, ...f64Bytes(value)],
}

/** The code of a value, or of the constant a number stands for. */
export function codeOf(type: ValueType, x: Value | number): readonly number[] {
  return x instanceof Value ? x.code : constants[type as Scalar](x)
}

const prefixed = (prefix: number) => (opcode: number) => [prefix, ...u32(opcode)]
const simd = prefixed(0xfd)
const misc = prefixed(0xfc)
const atomic = prefixed(0xfe)

const unary =
  <A extends ValueType, R extends ValueType>(arg: A, result: R, op: number[]) =>
  (a: Like<A>): ValueOf<R> =>
    typedValue(result, [...codeOf(arg, a), ...op])
const binary =
  <A extends ValueType, R extends ValueType>(arg: A, result: R, op: number[]) =>
  (a: Like<A>, b: Like<A>): ValueOf<R> =>
    typedValue(result, [...codeOf(arg, a), ...codeOf(arg, b), ...op])
const ternary =
  (op: number[]) =>
  (a: V128, b: V128, c: V128): V128 =>
    new Value('v128', [...a.code, ...b.code, ...c.code, ...op])
const shift =
  (op: number[]) =>
  (a: V128, count: I32Like): V128 =>
    new Value('v128', [...a.code, ...codeOf('i32', count), ...op])
const extract =
  <R extends ValueType>(result: R, op: number[]) =>
  (a: V128, lane: number): ValueOf<R> =>
    typedValue(result, [...a.code, ...op, lane])
const replace =
  <A extends Scalar>(arg: A, op: number[]) =>
  (a: V128, lane: number, x: Value<A> | number): V128 =>
    new Value('v128', [...a.code, ...codeOf(arg, x), ...op, lane])
/** `align` is the base-2 logarithm of the natural alignment. */
const load =
  <R extends ValueType>(result: R, op: number[], align: number) =>
  (address: I32Like, offset = 0): ValueOf<R> =>
    typedValue(result, [...codeOf('i32', address), ...op, ...u32(align), ...u32(offset)])
const loadLane =
  (op: number[], align: number) =>
  (address: I32Like, into: V128, lane: number, offset = 0): V128 =>
    new Value('v128', [...codeOf('i32', address), ...into.code, ...op, ...u32(align), ...u32(offset), lane])
const rmw =
  (op: number[]) =>
  (address: I32Like, value: I32Like, offset = 0): I32 =>
    new I32([...codeOf('i32', address), ...codeOf('i32', value), ...op, ...u32(2), ...u32(offset)])

const integer = <T extends 'i32' | 'i64'>(type: T, compare: number, arithmetic: number) => ({
  eqz: unary(type, 'i32', [compare]),
  eq: binary(type, 'i32', [compare + 1]),
  ne: binary(type, 'i32', [compare + 2]),
  lt_s: binary(type, 'i32', [compare + 3]),
  lt_u: binary(type, 'i32', [compare + 4]),
  gt_s: binary(type, 'i32', [compare + 5]),
  gt_u: binary(type, 'i32', [compare + 6]),
  le_s: binary(type, 'i32', [compare + 7]),
  le_u: binary(type, 'i32', [compare + 8]),
  ge_s: binary(type, 'i32', [compare + 9]),
  ge_u: binary(type, 'i32', [compare + 10]),
  clz: unary(type, type, [arithmetic]),
  ctz: unary(type, type, [arithmetic + 1]),
  popcnt: unary(type, type, [arithmetic + 2]),
  add: binary(type, type, [arithmetic + 3]),
  sub: binary(type, type, [arithmetic + 4]),
  mul: binary(type, type, [arithmetic + 5]),
  div_s: binary(type, type, [arithmetic + 6]),
  div_u: binary(type, type, [arithmetic + 7]),
  rem_s: binary(type, type, [arithmetic + 8]),
  rem_u: binary(type, type, [arithmetic + 9]),
  and: binary(type, type, [arithmetic + 10]),
  or: binary(type, type, [arithmetic + 11]),
  xor: binary(type, type, [arithmetic + 12]),
  shl: binary(type, type, [arithmetic + 13]),
  shr_s: binary(type, type, [arithmetic + 14]),
  shr_u: binary(type, type, [arithmetic + 15]),
  rotl: binary(type, type, [arithmetic + 16]),
  rotr: binary(type, type, [arithmetic + 17]),
})

const float = <T extends 'f32' | 'f64'>(type: T, compare: number, arithmetic: number) => ({
  const: (value: number): ValueOf<T> => typedValue(type, constants[type](value)),
  eq: binary(type, 'i32', [compare]),
  ne: binary(type, 'i32', [compare + 1]),
  lt: binary(type, 'i32', [compare + 2]),
  gt: binary(type, 'i32', [compare + 3]),
  le: binary(type, 'i32', [compare + 4]),
  ge: binary(type, 'i32', [compare + 5]),
  abs: unary(type, type, [arithmetic]),
  neg: unary(type, type, [arithmetic + 1]),
  ceil: unary(type, type, [arithmetic + 2]),
  floor: unary(type, type, [arithmetic + 3]),
  trunc: unary(type, type, [arithmetic + 4]),
  nearest: unary(type, type, [arithmetic + 5]),
  sqrt: unary(type, type, [arithmetic + 6]),
  add: binary(type, type, [arithmetic + 7]),
  sub: binary(type, type, [arithmetic + 8]),
  mul: binary(type, type, [arithmetic + 9]),
  div: binary(type, type, [arithmetic + 10]),
  min: binary(type, type, [arithmetic + 11]),
  max: binary(type, type, [arithmetic + 12]),
  copysign: binary(type, type, [arithmetic + 13]),
})

export const i32 = {
  ...integer('i32', 0x45, 0x67),
  const: (value: number): I32 => new I32(constants.i32(value)),
  load: load('i32', [0x28], 2),
  load8_s: load('i32', [0x2c], 0),
  load8_u: load('i32', [0x2d], 0),
  load16_s: load('i32', [0x2e], 1),
  load16_u: load('i32', [0x2f], 1),
  wrap_i64: unary('i64', 'i32', [0xa7]),
  trunc_sat_f32_s: unary('f32', 'i32', misc(0)),
  trunc_sat_f32_u: unary('f32', 'i32', misc(1)),
  trunc_sat_f64_s: unary('f64', 'i32', misc(2)),
  trunc_sat_f64_u: unary('f64', 'i32', misc(3)),
  reinterpret_f32: unary('f32', 'i32', [0xbc]),
  atomicLoad: load('i32', atomic(0x10), 2),
  atomicAdd: rmw(atomic(0x1e)),
  atomicSub: rmw(atomic(0x25)),
  atomicAnd: rmw(atomic(0x2c)),
  atomicOr: rmw(atomic(0x33)),
  atomicExchange: rmw(atomic(0x41)),
  atomicCompareExchange: (address: I32Like, expected: I32Like, value: I32Like, offset = 0): I32 =>
    new I32([
      ...codeOf('i32', address),
      ...codeOf('i32', expected),
      ...codeOf('i32', value),
      ...atomic(0x48),
      ...u32(2),
      ...u32(offset),
    ]),
  /**
   * 0 woken, 1 the value differed, 2 timed out; the timeout in ns, negative for never. Shared memory only.
   * `let` it first: Node 20's baseline compiler loses values that wait on the stack below it.
   */
  atomicWait: (address: I32Like, expected: I32Like, timeout: Like<'i64'>, offset = 0): I32 =>
    new I32([
      ...codeOf('i32', address),
      ...codeOf('i32', expected),
      ...codeOf('i64', timeout),
      ...atomic(0x01),
      ...u32(2),
      ...u32(offset),
    ]),
  /** How many waiters were woken. */
  atomicNotify: rmw(atomic(0x00)),
}

export const i64 = {
  ...integer('i64', 0x50, 0x79),
  const: (value: number | bigint): Value<'i64'> =>
    new Value('i64', [0x42, ...signed(BigInt.asIntN(64, BigInt(value)))]),
  load: load('i64', [0x29], 3),
  load32_s: load('i64', [0x34], 2),
  load32_u: load('i64', [0x35], 2),
  extend_i32_s: unary('i32', 'i64', [0xac]),
  extend_i32_u: unary('i32', 'i64', [0xad]),
  trunc_sat_f64_s: unary('f64', 'i64', misc(6)),
  trunc_sat_f64_u: unary('f64', 'i64', misc(7)),
  reinterpret_f64: unary('f64', 'i64', [0xbd]),
}

export const f32 = {
  ...float('f32', 0x5b, 0x8b),
  load: load('f32', [0x2a], 2),
  convert_i32_s: unary('i32', 'f32', [0xb2]),
  convert_i32_u: unary('i32', 'f32', [0xb3]),
  demote_f64: unary('f64', 'f32', [0xb6]),
  reinterpret_i32: unary('i32', 'f32', [0xbe]),
}

export const f64 = {
  ...float('f64', 0x61, 0x99),
  load: load('f64', [0x2b], 3),
  convert_i32_s: unary('i32', 'f64', [0xb7]),
  convert_i32_u: unary('i32', 'f64', [0xb8]),
  convert_i64_s: unary('i64', 'f64', [0xb9]),
  convert_i64_u: unary('i64', 'f64', [0xba]),
  promote_f32: unary('f32', 'f64', [0xbb]),
  reinterpret_i64: unary('i64', 'f64', [0xbf]),
}

const v = (op: number) => binary('v128', 'v128', simd(op))
const v1 = (op: number) => unary('v128', 'v128', simd(op))

const bytesConst = (bytes: readonly number[]): V128 => new Value('v128', [...simd(0x0c), ...bytes])
const fourTimes = (bytes: readonly number[]) => [...bytes, ...bytes, ...bytes, ...bytes]

export const v128 = {
  load: load('v128', simd(0x00), 4),
  load8_splat: load('v128', simd(0x07), 0),
  load32_splat: load('v128', simd(0x09), 2),
  load64_splat: load('v128', simd(0x0a), 3),
  load32_zero: load('v128', simd(0x5c), 2),
  load64_zero: load('v128', simd(0x5d), 3),
  load32_lane: loadLane(simd(0x56), 2),
  load64_lane: loadLane(simd(0x57), 3),
  not: v1(0x4d),
  and: v(0x4e),
  /** `a & ~b`. */
  andnot: v(0x4f),
  or: v(0x50),
  xor: v(0x51),
  /** Bits of `a` where the mask is 1, of `b` where it is 0. */
  bitselect: ternary(simd(0x52)),
  any_true: unary('v128', 'i32', simd(0x53)),
  const: bytesConst,
}

export const i8x16 = {
  splat: unary('i32', 'v128', simd(0x0f)),
  /** 16 byte positions, 0-15 from `a`, 16-31 from `b`. */
  shuffle: (a: V128, b: V128, lanes: readonly number[]): V128 =>
    new Value('v128', [...a.code, ...b.code, ...simd(0x0d), ...lanes]),
  swizzle: v(0x0e),
  eq: v(0x23),
  all_true: unary('v128', 'i32', simd(0x63)),
  bitmask: unary('v128', 'i32', simd(0x64)),
}

export const i32x4 = {
  const: (value: number): V128 => bytesConst(fourTimes([...new Uint8Array(new Int32Array([value]).buffer)])),
  /** Four different lanes. */
  constants: (a: number, b: number, c: number, d: number): V128 =>
    bytesConst([...new Uint8Array(new Int32Array([a, b, c, d]).buffer)]),
  /** Whole lanes: positions 0-3 from `a`, 4-7 from `b`. */
  shuffle: (a: V128, b: V128, lanes: readonly [number, number, number, number]): V128 =>
    i8x16.shuffle(
      a,
      b,
      lanes.flatMap((lane) => [0, 1, 2, 3].map((byte) => lane * 4 + byte)),
    ),
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
  all_true: unary('v128', 'i32', simd(0xa3)),
  bitmask: unary('v128', 'i32', simd(0xa4)),
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
  splat: unary('i64', 'v128', simd(0x12)),
  extract_lane: extract('i64', simd(0x1d)),
  replace_lane: replace('i64', simd(0x1e)),
  neg: v1(0xc1),
  shl: shift(simd(0xcb)),
  shr_s: shift(simd(0xcc)),
  shr_u: shift(simd(0xcd)),
  add: v(0xce),
  sub: v(0xd1),
  mul: v(0xd5),
  eq: v(0xd6),
  ne: v(0xd7),
  lt_s: v(0xd8),
  gt_s: v(0xd9),
  extend_low_i32x4_s: v1(0xc7),
  extend_high_i32x4_s: v1(0xc8),
  extend_low_i32x4_u: v1(0xc9),
  extend_high_i32x4_u: v1(0xca),
  extmul_low_i32x4_s: v(0xdc),
  extmul_high_i32x4_s: v(0xdd),
  extmul_low_i32x4_u: v(0xde),
  extmul_high_i32x4_u: v(0xdf),
}

export const f32x4 = {
  const: (value: number): V128 => bytesConst(fourTimes(f32Bytes(value))),
  splat: unary('f32', 'v128', simd(0x13)),
  extract_lane: extract('f32', simd(0x1f)),
  replace_lane: replace('f32', simd(0x20)),
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
  /** Slow on x64 (NaN and signed zero rules): prefer `pmin`. */
  min: v(0xe8),
  /** Slow on x64: prefer `pmax`. */
  max: v(0xe9),
  /** `b < a ? b : a`. */
  pmin: v(0xea),
  /** `a < b ? b : a`. */
  pmax: v(0xeb),
  convert_i32x4_s: v1(0xfa),
  convert_i32x4_u: v1(0xfb),
  demote_f64x2_zero: v1(0x5e),
  /** `a * b + c` rounded once: only where the engine has relaxed SIMD and the machine FMA. */
  relaxed_madd: ternary(simd(0x105)),
  /** `c - a * b`, as above. */
  relaxed_nmadd: ternary(simd(0x106)),
}

export const f64x2 = {
  const: (value: number): V128 => bytesConst([...f64Bytes(value), ...f64Bytes(value)]),
  splat: unary('f64', 'v128', simd(0x14)),
  extract_lane: extract('f64', simd(0x21)),
  replace_lane: replace('f64', simd(0x22)),
  eq: v(0x47),
  ne: v(0x48),
  lt: v(0x49),
  gt: v(0x4a),
  le: v(0x4b),
  ge: v(0x4c),
  ceil: v1(0x74),
  floor: v1(0x75),
  trunc: v1(0x7a),
  nearest: v1(0x94),
  abs: v1(0xec),
  neg: v1(0xed),
  sqrt: v1(0xef),
  add: v(0xf0),
  sub: v(0xf1),
  mul: v(0xf2),
  div: v(0xf3),
  pmin: v(0xf6),
  pmax: v(0xf7),
  convert_low_i32x4_s: v1(0xfe),
  convert_low_i32x4_u: v1(0xff),
  promote_low_f32x4: v1(0x5f),
  relaxed_madd: ternary(simd(0x107)),
  relaxed_nmadd: ternary(simd(0x108)),
}

/** `condition ? yes : no`; both are evaluated. */
export function select<T extends ValueType>(condition: I32Like, yes: Value<T>, no: Value<T>): ValueOf<T> {
  const op = yes.type === 'v128' ? [0x1c, 1, valueTypeCode.v128] : [0x1b]
  return typedValue(yes.type, [...yes.code, ...no.code, ...codeOf('i32', condition), ...op])
}

/** Opcodes that leave nothing on the stack, for `FunctionBuilder`. */
export const effects = {
  store: { i32: [0x36], i64: [0x37], f32: [0x38], f64: [0x39], v128: simd(0x0b) } as Readonly<
    Record<ValueType, readonly number[]>
  >,
  alignment: { i32: 2, i64: 3, f32: 2, f64: 3, v128: 4 } as Readonly<Record<ValueType, number>>,
  store32_lane: simd(0x5a),
  store64_lane: simd(0x5b),
  atomicStore: atomic(0x17),
  fence: [...atomic(0x03), 0],
  memoryCopy: [...misc(10), 0, 0],
  memoryFill: [...misc(11), 0],
} as const
