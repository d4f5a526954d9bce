import { describe, expect, it } from 'vitest'
import { call, compileWith } from './assembled.js'
import {
  f32,
  f32x4,
  f64,
  f64x2,
  i32,
  i32x4,
  i64,
  i64x2,
  ModuleBuilder,
  select,
  v128,
  Value,
} from '../../../src/backends/wasm/assembler.js'

describe('assembler', () => {
  it('writes loops, locals, loads and stores', () => {
    const m = new ModuleBuilder({ maximum: 1 })
    const f = m.function('scale', ['i32', 'i32', 'f32'], { export: true })
    const [p, n, factor] = f.params
    const k = f.let(f32x4.splat(factor))
    f.while(n.gt(0), () => {
      f.store(p, f32x4.mul(v128.load(p), k))
      f.inc(p, 16)
      f.inc(n, -4)
    })
    const { exports, memory } = compileWith(m)
    const floats = new Float32Array(memory.buffer)
    floats.set([1, 2, 3, 4, 5, 6, 7, 8, 9], 4)
    call(exports, 'scale', 16, 8, 3)
    expect([...floats.slice(4, 13)]).toEqual([3, 6, 9, 12, 15, 18, 21, 24, 9])
    call(exports, 'scale', 16, 0, 3)
    expect(floats[4]).toBe(3)
  })

  it('branches out of nested blocks by label', () => {
    const m = new ModuleBuilder({ maximum: 1 })
    // Smallest divisor above 1, by two nested labels.
    const f = m.function('divisor', ['i32'], { export: true, result: 'i32' })
    const [n] = f.params
    const d = f.let(i32.const(2))
    f.block((found) => {
      f.loop((again) => {
        f.if(n.remU(d).eqz(), () => f.br(found))
        f.inc(d, 1)
        f.brIf(again, d.lt(n))
      })
    })
    f.return(d)
    f.unreachable()
    const { exports } = compileWith(m)
    expect([9, 35, 13].map((n) => call(exports, 'divisor', n))).toEqual([3, 5, 13])
  })

  it('counts with for, chooses with if else, calls ahead of definition and imports', () => {
    const m = new ModuleBuilder({ maximum: 1 })
    const outside = m.import('host', 'note', ['i32'], 'i32')
    const main = m.function('main', ['i32'], { export: true })
    const inner = m.function('inner', ['i32', 'i64'])
    const [n] = main.params
    const sum = main.local('i32')
    const i = main.local('i32')
    main.for(i, 0, n, 1, () => {
      main.if(
        i.and(1).eqz(),
        () => main.inc(sum, i),
        () => main.call(outside, [i]),
      )
    })
    main.call(inner, [sum, 5])
    const [x, y] = inner.params
    inner.store(8, x.add(i32.wrap_i64(i64.shl(y, 2))))
    const noted: number[] = []
    const { exports, memory } = compileWith(m, { host: { note: (x: number) => noted.push(x) } })
    call(exports, 'main', 5)
    expect(noted).toEqual([1, 3])
    expect(new Int32Array(memory.buffer)[2]).toBe(0 + 2 + 4 + 20)
    expect(() => m.import('host', 'late', [])).toThrow(/before/)
  })

  it('encodes constants of every size', () => {
    const values = [0, 1, -1, 63, 64, -64, -65, 127, 128, 8191, 8192, 2 ** 31 - 1, -(2 ** 31), 0xffffffff]
    const m = new ModuleBuilder({ maximum: 1 })
    values.forEach((value, i) => {
      m.function(`c${i}`, [], { export: true, result: 'i32' }).return(i32.const(value))
    })
    m.function('big', [], { export: true, result: 'i64' }).return(i64.const(0x123456789abcdef0n))
    m.function('half', [], { export: true, result: 'f32' }).return(f32.const(0.1))
    m.function('tenth', [], { export: true, result: 'f64' }).return(f64.mul(0.1, 1))
    const { exports } = compileWith(m)
    expect(values.map((_, i) => call(exports, `c${i}`))).toEqual(values.map((v) => v | 0))
    expect(call(exports, 'big')).toBe(0x123456789abcdef0n)
    expect(call(exports, 'half')).toBe(Math.fround(0.1))
    expect(call(exports, 'tenth')).toBe(0.1)
  })

  it('copies and fills memory, and moves lanes', () => {
    const m = new ModuleBuilder({ maximum: 1 })
    const f = m.function('go', [], { export: true })
    f.memoryCopy(128, 64, 32)
    f.memoryFill(160, 1, 4)
    const x = f.let(v128.load(64))
    f.storeLane(256, x, 2, 4)
    f.store(272, v128.load32_lane(64, x, 3, 4))
    f.store(288, v128.load32_splat(64, 8))
    f.store(304, i32x4.shuffle(x, v128.load(80), [3, 0, 7, 4]))
    const { exports, memory } = compileWith(m)
    const words = new Int32Array(memory.buffer)
    words.set([1, 2, 3, 4, 5, 6, 7, 8], 16)
    call(exports, 'go')
    expect([...words.slice(32, 41)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 0x01010101])
    expect([...words.slice(64, 80)]).toEqual([0, 3, 0, 0, 1, 2, 3, 2, 3, 3, 3, 3, 4, 1, 8, 5])
  })

  it('has atomics on shared memory', () => {
    const m = new ModuleBuilder({ shared: true, maximum: 2 })
    const f = m.function('go', [], { export: true, result: 'i32' })
    f.atomicStore(8, 40)
    f.drop(i32.atomicAdd(8, 2))
    f.drop(i32.atomicSub(8, 35))
    f.drop(i32.atomicNotify(8, 1))
    const woken = f.let(i32.atomicWait(8, 0, -1))
    f.return(i32.atomicLoad(8).mul(10).add(woken))
    const { exports } = compileWith(m)
    expect(call(exports, 'go')).toBe(71)
  })

  // One row per instruction that is easy to get wrong by a digit: lanes in, expected lane 0 (or scalar) out.
  const i = (...x: [number, number, number, number]) => i32x4.constants(...x)
  const f = (x: number) => f32x4.const(x)
  const lane = (v: Value<'v128'>) => i32x4.extract_lane(v, 0)
  const flane = (v: Value<'v128'>) => f32x4.extract_lane(v, 0)
  // No kernel takes single lanes of f64 apart: written as bytes.
  const dlane = (v: Value<'v128'>) => new Value('f64', `${v.code}\xfd\x21\0`)
  const llane = (v: Value<'v128'>) => new Value('i64', `${v.code}\xfd\x1d\0`)
  const rows: readonly (readonly [string, Value, number | bigint])[] = [
    ['i32x4.add', lane(i32x4.add(i(5, 0, 0, 0), i(7, 0, 0, 0))), 12],
    ['i32x4.sub', lane(i32x4.sub(i(5, 0, 0, 0), i(7, 0, 0, 0))), -2],
    ['i32x4.mul', lane(i32x4.mul(i(5, 0, 0, 0), i(-7, 0, 0, 0))), -35],
    ['i32x4.shl', lane(i32x4.shl(i(5, 0, 0, 0), 3)), 40],
    ['i32x4.shr_s', lane(i32x4.shr_s(i(-8, 0, 0, 0), 1)), -4],
    ['i32x4.shr_u', lane(i32x4.shr_u(i(-8, 0, 0, 0), 1)), 0x7ffffffc],
    ['i32x4.lt_s', lane(i32x4.lt_s(i(-1, 0, 0, 0), i(1, 0, 0, 0))), -1],
    ['i32x4.lt_u', lane(i32x4.lt_u(i(-1, 0, 0, 0), i(1, 0, 0, 0))), 0],
    ['i32x4.le_s', lane(i32x4.le_s(i(1, 0, 0, 0), i(1, 0, 0, 0))), -1],
    ['i32x4.le_u', lane(i32x4.le_u(i(-1, 0, 0, 0), i(1, 0, 0, 0))), 0],
    ['i32x4.gt_s', lane(i32x4.gt_s(i(-1, 0, 0, 0), i(1, 0, 0, 0))), 0],
    ['i32x4.gt_u', lane(i32x4.gt_u(i(-1, 0, 0, 0), i(1, 0, 0, 0))), -1],
    ['i32x4.ge_s', lane(i32x4.ge_s(i(-1, 0, 0, 0), i(1, 0, 0, 0))), 0],
    ['i32x4.ge_u', lane(i32x4.ge_u(i(-1, 0, 0, 0), i(1, 0, 0, 0))), -1],
    ['i32x4.eq', lane(i32x4.eq(i(3, 0, 0, 0), i(3, 0, 0, 0))), -1],
    ['i32x4.ne', lane(i32x4.ne(i(3, 0, 0, 0), i(3, 0, 0, 0))), 0],
    ['i32x4.min_s', lane(i32x4.min_s(i(-1, 0, 0, 0), i(1, 0, 0, 0))), -1],
    ['i32x4.min_u', lane(i32x4.min_u(i(-1, 0, 0, 0), i(1, 0, 0, 0))), 1],
    ['i32x4.max_s', lane(i32x4.max_s(i(-1, 0, 0, 0), i(1, 0, 0, 0))), 1],
    ['i32x4.max_u', lane(i32x4.max_u(i(-1, 0, 0, 0), i(1, 0, 0, 0))), -1],
    ['i32x4.abs', lane(i32x4.abs(i(-9, 0, 0, 0))), 9],
    ['i32x4.neg', lane(i32x4.neg(i(9, 0, 0, 0))), -9],
    ['i32x4.trunc_sat_f32x4_s', lane(i32x4.trunc_sat_f32x4_s(f(-3.7))), -3],
    ['i32x4.trunc_sat_f32x4_u', lane(i32x4.trunc_sat_f32x4_u(f(4e9))), 4000000000 | 0],
    ['f32x4.add', flane(f32x4.add(f(1.5), f(2))), 3.5],
    ['f32x4.sub', flane(f32x4.sub(f(1.5), f(2))), -0.5],
    ['f32x4.mul', flane(f32x4.mul(f(1.5), f(2))), 3],
    ['f32x4.div', flane(f32x4.div(f(1.5), f(2))), 0.75],
    ['f32x4.pmin takes the first on NaN', flane(f32x4.pmin(f(1.5), f(NaN))), 1.5],
    ['f32x4.pmax takes the first on NaN', flane(f32x4.pmax(f(NaN), f(1))), NaN],
    ['f32x4.abs', flane(f32x4.abs(f(-2))), 2],
    ['f32x4.neg', flane(f32x4.neg(f(2))), -2],
    ['f32x4.sqrt', flane(f32x4.sqrt(f(9))), 3],
    ['f32x4.ceil', flane(f32x4.ceil(f(1.2))), 2],
    ['f32x4.floor', flane(f32x4.floor(f(-1.2))), -2],
    ['f32x4.trunc', flane(f32x4.trunc(f(-1.7))), -1],
    ['f32x4.nearest', flane(f32x4.nearest(f(2.5))), 2],
    ['f32x4.lt', lane(f32x4.lt(f(1), f(2))), -1],
    ['f32x4.gt', lane(f32x4.gt(f(1), f(2))), 0],
    ['f32x4.le', lane(f32x4.le(f(2), f(2))), -1],
    ['f32x4.ge', lane(f32x4.ge(f(1), f(2))), 0],
    ['f32x4.eq', lane(f32x4.eq(f(NaN), f(NaN))), 0],
    ['f32x4.ne', lane(f32x4.ne(f(NaN), f(NaN))), -1],
    ['f32x4.convert_i32x4_s', flane(f32x4.convert_i32x4_s(i(-2, 0, 0, 0))), -2],
    ['f32x4.convert_i32x4_u', flane(f32x4.convert_i32x4_u(i(-1, 0, 0, 0))), 2 ** 32],
    ['f32x4.demote_f64x2_zero', flane(f32x4.demote_f64x2_zero(f64x2.const(0.1))), Math.fround(0.1)],
    ['f64x2.promote_low_f32x4', dlane(f64x2.promote_low_f32x4(f(0.1))), Math.fround(0.1)],
    ['f64x2.add', dlane(f64x2.add(f64x2.const(1), f64x2.const(2))), 3],
    ['f64x2.sub', dlane(f64x2.sub(f64x2.const(1), f64x2.const(2))), -1],
    ['f64x2.mul', dlane(f64x2.mul(f64x2.const(3), f64x2.const(2))), 6],
    ['f64x2.div', dlane(f64x2.div(f64x2.const(3), f64x2.const(2))), 1.5],
    ['f64x2.pmin', dlane(f64x2.pmin(f64x2.const(1), f64x2.const(2))), 1],
    ['f64x2.pmax', dlane(f64x2.pmax(f64x2.const(1), f64x2.const(2))), 2],
    ['f64x2.convert_low_i32x4_s', dlane(f64x2.convert_low_i32x4_s(i(-1, 0, 0, 0))), -1],
    ['f64x2.convert_low_i32x4_u', dlane(f64x2.convert_low_i32x4_u(i(-1, 0, 0, 0))), 2 ** 32 - 1],
    ['i32x4.trunc_sat_f64x2_s_zero', lane(i32x4.trunc_sat_f64x2_s_zero(f64x2.const(-5.5))), -5],
    ['i32x4.trunc_sat_f64x2_u_zero', lane(i32x4.trunc_sat_f64x2_u_zero(f64x2.const(5.5))), 5],
    ['i64x2.shl', llane(i64x2.shl(i(3, 0, 0, 0), 40)), 3n << 40n],
    ['v128.and', lane(v128.and(i(12, 0, 0, 0), i(10, 0, 0, 0))), 8],
    ['v128.andnot', lane(v128.andnot(i(12, 0, 0, 0), i(10, 0, 0, 0))), 4],
    ['v128.or', lane(v128.or(i(12, 0, 0, 0), i(10, 0, 0, 0))), 14],
    ['v128.xor', lane(v128.xor(i(12, 0, 0, 0), i(10, 0, 0, 0))), 6],
    ['v128.not', lane(v128.not(i(12, 0, 0, 0))), -13],
    ['v128.bitselect', lane(v128.bitselect(i(1, 0, 0, 0), i(2, 0, 0, 0), i(-1, 0, 0, 0))), 1],
    ['v128.any_true', v128.any_true(i(0, 0, 1, 0)), 1],
    ['select of vectors', lane(select(0, i(1, 0, 0, 0), i(2, 0, 0, 0))), 2],
    ['select of scalars', select(i32.const(1), f32.const(1), f32.const(2)), 1],
    ['i32 divU', i32.const(-1).divU(2), 0x7fffffff],
    ['i32 shrU', i32.const(-1).shrU(28), 15],
    ['i64.mul', i64.mul(3, 5), 15n],
    ['i64.shr_u', i64.shr_u(-1, 60), 15n],
    ['i64.extend_i32_u', i64.extend_i32_u(-1), 0xffffffffn],
    ['f64.convert_i64_s', f64.convert_i64_s(i64.const(-3)), -3],
    ['i32 gt', i32.const(-1).gt(1), 0],
    ['i32 geU', i32.const(-1).geU(1), 1],
    ['i32 shrS', i32.const(-8).shrS(1), -4],
    ['i32 remU', i32.const(-1).remU(10), 5],
    ['i32.reinterpret_f32', i32.reinterpret_f32(1), 0x3f800000],
    ['i32x4.replace_lane', lane(i32x4.replace_lane(i(1, 2, 3, 4), 0, 9)), 9],
    ['i64.or', i64.or(5, 2), 7n],
    ['i64.add', i64.add(5, -7), -2n],
    ['i64.sub', i64.sub(5, -7), 12n],
    ['f32.add', f32.add(1.5, 2), 3.5],
    ['f32.div', f32.div(1.5, 2), 0.75],
    ['f32.ne', f32.ne(Number.NaN, Number.NaN), 1],
    ['f32.gt', f32.gt(2, 1), 1],
    ['f32.convert_i32_s', f32.convert_i32_s(-3), -3],
    ['f32.demote_f64', f32.demote_f64(0.1), Math.fround(0.1)],
  ]
  it.each(rows)('%s', (_name, value, expected) => {
    const m = new ModuleBuilder({ maximum: 1 })
    m.function('go', [], { export: true, result: value.type }).return(value)
    expect(call(compileWith(m).exports, 'go')).toBe(expected)
  })

  const relaxed = new ModuleBuilder({ maximum: 1 })
  relaxed.function('go', [], { export: true, result: 'f32' }).return(flane(f32x4.relaxed_madd(f(2), f(3), f(4))))
  it.runIf(WebAssembly.validate(relaxed.build()))('f32x4.relaxed_madd', () => {
    expect(call(compileWith(relaxed).exports, 'go')).toBe(10)
  })
})
