import { type Expr, input, scalar } from '../../kernels/expr.js'
import type { ForeachKernel, Part } from '../../kernels/kernel.js'
import type { DType } from '../../tensor/dtype.js'
import { type ConformanceCase, exact } from './case.js'
import { type Random, contentsOf, randomContents } from './random.js'

interface Pass {
  readonly inputs: readonly DType[]
  readonly exprs: readonly Expr[]
  /** Per output: the input it overwrites, or none for memory of its own. */
  readonly inPlace: readonly (number | undefined)[]
  readonly scalars: readonly number[]
  /** The values of an input must not be negative: a square root is taken. */
  readonly positive?: readonly number[]
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

export function foreachCases(random: Random): ConformanceCase[] {
  return Object.entries(passes).flatMap(([passName, pass]) =>
    Object.entries(models).flatMap(([modelName, lengths]) =>
      [true, false].map((packed) => {
        const name = `${passName}, ${modelName}, ${packed ? 'one buffer per operand' : 'a buffer per part'}`
        return foreachCase(name, random, pass, lengths, packed)
      }),
    ),
  )
}

function foreachCase(
  name: string,
  random: Random,
  pass: Pass,
  lengths: readonly number[],
  packed: boolean,
): ConformanceCase {
  const { inputs, exprs, inPlace, scalars, positive = [] } = pass
  const outputs = exprs.map(({ dtype }) => dtype)
  // Operands with memory: all inputs, and the outputs that overwrite none of them.
  const owned = [...inputs, ...outputs.filter((_, i) => inPlace[i] === undefined)]
  let next = inputs.length
  const operandOf = [...inputs.keys(), ...inPlace.map((over) => over ?? next++)]

  const buffers = owned.map((dtype, i) =>
    packed
      ? [pack(random, dtype, lengths, positive.includes(i))]
      : lengths.map((length) => pack(random, dtype, [length], positive.includes(i))),
  )
  const flat = buffers.flat()
  const parts: Part[] = lengths.map((length, at) => ({
    length,
    operands: operandOf.map((operand) => ({
      buffer: packed ? operand : operand * lengths.length + at,
      offset: 1 + (packed ? lengths.slice(0, at).reduce((sum, n) => sum + n + 1, 0) : 0),
    })),
  }))
  const kernel: ForeachKernel = { kind: 'foreach', inputs, outputs, exprs, parts }
  return { name: `foreach/${name}`, kernel, buffers: flat, scalars, tolerance: exact }
}

/** Parts one after the other, with an element before, between and behind them that must not change. */
function pack(random: Random, dtype: DType, lengths: readonly number[], positive: boolean) {
  const values = randomContents(
    random,
    dtype,
    lengths.reduce((sum, length) => sum + length + 1, 1),
    'plain',
  )
  return positive ? contentsOf(dtype, Array.from(values, Math.abs)) : values
}
