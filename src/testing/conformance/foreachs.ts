import { type Expr, index, input, scalar, uniform } from '../../kernels/expr.js'
import type { ForeachKernel, Part, Place, Reduction } from '../../kernels/kernel.js'
import type { DType } from '../../tensor/dtype.js'
import { type ConformanceCase, equal, exact, type Tolerance } from './case.js'
import { contentsOf, type Random, randomContents, type Style } from './random.js'

interface Pass {
  readonly inputs: readonly DType[]
  readonly exprs: readonly Expr[]
  /** Per output: the input it overwrites, or none for memory of its own. */
  readonly inPlace: readonly (number | undefined)[]
  readonly scalars: readonly number[]
  /** The values of an input must not be negative: a square root is taken. */
  readonly positive?: readonly number[]
  readonly uniforms?: readonly DType[]
  /** Three of four parts have a guard, which holds for some. */
  readonly guarded?: true
  readonly reductions?: readonly Omit<Reduction, 'result'>[]
  readonly style?: Style
  /** One value of every input becomes NaN. */
  readonly withNaN?: true
  /** `reals`: what any order of summation may lose is allowed in the results of reductions. */
  readonly tolerance?: Tolerance | 'reals'
}

const [p, g, m, v] = [input(0, 'f32'), input(1, 'f32'), input(2, 'f32'), input(3, 'f32')] as const
const s = (slot: number) => scalar(slot, 'f32')

const newM = m.add(g.sub(m).mul(s(0)))
const newV = v.mul(s(1)).add(g.mul(g).mul(s(2)))

const passes: Readonly<Record<string, Pass>> = {
  copy: { inputs: ['f32'], exprs: [p], inPlace: [undefined], scalars: [] },
  'moving average': { inputs: ['f32', 'f32'], exprs: [p.lerp(g, s(0), s(1))], inPlace: [0], scalars: [0.001, 0.999] },
  Adam: {
    inputs: ['f32', 'f32', 'f32', 'f32'],
    exprs: [p.sub(newM.div(newV.sqrt().add(s(4))).mul(s(3))), newM, newV],
    inPlace: [0, 2, 3],
    scalars: [0.1, 0.999, 0.001, 1e-3, 1e-8],
    positive: [3],
  },
  'a counter and a mask': {
    inputs: ['i32', 'bool'],
    exprs: [input(0, 'i32').add(input(1, 'bool').cast('i32')), input(1, 'bool').not()],
    inPlace: [0, undefined],
    scalars: [],
  },
  'an f32 average of bf16': {
    inputs: ['f32', 'bf16'],
    exprs: [p.lerp(input(1, 'bf16').cast('f32'), s(0), s(1))],
    inPlace: [0],
    scalars: [0.001, 0.999],
  },
  'an f16 step in place, and what it was as bf16': {
    inputs: ['f16', 'f32'],
    exprs: [
      input(0, 'f16')
        .cast('f32')
        .sub(g.mul(s(0)))
        .cast('f16'),
      input(0, 'f16').cast('bf16'),
    ],
    inPlace: [0, undefined],
    scalars: [0.1],
  },
  f64: { inputs: ['f64', 'f64'], exprs: [input(0, 'f64').mul(0.5).add(input(1, 'f64'))], inPlace: [0], scalars: [] },
}

/** What has more than operands and expressions. */
const steered: Readonly<Record<string, Pass>> = {
  'positions counted over all parts': {
    inputs: ['u32'],
    exprs: [index().add(input(0, 'u32').and(1))],
    inPlace: [0],
    scalars: [],
    guarded: true,
  },
  'a rate of its own for each part': {
    inputs: ['f32', 'f32'],
    exprs: [p.add(g.sub(p).mul(uniform(0, 'f32').mul(s(0))))],
    inPlace: [0],
    scalars: [0.5],
    uniforms: ['f32'],
  },
  'uniforms of every dtype': {
    inputs: ['f32'],
    exprs: [
      uniform(3, 'bool').select(p.mul(uniform(0, 'f32')), uniform(1, 'i32').cast('f32')),
      uniform(2, 'u32').add(uniform(1, 'i32').cast('u32')),
    ],
    inPlace: [0, undefined],
    scalars: [],
    uniforms: ['f32', 'i32', 'u32', 'bool'],
  },
  'skipped parts': {
    inputs: ['f32', 'f32', 'f32', 'f32'],
    exprs: [p.sub(newM.div(newV.sqrt().add(uniform(0, 'f32').abs())).mul(s(3))), newM, newV],
    inPlace: [0, 2, 3],
    scalars: [0.1, 0.999, 0.001, 1e-3],
    positive: [3],
    uniforms: ['f32'],
    guarded: true,
  },
  'reductions alone': {
    inputs: ['f32', 'i32', 'u32', 'bool'],
    exprs: [],
    inPlace: [],
    scalars: [],
    style: 'whole',
    tolerance: equal,
    reductions: (['f32', 'i32', 'u32', 'bool'] as const).flatMap((dtype, slot) =>
      (['sum', 'max', 'min'] as const).flatMap((combine) =>
        dtype === 'bool' && combine === 'sum'
          ? []
          : (['part', 'all'] as const).map((over) => ({ combine, expr: input(slot, dtype), over })),
      ),
    ),
  },
  'an extreme with NaN': {
    inputs: ['f32'],
    exprs: [],
    inPlace: [],
    scalars: [],
    withNaN: true,
    tolerance: equal,
    reductions: (['max', 'min'] as const).flatMap((combine) =>
      (['part', 'all'] as const).map((over) => ({ combine, expr: p.add(1), over })),
    ),
  },
  'reductions beside an update, of values before it': {
    inputs: ['f32', 'f32'],
    exprs: [p.lerp(g, s(0), s(1))],
    inPlace: [0],
    scalars: [0.25, 0.75],
    style: 'whole',
    tolerance: equal,
    reductions: [
      { combine: 'sum', expr: g.sub(p).square(), over: 'all' },
      { combine: 'sum', expr: p, over: 'part' },
      { combine: 'max', expr: g.sub(p).abs(), over: 'part' },
      { combine: 'min', expr: g.isFinite(), over: 'all' },
      { combine: 'sum', expr: p.ne(0).cast('i32').mul(uniform(0, 'i32')), over: 'all' },
    ],
    uniforms: ['i32'],
    guarded: true,
  },
  'sums of reals': {
    inputs: ['f32', 'f32'],
    exprs: [p.mul(0.5)],
    inPlace: [0],
    scalars: [],
    tolerance: 'reals',
    reductions: [
      { combine: 'sum', expr: p, over: 'all' },
      { combine: 'sum', expr: p.mul(g), over: 'part' },
    ],
    guarded: true,
  },
  'a sum of f64': {
    inputs: ['f64'],
    exprs: [],
    inPlace: [],
    scalars: [],
    tolerance: 'reals',
    reductions: [{ combine: 'sum', expr: input(0, 'f64').mul(uniform(0, 'f64')), over: 'part' }],
    uniforms: ['f64'],
  },
}

/** Lengths of the parts; each operand of each part lies in a buffer of its own or shares one with the others. */
const models: Readonly<Record<string, readonly number[]>> = {
  nothing: [],
  'one part': [37],
  'an empty part': [5, 0, 7],
  'every tail': Array.from({ length: 35 }, (_, i) => i),
  'one large part': [80_001],
  'large and small parts': [40_001, 1, 3, 16, 20_000, 64, 2],
  'many parts': Array.from({ length: 161 }, (_, i) => 1 + ((i * 37) % 129)),
}

const few = ['nothing', 'an empty part', 'every tail', 'large and small parts']

export function foreachCases(random: Random): ConformanceCase[] {
  const cases = (some: typeof passes, names: readonly string[], packings: readonly boolean[]) =>
    Object.entries(some).flatMap(([passName, pass]) =>
      names.flatMap((modelName) =>
        packings.map((packed) => {
          const name = `${passName}, ${modelName}, ${packed ? 'one buffer per operand' : 'a buffer per part'}`
          return foreachCase(name, random, pass, models[modelName] ?? [], packed)
        }),
      ),
    )
  return [...cases(passes, Object.keys(models), [true, false]), ...cases(steered, few, [true])]
}

function foreachCase(
  name: string,
  random: Random,
  pass: Pass,
  lengths: readonly number[],
  packed: boolean,
): ConformanceCase {
  const { inputs, exprs, inPlace, scalars, positive = [], uniforms = [], reductions = [], style = 'plain' } = pass
  const outputs = exprs.map(({ dtype }) => dtype)
  // Operands with memory: all inputs, and the outputs that overwrite none of them.
  const owned = [...inputs, ...outputs.filter((_, i) => inPlace[i] === undefined)]
  let next = inputs.length
  const operandOf = [...inputs.keys(), ...inPlace.map((over) => over ?? next++)]

  const filled = (dtype: DType, sizes: readonly number[], i: number) => {
    const values = pack(random, dtype, sizes, style, positive.includes(i))
    if (pass.withNaN) values[random.whole(1, Math.max(1, values.length - 2))] = Number.NaN
    return values
  }
  const flat = owned.flatMap((dtype, i) =>
    packed ? [filled(dtype, lengths, i)] : lengths.map((length) => filled(dtype, [length], i)),
  )
  /** Contents of one element a part, behind one that must not change; where that of each part is. */
  const perPart = (dtype: DType): ((part: number) => Place) => {
    const buffer = flat.push(pack(random, dtype, [lengths.length], style, false)) - 1
    return (part) => ({ buffer, offset: 1 + part })
  }
  const uniformOf = uniforms.map(perPart)
  const guardOf = pass.guarded && perPart('bool')
  const results = reductions.map(({ expr }) => perPart(expr.dtype)(0))
  const parts: Part[] = lengths.map((length, at) => ({
    length,
    operands: operandOf.map((operand) => ({
      buffer: packed ? operand : operand * lengths.length + at,
      offset: 1 + (packed ? lengths.slice(0, at).reduce((sum, n) => sum + n + 1, 0) : 0),
    })),
    ...(uniforms.length > 0 && { uniforms: uniformOf.map((place) => place(at)) }),
    ...(guardOf && at % 4 !== 3 && { guard: guardOf(at) }),
  }))
  const reduced = (change: (expr: Expr) => Expr): ForeachKernel => ({
    kind: 'foreach',
    inputs,
    outputs,
    exprs,
    parts,
    ...(uniforms.length > 0 && { uniforms }),
    ...(reductions.length > 0 && {
      reductions: reductions.map((each, r) => ({
        ...each,
        expr: change(each.expr),
        result: results[r] ?? { buffer: 0, offset: 0 },
      })),
    }),
  })
  const kernel = reduced((expr) => expr)
  const tolerance = (): Tolerance => {
    if (pass.tolerance !== 'reals') return pass.tolerance ?? exact
    const terms = lengths.reduce((sum, length) => sum + length, 4)
    return { kind: 'sum', terms, magnitudes: { kernel: reduced((expr) => expr.abs()), buffers: flat } }
  }
  return { name: `foreach/${name}`, kernel, buffers: flat, scalars, tolerance: tolerance() }
}

/** Parts one after the other, with an element before, between and behind them that must not change. */
function pack(random: Random, dtype: DType, lengths: readonly number[], style: Style, positive: boolean) {
  const values = randomContents(
    random,
    dtype,
    lengths.reduce((sum, length) => sum + length + 1, 1),
    style,
  )
  return positive ? contentsOf(dtype, Array.from(values, Math.abs)) : values
}
