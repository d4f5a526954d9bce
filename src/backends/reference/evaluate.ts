import { type Expr, nodes, slotCount } from '../../kernels/expr.js'
import { castFunction, scalarFunction } from './scalar-functions.js'

/** Elements are evaluated in blocks: one loop per node and block instead of one call per node and element. */
export const blockSize = 256

/** Expressions ready to run. The caller fills the leaves, calls `evaluate`, and reads the results. */
export interface Program {
  /** Where the caller puts the block's elements of input `slot`. A slot read with several dtypes has several. */
  readonly inputs: readonly { readonly slot: number; readonly node: Expr; readonly values: Float64Array }[]
  /** Where the caller puts the one element of uniform `slot`, in all of the block. */
  readonly uniforms: readonly { readonly slot: number; readonly node: Expr; readonly values: Float64Array }[]
  /** Where the caller puts the block's positions, if an expression asks for them. */
  readonly index: Float64Array | undefined
  /** How many host scalars the expressions read. */
  readonly scalarCount: number
  /** One block per expression. */
  readonly results: readonly Float64Array[]
  evaluate(count: number, scalars: readonly number[]): void
}

type Step = (count: number, scalars: readonly number[]) => void

const programs = new Map<string, Program>()
const mostPrograms = 1024

/** The program of `exprs`, compiled once for each structure. Throws `DTypeError` for a node without meaning. */
export function programOf(exprs: readonly Expr[]): Program {
  const key = exprs.map((expr) => expr.key).join('|')
  const known = programs.get(key)
  if (known) return known
  if (programs.size >= mostPrograms) programs.clear()
  const program = compile(exprs)
  programs.set(key, program)
  return program
}

function compile(exprs: readonly Expr[]): Program {
  const order = nodes(exprs)
  const blocks = new Map(order.map((node) => [node, new Float64Array(blockSize)]))
  const index = order.some(({ op }) => op === 'index') ? new Float64Array(blockSize) : undefined
  const blockOf = (node: Expr): Float64Array => (node.op === 'index' ? index : blocks.get(node)) ?? new Float64Array()
  const steps = order.flatMap((node) => stepOf(node, blockOf(node), node.args.map(blockOf)) ?? [])
  const leaves = (kind: 'input' | 'uniform') =>
    order.filter(({ op }) => op === kind).map((node) => ({ slot: node.value, node, values: blockOf(node) }))
  return {
    inputs: leaves('input'),
    uniforms: leaves('uniform'),
    index,
    scalarCount: slotCount(exprs, 'scalar'),
    results: exprs.map(blockOf),
    evaluate(count, scalars) {
      for (const step of steps) step(count, scalars)
    },
  }
}

/** What fills the node's block; nothing for constants, which are filled now, and leaves that the caller fills. */
function stepOf(node: Expr, out: Float64Array, args: readonly Float64Array[]): Step | undefined {
  const { op, dtype, value } = node
  if (op === 'input' || op === 'uniform' || op === 'index') return undefined
  const convert = castFunction('f64', dtype)
  if (op === 'const') {
    out.fill(convert(value))
    return undefined
  }
  if (op === 'scalar') return (count, scalars) => out.fill(convert(scalars[value] ?? 0), 0, count)
  const apply = scalarFunction(node)
  const [a = out, b = out, c = out] = args
  return (count) => {
    for (let i = 0; i < count; i++) out[i] = apply(a[i] ?? 0, b[i] ?? 0, c[i] ?? 0)
  }
}
