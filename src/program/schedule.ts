import { type Expr, nodes as exprNodes } from '../kernels/expr.js'
import { conv2dTerms, exprsOf, type Kernel, pool2dTerms, type RowsKernel } from '../kernels/kernel.js'
import { sizeOf } from '../shapes/strides.js'
import type { Storage } from '../tensor/storage.js'
import { lookupOf, trustsIndices } from './checks-first.js'
import { accesses, areExclusive, type Node } from './node.js'

/**
 * A stretch of a program between two barriers. Nothing in `shared` depends on anything else in the phase; `single` is
 * a chain that one thread runs in order, because its kernels are too small to share.
 */
export interface Phase {
  readonly shared: Node[]
  readonly single: Node[]
}

/** Kernels expected to take less than this many ns on one thread are not shared: waking others costs as much. */
const smallest = 3000

/**
 * Puts kernels into as few phases as their dependencies allow, each as early as possible. What lasts (parameters, state)
 * is written only after the indices of earlier kernels were checked, which `checksFirst` has put there. Of kernels that
 * never run both, none waits for the other.
 */
export function schedule(program: readonly Node[]): Phase[] {
  const phases: Phase[] = []
  const written = new Map<Storage, Place[]>()
  const read = new Map<Storage, Place[]>()
  const checked: Place[] = []
  for (const node of program) {
    const small = nanoseconds(node) < smallest
    const touched = accesses(node)
    let phase = 0
    const after = (other: Place): void => {
      if (areExclusive(node, other.node)) return
      // A small kernel may follow another in the same chain; anything else waits for the barrier.
      phase = Math.max(phase, small && other.small ? other.phase : other.phase + 1)
    }
    for (const { storage, write } of touched) {
      written.get(storage)?.forEach(after)
      if (write) read.get(storage)?.forEach(after)
    }
    const lasts = touched.some(({ storage, write }) => write && !storage.captured)
    if (lasts || trustsIndices(node)) checked.forEach(after)
    const place = { node, phase, small }
    if (lookupOf(node)) checked.push(place)
    // What does not always run stands for nothing that came before it.
    const standing = (known: Place[] | undefined): Place[] => (node.guards.length > 0 ? (known ?? []) : [])
    for (const { storage, write } of touched) {
      if (write) {
        written.set(storage, [...standing(written.get(storage)), place])
        read.set(storage, standing(read.get(storage)))
      } else read.set(storage, [...(read.get(storage) ?? []), place])
    }
    while (phases.length <= phase) phases.push({ shared: [], single: [] })
    const home = phases[phase]
    if (small) home?.single.push(node)
    else home?.shared.push(node)
  }
  return phases
}

/** Where a kernel runs. */
interface Place {
  readonly node: Node
  readonly phase: number
  readonly small: boolean
}

const weights: { readonly [op: string]: number } = {
  exp: 0.5,
  log: 0.5,
  log1p: 0.5,
  expm1: 0.5,
  tanh: 0.6,
  sin: 0.5,
  cos: 0.5,
  erf: 0.6,
  pow: 1.5,
  div: 0.2,
  sqrt: 0.2,
}
const perElement = (exprs: readonly Expr[]): number =>
  exprNodes(exprs).reduce((sum, { op }) => sum + (weights[op] ?? 0.03), 0.1)

/** A rough time on one thread: enough to tell kernels worth sharing from those that are not. */
export function nanoseconds({ kernel }: Node): number {
  return ownNanoseconds(kernel) + ofEpilogue(kernel, perElement)
}

function ownNanoseconds(kernel: Kernel): number {
  switch (kernel.kind) {
    case 'map':
      return sizeOf(kernel.shape) * perElement(kernel.exprs)
    case 'reduce':
      return sizeOf(kernel.shape) * perElement([kernel.expr])
    case 'rows':
      return ofStages(kernel, perElement)
    case 'foreach':
      return kernel.parts.reduce((sum, part) => sum + part.length, 0) * perElement(exprsOf(kernel))
    case 'matmul':
      return (sizeOf(kernel.batch) * kernel.m * kernel.n * kernel.k) / 20
    case 'conv2d':
      return conv2dTerms(kernel) / 20
    case 'pool2d':
      return pool2dTerms(kernel) / 2
    case 'gather':
    case 'scatter':
      return kernel.outer * kernel.count * kernel.inner * 0.5
  }
}

const arithmetic = (exprs: readonly Expr[]): number =>
  exprNodes(exprs)
    .filter(({ args }) => args.length > 0)
    .reduce((sum, { op }) => sum + (op === 'fma' ? 2 : 1), 0)

/** `each` of the expression for every element of an output that has an epilogue. */
const ofEpilogue = (kernel: Kernel, each: (exprs: readonly Expr[]) => number): number =>
  'epilogue' in kernel && kernel.epilogue ? sizeOf(kernel.epilogue.shape) * each([kernel.epilogue.expr]) : 0

/** `each` of the stages' expressions for every element, or every row. */
const ofStages = ({ shape, stages }: RowsKernel, each: (exprs: readonly Expr[]) => number): number =>
  stages.reduce((sum, { pass, expr }) => sum + sizeOf(pass === 'once' ? shape.slice(0, -1) : shape) * each([expr]), 0)

/** Floating-point operations, as `explain()` counts them. */
export function flops({ kernel }: Node): number {
  return ownFlops(kernel) + ofEpilogue(kernel, arithmetic)
}

function ownFlops(kernel: Kernel): number {
  switch (kernel.kind) {
    case 'map':
      return sizeOf(kernel.shape) * arithmetic(kernel.exprs)
    case 'reduce':
      return sizeOf(kernel.shape) * (arithmetic([kernel.expr]) + 1)
    case 'rows': {
      const combining = kernel.stages.filter(({ pass }) => pass !== 'once' && pass !== 'each').length
      return ofStages(kernel, arithmetic) + sizeOf(kernel.shape) * combining
    }
    case 'foreach':
      return (
        kernel.parts.reduce((sum, part) => sum + part.length, 0) *
        (arithmetic(exprsOf(kernel)) + (kernel.reductions?.length ?? 0))
      )
    case 'matmul':
      return 2 * sizeOf(kernel.batch) * kernel.m * kernel.n * kernel.k
    case 'conv2d':
      return 2 * conv2dTerms(kernel)
    case 'pool2d':
      return pool2dTerms(kernel)
    case 'gather':
      return 0
    case 'scatter':
      return kernel.combine === 'add' ? kernel.outer * kernel.count * kernel.inner : 0
  }
}
