import { type Expr, type ExprOp, nodes } from '../../kernels/expr.js'
import { DTypeError } from '../../shapes/errors.js'
import { floatBytes, narrow, rawPart, widen } from './float-bytes.js'
import type { Step, Workspace } from './workspace.js'

/** Elements at a time, so that what lies between two loops stays in the nearest cache. */
const block = 1024

type Loop = (out: Float64Array, count: number, a: Float64Array, b: Float64Array, c: Float64Array) => void

/** One loop for each node of an expression in f64; nothing is contracted, as on the reference device. */
const loops: Partial<Record<ExprOp, Loop>> = {
  neg: (out, count, a) => {
    for (let i = 0; i < count; i++) out[i] = -(a[i] ?? 0)
  },
  add: (out, count, a, b) => {
    for (let i = 0; i < count; i++) out[i] = (a[i] ?? 0) + (b[i] ?? 0)
  },
  sub: (out, count, a, b) => {
    for (let i = 0; i < count; i++) out[i] = (a[i] ?? 0) - (b[i] ?? 0)
  },
  mul: (out, count, a, b) => {
    for (let i = 0; i < count; i++) out[i] = (a[i] ?? 0) * (b[i] ?? 0)
  },
  div: (out, count, a, b) => {
    for (let i = 0; i < count; i++) out[i] = (a[i] ?? 0) / (b[i] ?? 0)
  },
  fma: (out, count, a, b, c) => {
    for (let i = 0; i < count; i++) out[i] = (a[i] ?? 0) * (b[i] ?? 0) + (c[i] ?? 0)
  },
}

/** An expression ready to run, a block at a time: the leaves are filled, then the nodes in order. */
interface Lowered {
  readonly leaves: readonly { readonly node: Expr; readonly values: Float64Array }[]
  readonly run: readonly ((count: number) => void)[]
  readonly result: Float64Array
}

function lower(expr: Expr): Lowered {
  const values = new Map(nodes([expr]).map((node) => [node, new Float64Array(block)]))
  const of = (node: Expr | undefined) => (node && values.get(node)) ?? new Float64Array()
  const run = [...values].flatMap(([{ op, dtype, args, value }, out]) => {
    if (op === 'const') out.fill(value)
    if (args.length === 0) return []
    const loop = loops[op]
    if (!loop || dtype !== 'f64')
      throw new DTypeError(`f64 files: ${op} of ${dtype} is not computed here; use f32, which every device computes.`)
    const [a, b, c] = [of(args[0]), of(args[1]), of(args[2])]
    return [(count: number) => loop(out, count, a, b, c)]
  })
  const leaves = [...values].flatMap(([node, at]) =>
    node.op === 'input' || node.op === 'scalar' ? [{ node, values: at }] : [],
  )
  return { leaves, run, result: of(expr) }
}

/** f64 buffers in ordinary memory, for which devices have no fast kernels: the same bits as f64 on the reference device. */
export function hostWorkspace(buffers: number, elements: number): Workspace {
  const memory = Array.from({ length: buffers }, () => new Float64Array(elements))
  const lowered = new Map<string, Lowered>()
  const programOf = (step: Step): Lowered => {
    const expr = step.expr('f64')
    const known = lowered.get(expr.key)
    if (known) return known
    const program = lower(expr)
    lowered.set(expr.key, program)
    return program
  }
  const at = (buffer: number | undefined) => memory[buffer ?? -1] ?? new Float64Array()
  const bytes = (buffer: number) => new Uint8Array(at(buffer).buffer)
  const step = (one: Step, count: number) => {
    const { leaves, run, result } = programOf(one)
    for (const { node, values } of leaves) if (node.op === 'scalar') values.fill(one.scalars[node.value] ?? 0)
    const inputs = leaves.filter(({ node }) => node.op === 'input')
    const out = at(one.write)
    for (let first = 0; first < count; first += block) {
      const length = Math.min(block, count - first)
      for (const { node, values } of inputs) values.set(at(one.reads[node.value]).subarray(first, first + length))
      for (const loop of run) loop(length)
      out.set(result.subarray(0, length), first)
    }
  }
  return {
    source: (buffer, dtype, count) => rawPart(bytes(buffer), dtype, count),
    run: ({ steps, from, to, count, result }) => {
      from.forEach((dtype, buffer) => {
        widen(bytes(buffer), dtype, count)
      })
      for (const one of steps) step(one, count)
      narrow(bytes(result), to, count)
    },
    result: ({ result, to, count }) => bytes(result).subarray(0, count * floatBytes[to]),
    release: () => {
      memory.length = 0
    },
  }
}
