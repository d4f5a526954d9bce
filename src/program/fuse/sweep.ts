import { type Expr, input, nodes as exprNodes, scalar, substitute } from '../../kernels/expr.js'
import type { Kernel, Operand } from '../../kernels/kernel.js'
import { contiguousStrides, sizeOf } from '../../shapes/strides.js'
import type { Storage } from '../../tensor/storage.js'
import { accesses, type Node } from '../node.js'

/** More operands than this would not fit the registers. */
export const mostOperands = 12
/** Larger expressions cost more to compile than a pass over memory saves. */
export const mostNodes = 240

/** The elementwise part of a kernel: expressions over operands that span one space. */
export interface Sweep {
  readonly shape: readonly number[]
  readonly inputs: readonly Operand[]
  readonly exprs: readonly Expr[]
  /** Position of its first input among the kernel's storages. */
  readonly first: number
  /** Slot of its first input in the expressions; the slots before are values of the kernel's own. */
  readonly slot: number
  /** The kernel with another elementwise part over the same space. */
  readonly rebuilt: (inputs: readonly Operand[], exprs: readonly Expr[]) => Kernel
}

export function sweepOf({ kernel }: Node): Sweep | undefined {
  if (kernel.kind === 'map') {
    const rebuilt = (inputs: readonly Operand[], exprs: readonly Expr[]) => ({ ...kernel, inputs, exprs })
    return { ...kernel, first: 0, slot: 0, rebuilt }
  }
  if (kernel.kind === 'reduce') {
    const rebuilt = (inputs: readonly Operand[], [expr = kernel.expr]: readonly Expr[]) => ({ ...kernel, inputs, expr })
    return { ...kernel, exprs: [kernel.expr], first: 0, slot: 0, rebuilt }
  }
  if (!('epilogue' in kernel) || !kernel.epilogue) return undefined
  const { epilogue } = kernel
  const rebuilt = (inputs: readonly Operand[], [expr = epilogue.expr]: readonly Expr[]) => ({
    ...kernel,
    epilogue: { ...epilogue, inputs, expr },
  })
  const first = kernel.kind === 'pool2d' ? kernel.inputs.length : 2
  return { ...epilogue, exprs: [epilogue.expr], first, slot: 1, rebuilt }
}

/** A sweep's operands with the storages they lie in. */
export interface Bound {
  readonly operand: Operand
  readonly storage: Storage
}

export const boundOf = ({ inputs, first }: Sweep, { storages }: Node): readonly Bound[] =>
  inputs.flatMap((operand, i) => {
    const storage = storages[first + i]
    return storage ? [{ operand, storage }] : []
  })

export const sameOperand = (a: Operand, b: Operand): boolean =>
  a.dtype === b.dtype && a.offset === b.offset && a.strides.join() === b.strides.join()

/** A list of operands without repetitions. */
export class Operands {
  readonly list: Bound[] = []

  /** The position of an operand, which is added if it is new. */
  place(bound: Bound): number {
    const same = this.list.findIndex((b) => b.storage === bound.storage && sameOperand(b.operand, bound.operand))
    return same >= 0 ? same : this.list.push(bound) - 1
  }
}

/** The expression with its inputs replaced and its scalars moved up. */
export const rewired = (expr: Expr, shift: number, inputOf: (slot: number, leaf: Expr) => Expr): Expr =>
  substitute(expr, (leaf) =>
    leaf.op === 'scalar' ? scalar(leaf.value + shift, leaf.dtype) : inputOf(leaf.value, leaf),
  )

/** The input that reads an operand, `from` being the slot of the first one. */
export const readsAt = (operands: Operands, from: number, bound: Bound | undefined, leaf: Expr): Expr =>
  bound ? input(from + operands.place(bound), leaf.dtype) : leaf

export const isPacked = ({ strides }: Operand, shape: readonly number[]): boolean =>
  shape.every((size, axis) => size === 1 || strides[axis] === contiguousStrides(shape)[axis])

/**
 * Operands of one space as they look from another of as many elements, position by position in row-major order; undefined
 * where one of them does not lie flat.
 */
export function respaced(
  bounds: readonly Bound[],
  from: readonly number[],
  to: readonly number[],
): readonly Bound[] | undefined {
  if (from.join() === to.join()) return bounds
  if (sizeOf(from) !== sizeOf(to)) return undefined
  const flat = bounds.map(({ operand, storage }): Bound | undefined => {
    const still = operand.strides.every((stride) => stride === 0)
    if (!still && !isPacked(operand, from)) return undefined
    return { operand: { ...operand, strides: still ? to.map(() => 0) : contiguousStrides(to) }, storage }
  })
  return flat.every((bound) => bound !== undefined) ? flat : undefined
}

const costly = new Set(['exp', 'expm1', 'log', 'log1p', 'sin', 'cos', 'tanh', 'erf', 'pow', 'div', 'sqrt'])
/** Worth computing again rather than storing. */
export function isCheap(expr: Expr): boolean {
  const all = exprNodes([expr])
  return all.length <= 6 && all.filter((e) => e.op === 'input').length <= 2 && !all.some((e) => costly.has(e.op))
}

export const readsPosition = (exprs: readonly Expr[]): boolean => exprNodes(exprs).some(({ op }) => op === 'index')

/** Which nodes write each storage, and how many nodes read it. */
export interface Uses {
  readonly writers: ReadonlyMap<Storage, readonly number[]>
  readonly readers: Map<Storage, number>
}

const known = new WeakMap<Node, ReadonlySet<Storage>>()

export function readsOf(node: Node): ReadonlySet<Storage> {
  let reads = known.get(node)
  if (!reads) {
    reads = new Set(accesses(node).flatMap(({ storage, write }) => (write ? [] : [storage])))
    known.set(node, reads)
  }
  return reads
}

export function usesOf(program: readonly (Node | undefined)[]): Uses {
  const writers = new Map<Storage, number[]>()
  const readers = new Map<Storage, number>()
  program.forEach((node, at) => {
    if (!node) return
    for (const { storage, write } of accesses(node))
      if (write) writers.set(storage, [...(writers.get(storage) ?? []), at])
    for (const storage of readsOf(node)) readers.set(storage, (readers.get(storage) ?? 0) + 1)
  })
  return { writers, readers }
}

/** Whether what the node at `from` reads is the same for a kernel at `to`: nobody writes it in between, or there. */
export function unchanged(list: readonly (Node | undefined)[], from: number, to: number): boolean {
  const source = list[from]
  if (!source) return false
  const reads = readsOf(source)
  return list
    .slice(from + 1, to + 1)
    .every((node) => !node || accesses(node).every(({ storage, write }) => !write || !reads.has(storage)))
}

/** What is skipped with the first must be skipped with the second, too. */
export const guardedAlike = (source: Node, node: Node): boolean =>
  source.guards.every((guard) => node.guards.includes(guard))
