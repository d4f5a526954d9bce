import { f32x4, type FunctionBuilder, i32, i32x4, ModuleBuilder, v128 } from '../../../src/backends/wasm/assembler.js'
import { emitMath, type MathContext, type MathOp, type Vector } from '../../../src/backends/wasm/math/index.js'
import { hasRelaxedSimd, type Mode, modes } from '../../../src/backends/wasm/modes.js'

/** The modes whose code this engine can run; '256' is the code of 'fma' with another tile. */
export const runnableModes: readonly Mode[] = hasRelaxedSimd() ? [modes.plain, modes.fma] : [modes.plain]

export interface MathLoop {
  /** Elements it can take at once; a multiple of 16. */
  readonly capacity: number
  readonly x: Float32Array
  readonly y: Float32Array
  readonly result: Float32Array
  /** Computes the first `count` results, a multiple of 16. */
  run(count: number): void
}

/** A loop over four vectors at a time around one function, as the code generator writes them. */
export function mathLoop(op: MathOp, mode: Mode, capacity = 65536): MathLoop {
  const tableAt = 1024
  const dataAt = 16384
  const table: number[] = []
  const module = new ModuleBuilder()
  const fn = module.function('map', ['i32', 'i32', 'i32', 'i32'], { export: true })
  const [x, y, d, n] = fn.params
  const free: Vector[] = []
  const helpers = new Map<string, FunctionBuilder>()
  const fromTable = (bits: number) => {
    const known = table.indexOf(bits)
    return v128.load32_splat(i32.const(0), tableAt + 4 * (known >= 0 ? known : table.push(bits) - 1))
  }
  const context: MathContext = {
    fn: fn as unknown as FunctionBuilder,
    mode,
    f32: (value) =>
      mode.fma ? fromTable(new Int32Array(new Float32Array([value]).buffer)[0] ?? 0) : f32x4.const(value),
    i32: (bits) => (mode.fma ? fromTable(bits | 0) : i32x4.const(bits)),
    mad: (a, b, c) => (mode.fma ? f32x4.relaxed_madd(a, b, c) : f32x4.add(f32x4.mul(a, b), c)),
    temp: () => free.pop() ?? fn.local('v128'),
    release: (local) => {
      free.push(local)
    },
    helper: (name, define) => {
      const known = helpers.get(name)
      if (known) return known as ReturnType<typeof define>
      const made = define(module)
      helpers.set(name, made)
      return made
    },
  }
  const four = [0, 16, 32, 48]
  fn.while(n, () => {
    const xs = four.map((offset) => fn.let(v128.load(x, offset)))
    const ys = op === 'pow' ? four.map((offset) => fn.let(v128.load(y, offset))) : undefined
    for (const [i, result] of emitMath(op, context, xs, ys).entries()) fn.store(d, result, i * 16)
    for (const pointer of [x, y, d]) fn.inc(pointer, 64)
    fn.inc(n, -1)
  })
  const memory = new WebAssembly.Memory({ initial: Math.ceil((dataAt + capacity * 12) / 65536), maximum: 65536 })
  new Int32Array(memory.buffer).set([...table, 0], tableAt >>> 2)
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.build()), { env: { memory } })
  const map = exports.map as (x: number, y: number, d: number, n: number) => void
  const part = (i: number) => dataAt + i * capacity * 4
  const array = (i: number) => new Float32Array(memory.buffer, part(i), capacity)
  return {
    capacity,
    x: array(0),
    y: array(1),
    result: array(2),
    run: (count) => map(part(0), part(1), part(2), count >> 4),
  }
}

/** Size of one unit in the last place of the f32 nearest to `value`. */
function ulp(value: number): number {
  const size = Math.abs(Math.fround(value))
  if (!(size < 2 ** 128)) return 2 ** 104
  return 2 ** (Math.max(Math.floor(Math.log2(size)), -126) - 23)
}

/** How far an f32 result is from the exact value, in ulps of that value. ∞ counts as the number after the largest. */
export function ulpError(result: number, exact: number): number {
  if (Number.isNaN(result) || Number.isNaN(exact))
    return Number.isNaN(result) && Number.isNaN(exact) ? 0 : Number.POSITIVE_INFINITY
  const bounded = (v: number) => Math.max(Math.min(v, 2 ** 128), -(2 ** 128))
  return Math.abs(bounded(result) - bounded(exact)) / ulp(bounded(exact))
}

/** Numbers from 0 to 1, the same every time. */
export function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
