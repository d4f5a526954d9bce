import * as d from '../../src/ops/index.js'
import type { Range } from '../../src/shapes/slice.js'
import {
  bools,
  distinct,
  edges,
  exactly,
  floats,
  type InputSpec,
  ints,
  moderateEdges,
  probabilities,
} from './inputs.js'

/**
 * The one op table. Each row is checked against PyTorch (forward and gradients, tests/golden/ops), against central
 * differences in f64, on wasm against the reference, on views, taped against untaped, and for its errors.
 * After a change here: python tools/golden/ops.py
 */

// biome-ignore lint/suspicious/noExplicitAny: the table is about run time; tests/ops/types.test.ts compares types and shapes
export type AnyX = any

/** Why a check does not apply to a row: a sentence, so that nothing is left out in silence. */
type Reason = string

export interface Row {
  /** The exported name. */
  readonly op: string
  /** What sets this row apart from others of the op. */
  readonly variant?: string
  readonly call: (...inputs: AnyX[]) => AnyX
  /** The same in PyTorch; a, b, c and d are the inputs. */
  readonly torch: string
  /** The inputs of each case. */
  readonly inputs: readonly (readonly InputSpec[])[]
  /** Set when the result has no gradient. */
  readonly noGradient?: Reason
  /** Inputs that get no gradient though they are floats, by position. */
  readonly constant?: readonly number[]
  /** Kinks, where central differences mean nothing. */
  readonly avoid?: readonly number[]
  /** Cases (by position) that central differences cannot check, and why. */
  readonly uncheckable?: { readonly cases: readonly number[]; readonly reason: Reason }
  /** f32 tolerances against PyTorch in f64, where the default (1e-5 relative, 1e-6 absolute) does not do. */
  readonly tolerance?: { readonly rtol?: number; readonly atol?: number; readonly reason: Reason }
}

const shape = [3, 4]
const small: InputSpec[] = [floats(shape)]
const positive: InputSpec[] = [floats(shape, 0.1, 4)]
const pair = (low = -2, high = 2): InputSpec[] => [floats(shape, low, high), floats(shape, low, high)]
const pairEdges: InputSpec[] = [
  exactly([12], [0, 1, -1, 1e-30, 300, -300, 1e20, Number.NaN, 2, 0, -3, 7]),
  exactly([12], [1, 1, -2, 3, 300, -2, 1e-10, 1, Number.NaN, 4, -3, 7]),
]
const singles: InputSpec[] = [floats([1])]
const scalars: InputSpec[] = [floats([])]
const empty: InputSpec[] = [floats([0, 3])]
const atEdges = (position: number) => ({
  cases: [position],
  reason: 'infinite, NaN or kinked values have no slope to measure',
})

const elementwise: Row[] = [
  {
    op: 'add',
    call: d.add,
    torch: 'a + b',
    inputs: [pair(), [floats([]), floats([])], [floats([2, 0]), floats([2, 0])], pairEdges],
    uncheckable: atEdges(3),
  },
  {
    op: 'add',
    variant: 'number',
    call: (x) => d.add(1.5, d.add(x, 0.25)),
    torch: '1.5 + (a + 0.25)',
    inputs: [small, singles],
  },
  { op: 'add', variant: 'to itself', call: (x) => d.add(x, x), torch: 'a + a', inputs: [small] },
  {
    op: 'add',
    variant: 'of i32',
    call: d.add,
    torch: 'a + b',
    inputs: [
      [ints(shape, -99, 99), ints(shape, -99, 99)],
      [exactly([2], [2147483647, -2147483648], 'i32'), exactly([2], [1, -1], 'i32')],
    ],
    noGradient: 'integers',
  },
  { op: 'sub', call: d.sub, torch: 'a - b', inputs: [pair(), pairEdges], uncheckable: atEdges(1) },
  {
    op: 'sub',
    variant: 'number',
    call: (x) => d.sub(1.5, d.sub(x, 0.25)),
    torch: '1.5 - (a - 0.25)',
    inputs: [small, scalars],
  },
  { op: 'mul', call: d.mul, torch: 'a * b', inputs: [pair(), pairEdges], uncheckable: atEdges(1) },
  { op: 'mul', variant: 'number', call: (x) => d.mul(1.5, d.mul(x, 0.25)), torch: '1.5 * (a * 0.25)', inputs: [small] },
  { op: 'mul', variant: 'by itself', call: (x) => d.mul(x, x), torch: 'a * a', inputs: [small] },
  {
    op: 'mul',
    variant: 'of u32',
    call: d.mul,
    torch: 'a * b',
    inputs: [[ints(shape, 0, 70000, 'u32'), ints(shape, 0, 70000, 'u32')]],
    noGradient: 'integers',
  },
  {
    op: 'div',
    call: d.div,
    torch: 'a / b',
    inputs: [
      [floats(shape), floats(shape, 0.3, 2)],
      pairEdges,
      [exactly([4], [0, 1, -1, 2]), exactly([4], [0, 0, 0, -0])],
    ],
    uncheckable: { cases: [1, 2], reason: 'infinite and NaN quotients' },
  },
  { op: 'div', variant: 'number', call: (x) => d.div(1.5, d.div(x, 4)), torch: '1.5 / (a / 4)', inputs: [positive] },
  { op: 'neg', call: d.neg, torch: '-a', inputs: [small, [edges], empty], uncheckable: atEdges(1) },
  {
    op: 'exp',
    call: d.exp,
    torch: 'a.exp()',
    inputs: [small, [exactly([6], [0, -0, -200, 200, Infinity, -Infinity])], empty],
    uncheckable: atEdges(1),
  },
  {
    op: 'log',
    call: d.log,
    torch: 'a.log()',
    inputs: [positive, [exactly([6], [0, 1, 1e-30, 1e30, -1, Infinity])]],
    uncheckable: atEdges(1),
  },
  {
    op: 'log1p',
    call: d.log1p,
    torch: 'a.log1p()',
    inputs: [[floats(shape, -0.9, 3)], [exactly([6], [0, 1e-30, -1e-6, -1, 1e20, -2])]],
    uncheckable: atEdges(1),
  },
  {
    op: 'sqrt',
    call: d.sqrt,
    torch: 'a.sqrt()',
    inputs: [positive, [exactly([5], [0, 1e-30, 1e30, -1, Infinity])]],
    uncheckable: atEdges(1),
  },
  {
    op: 'square',
    call: d.square,
    torch: 'a.square()',
    inputs: [small, [exactly([5], [0, 1e-10, 1e10, -3, Number.NaN])]],
    uncheckable: atEdges(1),
  },
  { op: 'abs', call: d.abs, torch: 'a.abs()', inputs: [small, [edges]], avoid: [0], uncheckable: atEdges(1) },
  {
    op: 'abs',
    variant: 'of i32',
    call: d.abs,
    torch: 'a.abs()',
    inputs: [[ints(shape, -9, 9)]],
    noGradient: 'integers',
  },
  {
    op: 'recip',
    call: d.recip,
    torch: 'a.reciprocal()',
    inputs: [positive, [exactly([4], [0, -0, -1, 1e-10])]],
    uncheckable: atEdges(1),
  },
  {
    op: 'pow',
    call: d.pow,
    torch: 'a ** b',
    inputs: [
      [floats(shape, 0.1, 3), floats(shape)],
      [exactly([8], [0, 0, 0, 2, -2, -2, 1, 0]), exactly([8], [0, 1, 2, 0, 3, 2, 7, 0.5])],
    ],
    uncheckable: atEdges(1),
  },
  { op: 'pow', variant: '2', call: (x) => d.pow(x, 2), torch: 'a ** 2', inputs: [small] },
  {
    op: 'pow',
    variant: '3',
    call: (x) => d.pow(x, 3),
    torch: 'a ** 3',
    inputs: [small, [exactly([5], [-2, -1, 0, 1, 2])]],
  },
  {
    op: 'pow',
    variant: '-3',
    call: (x) => d.pow(x, -3),
    torch: 'a ** -3',
    inputs: [[floats(shape, 0.5, 2)], [exactly([5], [-2, -1, 0, 1, 2])]],
    uncheckable: atEdges(1),
  },
  { op: 'pow', variant: '0', call: (x) => d.pow(x, 0), torch: 'a ** 0', inputs: [small, [exactly([3], [-1, 0, 1])]] },
  { op: 'pow', variant: 'of a number', call: (x) => d.pow(2.5, x), torch: '2.5 ** a', inputs: [small] },
  {
    op: 'sin',
    call: d.sin,
    torch: 'a.sin()',
    inputs: [small, [exactly([6], [0, -0, 3.14, 100, -1e4, 1e6])]],
    uncheckable: atEdges(1),
  },
  {
    op: 'cos',
    call: d.cos,
    torch: 'a.cos()',
    inputs: [small, [exactly([6], [0, -0, 1.5707964, 100, -1e4, 1e6])]],
    uncheckable: atEdges(1),
  },
  { op: 'tanh', call: d.tanh, torch: 'a.tanh()', inputs: [small, [edges]], uncheckable: atEdges(1) },
  {
    op: 'sigmoid',
    call: d.sigmoid,
    torch: 'a.sigmoid()',
    inputs: [small, [edges], [exactly([5], [-2, -1, 0, 1, 2])]],
    uncheckable: atEdges(1),
  },
  { op: 'erf', call: d.erf, torch: 'a.erf()', inputs: [small, [edges]], uncheckable: atEdges(1) },
  {
    op: 'relu',
    call: d.relu,
    torch: 'F.relu(a)',
    inputs: [small, [edges], empty],
    avoid: [0],
    uncheckable: atEdges(1),
  },
  {
    op: 'leakyRelu',
    call: (x) => d.leakyRelu(x),
    torch: 'F.leaky_relu(a)',
    inputs: [small, [edges]],
    avoid: [0],
    uncheckable: atEdges(1),
  },
  {
    op: 'leakyRelu',
    variant: 'slope',
    call: (x) => d.leakyRelu(x, 0.3),
    torch: 'F.leaky_relu(a, 0.3)',
    inputs: [small],
    avoid: [0],
  },
  {
    op: 'gelu',
    call: (x) => d.gelu(x),
    torch: 'F.gelu(a)',
    inputs: [small, [edges], [exactly([5], [-2, -1, 0, 1, 2])]],
    uncheckable: atEdges(1),
  },
  {
    op: 'gelu',
    variant: 'tanh',
    call: (x) => d.gelu(x, { approximate: 'tanh' }),
    torch: "F.gelu(a, approximate='tanh')",
    inputs: [small, [moderateEdges], [exactly([5], [-2, -1, 0, 1, 2])]],
  },
  {
    op: 'softplus',
    call: d.softplus,
    torch: 'F.softplus(a)',
    inputs: [small, [floats(shape, 300, 400)], [floats(shape, -400, -300)], [edges]],
    uncheckable: atEdges(3),
  },
  {
    op: 'clamp',
    call: (x) => d.clamp(x, { min: -1, max: 1 }),
    torch: 'a.clamp(-1, 1)',
    inputs: [small, [exactly([2, 3], [-1, 0, 1, -2, 2, 1.1])], [edges]],
    avoid: [-1, 1],
    uncheckable: atEdges(2),
  },
  {
    op: 'clamp',
    variant: 'min',
    call: (x) => d.clamp(x, { min: 0.5 }),
    torch: 'a.clamp(min=0.5)',
    inputs: [small],
    avoid: [0.5],
  },
  {
    op: 'clamp',
    variant: 'max',
    call: (x) => d.clamp(x, { max: 0.5 }),
    torch: 'a.clamp(max=0.5)',
    inputs: [small],
    avoid: [0.5],
  },
  {
    op: 'clamp',
    variant: 'min above max',
    call: (x) => d.clamp(x, { min: 1, max: -1 }),
    torch: 'a.clamp(1, -1)',
    inputs: [small],
  },
  {
    op: 'clamp',
    variant: 'of i32',
    call: (x) => d.clamp(x, { max: 2 }),
    torch: 'a.clamp(max=2)',
    inputs: [[ints(shape, -9, 9)]],
    noGradient: 'integers',
  },
  {
    op: 'maximum',
    call: d.maximum,
    torch: 'torch.maximum(a, b)',
    inputs: [pair(), [exactly([2, 3], [-1, 0, 1, 3, 4, -5]), exactly([2, 3], [0, 0, -1, 3, -4, 5])], pairEdges],
    uncheckable: { cases: [1, 2], reason: 'ties and NaN' },
  },
  {
    op: 'maximum',
    variant: 'number',
    call: (x) => d.maximum(x, 0.5),
    torch: 'torch.maximum(a, torch.full_like(a, 0.5))',
    inputs: [small],
    avoid: [0.5],
  },
  {
    op: 'minimum',
    call: d.minimum,
    torch: 'torch.minimum(a, b)',
    inputs: [pair(), [exactly([2, 3], [-1, 0, 1, 3, 4, -5]), exactly([2, 3], [0, 0, -1, 3, -4, 5])], pairEdges],
    uncheckable: { cases: [1, 2], reason: 'ties and NaN' },
  },
  {
    op: 'minimum',
    variant: 'number',
    call: (x) => d.minimum(0.5, x),
    torch: 'torch.minimum(a, torch.full_like(a, 0.5))',
    inputs: [small],
    avoid: [0.5],
  },
  ...Object.entries({ eq: d.eq, ne: d.ne, lt: d.lt, le: d.le, gt: d.gt, ge: d.ge }).flatMap(([op, compare]): Row[] => [
    {
      op,
      call: compare,
      torch: `a.${op}(b)`,
      inputs: [pair(), pairEdges, [ints(shape, 0, 3), ints(shape, 0, 3)]],
      noGradient: 'bool',
    },
    {
      op,
      variant: 'number',
      call: (x) => compare(x, 1),
      torch: `a.${op}(1)`,
      inputs: [[ints(shape, 0, 2)], [edges]],
      noGradient: 'bool',
    },
    {
      op,
      variant: 'number on the left',
      call: (x) => compare(1, x),
      torch: `torch.ones_like(a).${op}(a)`,
      inputs: [[ints(shape, 0, 2)]],
      noGradient: 'bool',
    },
  ]),
  {
    op: 'eq',
    variant: 'of bool',
    call: d.eq,
    torch: 'a.eq(b)',
    inputs: [[bools(shape), bools(shape)]],
    noGradient: 'bool',
  },
  {
    op: 'isNan',
    call: d.isNan,
    torch: 'a.isnan()',
    inputs: [[edges], [exactly([3], [Infinity, Number.NaN, -Infinity])]],
    noGradient: 'bool',
  },
  {
    op: 'where',
    call: d.where,
    torch: 'torch.where(a, b, c)',
    inputs: [
      [bools(shape), floats(shape), floats(shape)],
      [exactly([2], [1, 0], 'bool'), exactly([2], [1, Number.NaN]), exactly([2], [Number.NaN, 2])],
      [bools([]), floats([]), floats([])],
    ],
    uncheckable: atEdges(1),
  },
  {
    op: 'where',
    variant: 'number',
    call: (c, x) => d.where(c, x, -1),
    torch: 'torch.where(a, b, -1.0)',
    inputs: [[bools(shape), floats(shape)]],
  },
  {
    op: 'where',
    variant: 'number first',
    call: (c, x) => d.where(c, 1.5, x),
    torch: 'torch.where(a, 1.5, b)',
    inputs: [[bools(shape), floats(shape)]],
  },
  {
    op: 'where',
    variant: 'of i32',
    call: (c, x) => d.where(c, x, 7),
    torch: 'torch.where(a, b, 7)',
    inputs: [[bools(shape), ints(shape, -9, 9)]],
    noGradient: 'integers',
  },
  {
    op: 'where',
    variant: 'two numbers',
    call: (c) => d.where(c, 1.5, -2),
    torch: 'torch.where(a, 1.5, -2.0)',
    inputs: [[bools(shape)]],
    noGradient: 'no input has one',
  },
  {
    op: 'cast',
    variant: 'to i32',
    call: (x) => d.cast(x, 'i32'),
    torch: 'a.to(torch.int32)',
    inputs: [[floats(shape, -9, 9)], [exactly([6], [0, -0, 1.9, -1.9, 1e9, -1e9])]],
    noGradient: 'integers',
  },
  {
    op: 'cast',
    variant: 'to bool',
    call: (x) => d.cast(x, 'bool'),
    torch: 'a.bool()',
    inputs: [[exactly([5], [0, -0, 0.1, -1, Number.NaN])], [ints(shape, -1, 1)]],
    noGradient: 'bool',
  },
  {
    op: 'cast',
    variant: 'of bool',
    call: (x) => d.cast(x, 'i32'),
    torch: 'a.to(torch.int32)',
    inputs: [[bools(shape)]],
    noGradient: 'integers',
  },
  {
    op: 'cast',
    variant: 'there and back',
    call: (x) => d.cast(d.cast(x, 'i32'), 'bool'),
    torch: 'a.to(torch.int32).bool()',
    inputs: [[floats(shape)]],
    noGradient: 'bool',
  },
]

/** A reduction over all axes and over some; `single`: whether one element is enough for it. */
const reduction = (op: string, call: Row['call'], torch: (dim: string) => string, single = true): Row[] => {
  const rows: Row[] = [
    {
      op,
      call: (x) => call(x),
      torch: torch('tuple(range(a.dim()))'),
      inputs: [[distinct([2, 3, 2])], [distinct([7])], [distinct([])], [distinct([1, 1])]],
    },
    {
      op,
      variant: 'axis 1',
      call: (x) => call(x, 1),
      torch: torch('1'),
      inputs: [[distinct([2, 3])], [distinct([2, 3, 4])], [distinct([3, 1, 2])]],
    },
    {
      op,
      variant: 'axis -1',
      call: (x) => call(x, -1),
      torch: torch('-1'),
      inputs: [[distinct([2, 5])], [distinct([2, 3, 4])]],
    },
    {
      op,
      variant: 'axes 0 and 2',
      call: (x) => call(x, [2, 0]),
      torch: torch('(0, 2)'),
      inputs: [[distinct([2, 3, 4])], [distinct([2, 2, 2, 2])]],
    },
  ]
  return single ? rows : rows.map((row) => ({ ...row, inputs: row.inputs.slice(0, 2) }))
}
const ties: InputSpec[] = [exactly([2, 3], [1, 2, 2, 3, -2, 2])]

const reduce: Row[] = [
  ...reduction('sum', d.sum, (dim) => `a.sum(${dim})`),
  { op: 'sum', variant: 'of an empty axis', call: (x) => d.sum(x, 1), torch: 'a.sum(1)', inputs: [[floats([2, 0])]] },
  {
    op: 'sum',
    variant: 'of i32',
    call: (x) => d.sum(x, 0),
    torch: 'a.sum(0)',
    inputs: [[ints(shape, -9, 9)]],
    noGradient: 'integers',
  },
  {
    op: 'sum',
    variant: 'long',
    call: (x) => d.sum(x),
    torch: 'a.sum()',
    inputs: [[floats([1000], 0, 1)]],
    uncheckable: { cases: [0], reason: '1000 elements take long and are all alike' },
  },
  ...reduction('mean', d.mean, (dim) => `a.mean(${dim})`),
  {
    op: 'mean',
    variant: 'of an empty axis',
    call: (x) => d.mean(x, 1),
    torch: 'a.mean(1)',
    inputs: [[floats([2, 0])]],
  },
  ...reduction('max', d.max, (dim) => `a.amax(${dim})`),
  {
    op: 'max',
    variant: 'ties',
    call: (x) => d.max(x, 0),
    torch: 'a.amax(0)',
    inputs: [ties, [exactly([3, 2], [Number.NaN, 1, 2, 1, 0, -0])]],
    uncheckable: { cases: [0, 1], reason: 'ties and NaN' },
  },
  {
    op: 'max',
    variant: 'of i32',
    call: (x) => d.max(x, 1),
    torch: 'a.amax(1)',
    inputs: [[ints(shape, -9, 9)]],
    noGradient: 'integers',
  },
  ...reduction('min', d.min, (dim) => `a.amin(${dim})`),
  {
    op: 'min',
    variant: 'ties',
    call: (x) => d.min(x, 0),
    torch: 'a.amin(0)',
    inputs: [ties, [exactly([3, 2], [Number.NaN, 1, 2, 1, 0, -0])]],
    uncheckable: { cases: [0, 1], reason: 'ties and NaN' },
  },
  ...reduction('variance', d.variance, (dim) => `a.var(${dim})`, false),
  {
    op: 'variance',
    variant: 'of one element',
    call: (x) => d.variance(x, 0),
    torch: 'a.var(0)',
    inputs: [[floats([1, 3])]],
    uncheckable: { cases: [0], reason: 'NaN' },
  },
  {
    op: 'variance',
    variant: 'biased',
    call: (x) => d.variance(x, 1, { correction: 0 }),
    torch: 'a.var(1, correction=0)',
    inputs: [[exactly([2, 4], [1, 2, 3, 4, 0, 2, 5, 10])], [floats([2, 1])], [floats([2, 5], 999, 1001)]],
    tolerance: { rtol: 1e-3, reason: 'elements of 1000 hold 7 digits, so their differences of up to 1 hold 4' },
  },
  ...reduction('std', d.std, (dim) => `a.std(${dim})`, false),
  {
    op: 'std',
    variant: 'biased',
    call: (x) => d.std(x, 0, { correction: 0 }),
    torch: 'a.std(0, correction=0)',
    inputs: [[exactly([2, 4], [1, 2, 3, 4, 0, 2, 5, 10])], [exactly([2, 2], [3, 3, 3, 4])]],
    uncheckable: { cases: [1], reason: 'the root has no slope at 0' },
  },
  ...reduction('logSumExp', d.logSumExp, (dim) => `a.logsumexp(${dim})`),
  {
    op: 'logSumExp',
    variant: 'edges',
    call: (x) => d.logSumExp(x, 1),
    torch: 'a.logsumexp(1)',
    inputs: [[exactly([3, 2], [1000, 1000, -1000, -1001, 0, -Infinity])]],
    uncheckable: { cases: [0], reason: 'infinite elements' },
    tolerance: {
      rtol: 1e-4,
      reason: 'a result of 1000 is 3e-5 from the next f32, which is the relative error of e^(x − y)',
    },
  },
  {
    op: 'logSumExp',
    variant: 'infinite',
    call: (x) => d.logSumExp(x, 1),
    torch: 'a.logsumexp(1)',
    inputs: [[exactly([2, 2], [-Infinity, -Infinity, Infinity, 0])]],
    noGradient: "PyTorch's is NaN in a row of −∞; ours is 0, see special.test.ts",
  },
  {
    op: 'argmax',
    call: (x) => d.argmax(x, 1),
    torch: 'a.argmax(1)',
    inputs: [
      [distinct([3, 4])],
      [distinct([2, 3, 2])],
      [exactly([2, 3], [1, Number.NaN, 3, 5, 4, 5])],
      [ints([3, 5], -20, 20)],
    ],
    noGradient: 'indices',
  },
  {
    op: 'argmax',
    variant: 'axis 0',
    call: (x) => d.argmax(x, 0),
    torch: 'a.argmax(0)',
    inputs: [[distinct([5])], [distinct([4, 3])]],
    noGradient: 'indices',
  },
  {
    op: 'argmin',
    call: (x) => d.argmin(x, -1),
    torch: 'a.argmin(-1)',
    inputs: [[distinct([3, 4])], [distinct([2, 3, 2])], [exactly([2, 3], [1, Number.NaN, 3, 4, 5, 4])]],
    noGradient: 'indices',
  },
]

const linalg: Row[] = [
  {
    op: 'matmul',
    call: d.matmul,
    torch: 'a @ b',
    inputs: [
      [floats([2, 3]), floats([3, 4])],
      [floats([3]), floats([3])],
      [floats([3]), floats([3, 2])],
      [floats([2, 3]), floats([3])],
      [floats([2, 3, 4]), floats([4, 5])],
      [floats([2, 3, 4]), floats([2, 4, 5])],
      [floats([2, 2, 3, 4]), floats([2, 2, 4, 2])],
      [floats([2, 2, 3, 4]), floats([4, 2])],
      [floats([1, 1]), floats([1, 1])],
      [floats([2, 0]), floats([0, 3])],
    ],
  },
  {
    op: 'linear',
    call: d.linear,
    torch: 'F.linear(a, b, c)',
    inputs: [
      [floats([4, 3]), floats([2, 3]), floats([2])],
      [floats([3]), floats([2, 3]), floats([2])],
      [floats([2, 2, 3]), floats([4, 3]), floats([4])],
    ],
  },
  {
    op: 'linear',
    variant: 'no bias',
    call: (x, w) => d.linear(x, w),
    torch: 'F.linear(a, b)',
    inputs: [[floats([4, 3]), floats([2, 3])]],
  },
]

const ranges: readonly Range[] = [[1, 3], null, [0, 1]]
const movement: Row[] = [
  {
    op: 'reshape',
    call: (x) => d.reshape(x, [4, -1]),
    torch: 'a.reshape(4, -1)',
    inputs: [[floats([2, 6])], [floats([2, 2, 3])], [ints([8], 0, 9)]],
  },
  {
    op: 'reshape',
    variant: 'to a scalar',
    call: (x) => d.reshape(x, []),
    torch: 'a.reshape(())',
    inputs: [[floats([1, 1])]],
  },
  {
    op: 'reshape',
    variant: 'of a permutation',
    call: (x) => d.reshape(d.permute(x, 1, 0), [6]),
    torch: 'a.permute(1, 0).reshape(6)',
    inputs: [[floats([2, 3])]],
  },
  {
    op: 'flatten',
    call: (x) => d.flatten(x),
    torch: 'torch.flatten(a, 1)',
    inputs: [[floats([2, 3, 2])], [floats([2, 3, 2, 2])], [floats([2, 3])]],
  },
  {
    op: 'flatten',
    variant: 'all',
    call: (x) => d.flatten(x, 0),
    torch: 'torch.flatten(a)',
    inputs: [[floats([2, 3, 2])], [floats([])]],
  },
  { op: 'permute', call: (x) => d.permute(x, 2, 0, 1), torch: 'a.permute(2, 0, 1)', inputs: [[floats([2, 3, 4])]] },
  {
    op: 'permute',
    variant: 'rank 4',
    call: (x) => d.permute(x, 0, 3, 1, 2),
    torch: 'a.permute(0, 3, 1, 2)',
    inputs: [[floats([2, 3, 1, 2])]],
  },
  {
    op: 'broadcastTo',
    call: (x) => d.broadcastTo(x, [2, 3, 4]),
    torch: 'a.expand(2, 3, 4)',
    inputs: [[floats([4])], [floats([3, 1])], [floats([])], [floats([2, 3, 4])], [floats([1, 1, 1])]],
  },
  { op: 'realize', call: (x) => d.realize(d.mul(x, 2) as AnyX, [2, 3]), torch: 'a * 2', inputs: [[floats([2, 3])]] },
  { op: 'slice', call: (x) => d.slice(x, ranges), torch: 'a[1:3, :, 0:1]', inputs: [[floats([4, 2, 3])]] },
  {
    op: 'slice',
    variant: 'twice',
    call: (x) => x.slice([[0, 2]]).add(x.slice([[1, 3]])),
    torch: 'a[0:2] + a[1:3]',
    inputs: [[floats([4])], [floats([3, 2])]],
  },
  { op: 'slice', variant: 'empty', call: (x) => d.slice(x, [[1, 1]]), torch: 'a[1:1]', inputs: [[floats([3, 2])]] },
  {
    op: 'select',
    call: (x) => d.select(x, 1, 2),
    torch: 'a.select(1, 2)',
    inputs: [[floats([2, 3])], [floats([2, 3, 2])]],
  },
  {
    op: 'select',
    variant: 'last',
    call: (x) => d.select(x, 0, -1),
    torch: 'a.select(0, -1)',
    inputs: [[floats([4])], [floats([2, 3])]],
  },
  {
    op: 'select',
    variant: 'of i32',
    call: (x) => d.select(x, 0, 1),
    torch: 'a.select(0, 1)',
    inputs: [[ints([3, 2], -9, 9)]],
    noGradient: 'integers',
  },
  {
    op: 'select',
    variant: 'by a tensor',
    call: (x, i) => d.select(x, 1, i),
    torch: 'a[torch.arange(a.shape[0]), b.long()]',
    inputs: [
      [floats([4, 3]), ints([4], 0, 2)],
      [floats([3, 4, 2]), ints([3], 0, 3)],
      [floats([3, 4]), ints([3], 0, 3, 'u32')],
    ],
  },
  {
    op: 'select',
    variant: 'by a tensor, last axis',
    call: (x, i) => d.select(x, -1, i),
    torch: 'a.gather(-1, b.long().unsqueeze(-1)).squeeze(-1)',
    inputs: [
      [floats([2, 3, 4]), ints([2, 3], 0, 3)],
      [floats([5]), ints([], 0, 4)],
    ],
  },
  {
    op: 'concat',
    call: (x, y) => d.concat([x, y], 1),
    torch: 'torch.cat([a, b], 1)',
    inputs: [
      [floats([2, 3]), floats([2, 2])],
      [floats([2, 1, 2]), floats([2, 3, 2])],
      [floats([2, 0]), floats([2, 2])],
    ],
  },
  {
    op: 'concat',
    variant: 'three',
    call: (x, y, z) => d.concat([x, y, z], -2),
    torch: 'torch.cat([a, b, c], -2)',
    inputs: [[floats([1, 2]), floats([3, 2]), floats([2, 2])]],
  },
  {
    op: 'concat',
    variant: 'with itself',
    call: (x) => d.concat([x, x], 0),
    torch: 'torch.cat([a, a], 0)',
    inputs: [[floats([3])]],
  },
  {
    op: 'concat',
    variant: 'of i32',
    call: (x, y) => d.concat([x, y], 0),
    torch: 'torch.cat([a, b], 0)',
    inputs: [[ints([2, 2], -9, 9), ints([1, 2], -9, 9)]],
    noGradient: 'integers',
  },
  {
    op: 'stack',
    call: (x, y) => d.stack([x, y]),
    torch: 'torch.stack([a, b])',
    inputs: [
      [floats([2, 3]), floats([2, 3])],
      [floats([]), floats([])],
    ],
  },
  {
    op: 'stack',
    variant: 'last axis',
    call: (x, y, z) => d.stack([x, y, z], -1),
    torch: 'torch.stack([a, b, c], -1)',
    inputs: [[floats([2, 3]), floats([2, 3]), floats([2, 3])]],
  },
  {
    op: 'pad',
    call: (x) =>
      d.pad(x, [
        [1, 2],
        [0, 1],
      ]),
    torch: 'F.pad(a, (0, 1, 1, 2))',
    inputs: [[floats([2, 3])], [floats([0, 2])]],
  },
  {
    op: 'pad',
    variant: 'value',
    call: (x) => d.pad(x, [null, [1, 0]], -1.5),
    torch: 'F.pad(a, (0, 0, 1, 0), value=-1.5)',
    inputs: [[floats([2, 3, 2])]],
  },
]

/** A convolution with options: its cases are input and weight shapes, and a bias of the weight's first size. */
const convolution = (
  variant: string | undefined,
  options: Parameters<typeof d.conv2d>[3],
  cases: readonly (readonly [x: readonly number[], weight: readonly number[]])[],
): Row => {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options ?? {}
  return {
    op: 'conv2d',
    ...(variant === undefined ? {} : { variant }),
    call: (x, w, b) => (d.conv2d as AnyX)(x, w, b, options),
    torch: `F.conv2d(a, b, c, ${stride}, ${padding}, ${dilation}, ${groups})`,
    inputs: cases.map(([x, weight]) => [floats(x), floats(weight), floats(weight.slice(0, 1))]),
    tolerance: { atol: 5e-6, reason: 'sums of dozens of products of up to 4 that nearly cancel: 80 · 2⁻²⁴' },
  }
}
const poolCases: (readonly InputSpec[])[] = [[distinct([2, 3, 6, 8])], [distinct([1, 5, 7])], [distinct([2, 1, 9, 10])]]

const conv: Row[] = [
  convolution(undefined, undefined, [
    [
      [2, 3, 5, 6],
      [4, 3, 3, 3],
    ],
    [
      [1, 1, 4, 4],
      [1, 1, 1, 1],
    ],
    [
      [3, 5, 7],
      [2, 3, 2, 3],
    ],
    [
      [2, 2, 3, 3],
      [3, 2, 3, 3],
    ],
  ]),
  convolution('padding', { padding: 1 }, [
    [
      [2, 3, 5, 6],
      [4, 3, 3, 3],
    ],
    [
      [2, 1, 8, 8],
      [7, 1, 3, 3],
    ],
    [
      [1, 2, 2, 3],
      [2, 2, 2, 2],
    ],
  ]),
  convolution('wide padding', { padding: 3 }, [
    [
      [1, 2, 4, 5],
      [3, 2, 3, 3],
    ],
    [
      [2, 2, 5, 5],
      [2, 2, 5, 5],
    ],
  ]),
  convolution('stride', { stride: 2 }, [
    [
      [2, 2, 7, 8],
      [3, 2, 3, 3],
    ],
    [
      [1, 3, 6, 6],
      [2, 3, 1, 1],
    ],
    [
      [1, 2, 7, 6],
      [2, 2, 2, 2],
    ],
  ]),
  convolution('stride and padding', { stride: 2, padding: 1 }, [
    [
      [2, 2, 8, 8],
      [3, 2, 3, 3],
    ],
    [
      [1, 2, 7, 9],
      [3, 2, 4, 4],
    ],
  ]),
  convolution('stride over the window', { stride: 3, padding: 1 }, [
    [
      [1, 2, 8, 9],
      [2, 2, 2, 2],
    ],
    [
      [1, 1, 5, 5],
      [1, 1, 1, 1],
    ],
  ]),
  convolution('dilation', { dilation: 2, padding: 2 }, [
    [
      [2, 2, 6, 7],
      [3, 2, 3, 3],
    ],
  ]),
  convolution('dilation and stride', { dilation: 3, stride: 2, padding: 2 }, [
    [
      [1, 2, 9, 8],
      [2, 2, 3, 3],
    ],
  ]),
  convolution('groups', { groups: 2, padding: 1 }, [
    [
      [2, 4, 5, 5],
      [6, 2, 3, 3],
    ],
    [
      [1, 4, 3, 4],
      [2, 2, 1, 1],
    ],
  ]),
  convolution('depthwise', { groups: 3, padding: 1 }, [
    [
      [2, 3, 5, 6],
      [3, 1, 3, 3],
    ],
    [
      [1, 3, 5, 6],
      [6, 1, 3, 3],
    ],
  ]),
  {
    op: 'conv2d',
    variant: 'no bias',
    call: (x, w) => d.conv2d(x, w),
    torch: 'F.conv2d(a, b)',
    inputs: [[floats([2, 3, 4, 5]), floats([2, 3, 3, 3])]],
  },
  {
    op: 'conv2d',
    variant: 'more leading axes',
    call: (x, w) => (d.conv2d as AnyX)(x, w, undefined, { padding: 1 }),
    torch: 'F.conv2d(a.flatten(0, 1), b, padding=1).unflatten(0, a.shape[:2])',
    inputs: [[floats([2, 3, 2, 4, 5]), floats([3, 2, 3, 3])]],
  },
  {
    op: 'maxPool2d',
    call: (x) => d.maxPool2d(x, 2),
    torch: 'F.max_pool2d(a, 2)',
    inputs: [...poolCases, [exactly([1, 4, 8], [1, 2, 2, 1, -0, 0, Number.NaN, 3])]],
    uncheckable: { cases: [3], reason: 'ties and NaN' },
  },
  {
    op: 'maxPool2d',
    variant: 'overlapping',
    call: (x) => d.maxPool2d(x, 3, { stride: 2, padding: 1 }),
    torch: 'F.max_pool2d(a, 3, 2, 1)',
    inputs: [...poolCases, [exactly([1, 4, 8], [1, 2, 2, 1, -0, 0, Number.NaN, 3])]],
    uncheckable: { cases: [3], reason: 'ties and NaN' },
  },
  {
    op: 'maxPool2d',
    variant: 'stride 1',
    call: (x) => d.maxPool2d(x, 2, { stride: 1 }),
    torch: 'F.max_pool2d(a, 2, 1)',
    inputs: poolCases,
  },
  { op: 'avgPool2d', call: (x) => d.avgPool2d(x, 2), torch: 'F.avg_pool2d(a, 2)', inputs: poolCases },
  {
    op: 'avgPool2d',
    variant: 'overlapping',
    call: (x) => d.avgPool2d(x, 3, { stride: 2, padding: 1 }),
    torch: 'F.avg_pool2d(a, 3, 2, 1)',
    inputs: poolCases,
  },
  {
    op: 'avgPool2d',
    variant: 'without the padding',
    call: (x) => d.avgPool2d(x, 3, { stride: 2, padding: 1, countIncludePad: false }),
    torch: 'F.avg_pool2d(a, 3, 2, 1, count_include_pad=False)',
    inputs: poolCases,
  },
  {
    op: 'avgPoolGlobal',
    call: d.avgPoolGlobal,
    torch: 'F.adaptive_avg_pool2d(a, 1).flatten(-3)',
    inputs: [...poolCases, [distinct([2, 1, 1])]],
  },
  { op: 'maxPoolGlobal', call: d.maxPoolGlobal, torch: 'a.amax((-2, -1))', inputs: poolCases },
  { op: 'flatten2d', call: d.flatten2d, torch: 'a.flatten(-3)', inputs: poolCases },
]

const norm: Row[] = [
  {
    op: 'softmax',
    call: (x) => d.softmax(x, -1),
    torch: 'a.softmax(-1)',
    inputs: [
      small,
      [exactly([5], [-2, -1, 0, 1, 2])],
      [floats([2, 3, 2])],
      [floats([3, 1])],
      [exactly([2, 3], [1000, 999, -1000, -Infinity, 0, 1])],
      [floats([0, 3])],
    ],
    uncheckable: { cases: [4], reason: 'infinite elements' },
  },
  {
    op: 'softmax',
    variant: 'axis 0',
    call: (x) => d.softmax(x, 0),
    torch: 'a.softmax(0)',
    inputs: [small, [floats([4])]],
  },
  {
    op: 'logSoftmax',
    call: (x) => d.logSoftmax(x, -1),
    torch: 'a.log_softmax(-1)',
    inputs: [small, [exactly([5], [-2, -1, 0, 1, 2])], [exactly([2, 3], [1000, 999, -1000, -80, 0, 1])]],
    uncheckable: { cases: [2], reason: 'slopes below what differences of 1000 can show' },
  },
  {
    op: 'logSoftmax',
    variant: 'axis 1',
    call: (x) => d.logSoftmax(x, 1),
    torch: 'a.log_softmax(1)',
    inputs: [[floats([2, 3, 2])]],
  },
  {
    op: 'layerNorm',
    call: (x, w, b) => d.layerNorm(x, w, b),
    torch: 'F.layer_norm(a, a.shape[-1:], b, c)',
    inputs: [
      [floats([3, 4]), floats([4]), floats([4])],
      [floats([4]), floats([4]), floats([4])],
      [floats([2, 2, 3]), floats([3]), floats([3])],
    ],
  },
  {
    op: 'layerNorm',
    variant: 'eps',
    call: (x, w, b) => d.layerNorm(x, w, b, 0.5),
    torch: 'F.layer_norm(a, a.shape[-1:], b, c, 0.5)',
    inputs: [
      [floats([3, 4]), floats([4]), floats([4])],
      [exactly([2, 3], [5]), floats([3]), floats([3])],
    ],
  },
  {
    op: 'batchNormTraining',
    call: (x, w, b) => d.batchNormTraining(x, w, b).output,
    torch: 'F.batch_norm(a, None, None, b, c, training=True)',
    inputs: [
      [floats([4, 3]), floats([3]), floats([3])],
      [floats([3, 2, 4]), floats([2]), floats([2])],
      [floats([2, 2, 2, 3]), floats([2]), floats([2])],
    ],
  },
  {
    op: 'batchNormTraining',
    variant: 'mean',
    call: (x, w, b) => d.batchNormTraining(x, w, b).mean,
    torch: 'a.mean((0, 2))',
    inputs: [[floats([3, 2, 4]), floats([2]), floats([2])]],
    noGradient: 'statistics are on no tape',
  },
  {
    op: 'batchNormTraining',
    variant: 'variance',
    call: (x, w, b) => d.batchNormTraining(x, w, b).variance,
    torch: 'a.var((0, 2), correction=0)',
    inputs: [[floats([3, 2, 4]), floats([2]), floats([2])]],
    noGradient: 'statistics are on no tape',
  },
  {
    op: 'batchNorm',
    call: (x, m, v, w) => d.batchNorm(x, m, v, w, m, 1e-3),
    torch: 'F.batch_norm(a, b.detach(), c.detach(), d, b.detach(), training=False, eps=1e-3)',
    inputs: [
      [floats([4, 3]), floats([3]), floats([3], 0.5, 2), floats([3])],
      [floats([3, 2, 4]), floats([2]), floats([2], 0.5, 2), floats([2])],
    ],
    constant: [1, 2],
  },
]

const index: Row[] = [
  {
    op: 'gather',
    call: (x, i) => d.gather(x, 0, i),
    torch: 'a[b.long()]',
    inputs: [
      [floats([4, 3]), ints([5], 0, 3)],
      [floats([4]), ints([2, 3], 0, 3)],
      [floats([4, 2]), ints([], 0, 3)],
      [floats([4, 2]), ints([3], 0, 3, 'u32')],
      [floats([4, 2]), ints([0], 0, 3)],
    ],
  },
  {
    op: 'gather',
    variant: 'axis 1',
    call: (x, i) => d.gather(x, -2, i),
    torch: 'a[:, b.long()]',
    inputs: [
      [floats([2, 4, 3]), ints([5], 0, 3)],
      [floats([2, 4, 3]), ints([2, 2], 0, 3)],
    ],
  },
  {
    op: 'scatterAdd',
    call: (x, i, s) => d.scatterAdd(x, 0, i, s),
    torch: 'a.index_add(0, b, c)',
    inputs: [
      [floats([4, 3]), ints([5], 0, 3), floats([5, 3])],
      [floats([3]), ints([4], 0, 2), floats([4])],
    ],
  },
  {
    op: 'scatterAdd',
    variant: 'axis 1',
    call: (x, i, s) => d.scatterAdd(x, 1, i, s),
    torch: 'a.index_add(1, b, c)',
    inputs: [[floats([2, 4, 3]), ints([5], 0, 3), floats([2, 5, 3])]],
  },
  {
    op: 'embedding',
    call: (i, w) => d.embedding(i, w),
    torch: 'F.embedding(a, b)',
    inputs: [
      [ints([5], 0, 3), floats([4, 3])],
      [ints([2, 3], 0, 3), floats([4, 2])],
    ],
  },
  {
    op: 'oneHot',
    call: (i) => d.oneHot(i, 5),
    torch: 'F.one_hot(a.long(), 5).double()',
    inputs: [[ints([4], 0, 4)], [ints([2, 3], 0, 4)], [ints([], 0, 4)]],
    noGradient: 'made of integers',
  },
]

const classes: InputSpec[] = [floats([4, 3]), ints([4], 0, 2)]
const soft: InputSpec[] = [floats([4, 3]), probabilities([4, 3])]
const wide: InputSpec[] = [exactly([3, 3], [100, 100, 100, -1, 0, 1, -100, -100, -100]), exactly([3, 3], [0, 0.5, 1])]
const reductions = ['mean', 'sum', 'none'] as const

const loss: Row[] = [
  {
    op: 'crossEntropy',
    call: (x, t) => d.crossEntropy(x, t),
    torch: 'F.cross_entropy(a, b.long())',
    inputs: [
      classes,
      [exactly([2, 3], [1000, 0, -1000, -80, 80, 0]), exactly([2], [2, 0], 'i32')],
      [floats([4, 3]), ints([4], 0, 2, 'u32')],
      [exactly([2, 3], [0, 1, -Infinity, 2, -Infinity, 1]), exactly([2], [0, 2], 'i32')],
    ],
    uncheckable: { cases: [1, 3], reason: 'slopes below what differences of 1000 can show, infinite elements' },
  },
  {
    op: 'crossEntropy',
    variant: 'rank 3',
    call: (x, t) => d.crossEntropy(x, t),
    torch: 'F.cross_entropy(a.permute(0, 2, 1), b.long())',
    inputs: [[floats([2, 3, 4]), ints([2, 3], 0, 3)]],
  },
  {
    op: 'crossEntropy',
    variant: 'rank 1',
    call: (x, t) => d.crossEntropy(x, t),
    torch: 'F.cross_entropy(a, b.long())',
    inputs: [[floats([4]), ints([], 0, 3)]],
  },
  {
    op: 'crossEntropy',
    variant: 'probabilities',
    call: (x, t) => d.crossEntropy(x, t),
    torch: 'F.cross_entropy(a, b)',
    inputs: [
      soft,
      [exactly([2, 3], [1000, 0, -1000, -80, 80, 0]), probabilities([2, 3])],
      [floats([2, 3]), floats([2, 3], 0, 1)],
    ],
    uncheckable: { cases: [1], reason: 'slopes below what differences of 1000 can show' },
  },
  ...reductions.flatMap((reduction): Row[] => [
    {
      op: 'crossEntropy',
      variant: `${reduction}, smoothed`,
      call: (x, t) => d.crossEntropy(x, t, { reduction, labelSmoothing: 0.1 }),
      torch: `F.cross_entropy(a, b.long(), reduction='${reduction}', label_smoothing=0.1)`,
      inputs: [classes],
    },
    {
      op: 'crossEntropy',
      variant: `probabilities, ${reduction}, smoothed`,
      call: (x, t) => d.crossEntropy(x, t, { reduction, labelSmoothing: 0.1 }),
      torch: `F.cross_entropy(a, b, reduction='${reduction}', label_smoothing=0.1)`,
      inputs: [soft],
    },
    {
      op: 'mse',
      variant: reduction,
      call: (x, t) => d.mse(x, t, { reduction }),
      torch: `F.mse_loss(a, b, reduction='${reduction}')`,
      inputs: [pair(), [floats([]), floats([])]],
    },
    {
      op: 'mae',
      variant: reduction,
      call: (x, t) => d.mae(x, t, { reduction }),
      torch: `F.l1_loss(a, b, reduction='${reduction}')`,
      inputs: [
        [distinct([4]), floats([4], 1, 2)],
        [exactly([3], [1, 2, 3]), exactly([3], [1, 3, 2])],
      ],
      uncheckable: { cases: [1], reason: 'no slope where both are equal' },
    },
    {
      op: 'huber',
      variant: reduction,
      call: (x, t) => d.huber(x, t, { reduction, delta: 0.5 }),
      torch: `F.huber_loss(a, b, reduction='${reduction}', delta=0.5)`,
      inputs: [pair(), [exactly([4], [0, 0.5, -3, 1]), exactly([4], [0, 0, 0, 1])]],
      uncheckable: { cases: [1], reason: 'a second derivative that jumps' },
    },
    {
      op: 'bceWithLogits',
      variant: reduction,
      call: (x, t) => d.bceWithLogits(x, t, { reduction }),
      torch: `F.binary_cross_entropy_with_logits(a, b, reduction='${reduction}')`,
      inputs: [[floats(shape), floats(shape, 0, 1)], wide],
    },
  ]),
  {
    op: 'mse',
    call: (x, t) => d.mse(x, t),
    torch: 'F.mse_loss(a, b)',
    inputs: [pair(), [floats([0, 2]), floats([0, 2])]],
  },
  { op: 'huber', call: (x, t) => d.huber(x, t), torch: 'F.huber_loss(a, b)', inputs: [pair()] },
  {
    op: 'klDiv',
    call: (x, t) => d.klDiv(x, t),
    torch: "F.kl_div(a, b, reduction='batchmean')",
    inputs: [[floats([4, 3], -3, 0), floats([4, 3], 0.05, 1)]],
  },
  {
    op: 'klDiv',
    variant: 'a probability of 0',
    call: (x, t) => d.klDiv(x, t),
    torch: "F.kl_div(a, b.detach(), reduction='batchmean')",
    inputs: [[floats([2, 3], -3, 0), exactly([2, 3], [0, 0.5, 0.5, 1, 0, 0])]],
    constant: [1],
    uncheckable: { cases: [0], reason: 'p ln p ends at 0' },
  },
  ...[...reductions].map(
    (reduction): Row => ({
      op: 'klDiv',
      variant: reduction,
      call: (x, t) => d.klDiv(x, t, { reduction }),
      torch: `F.kl_div(a, b, reduction='${reduction}')`,
      inputs: [[floats([4, 3], -3, 0), floats([4, 3], 0.05, 1)]],
    }),
  ),
]

/** The rows by family, which is also the name of the golden file. */
export const families = { elementwise, reduce, linalg, conv, movement, norm, index, loss }

/** Exports of src/ops that have no row here, and why. */
export const exemptions: Readonly<Record<string, string>> = {
  defineOp: 'makes ops; tests/ops/define.test.ts',
  dropout: 'random; tests/ops/dropout.test.ts',
  fromBits: 'makes f16 and bf16 of bits; tests/nn/half.test.ts',
  toBits: 'reads bits; tests/nn/half.test.ts',
  ...Object.fromEntries(
    [
      'tensor',
      'full',
      'zeros',
      'ones',
      'zerosLike',
      'onesLike',
      'arange',
      'linspace',
      'eye',
      'uniform',
      'normal',
      'dim',
    ].map((name) => [name, 'makes tensors; tests/ops/creation.test.ts']),
  ),
}

/** What a row is called in test names and golden files. */
export const nameOf = ({ op, variant }: Row): string => (variant === undefined ? op : `${op} (${variant})`)
