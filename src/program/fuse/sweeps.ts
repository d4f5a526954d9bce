import { nodes as exprNodes } from '../../kernels/expr.js'
import type { MapKernel, Operand } from '../../kernels/kernel.js'
import { sizeOf } from '../../shapes/strides.js'
import type { Storage } from '../../tensor/storage.js'
import { accesses, type Node } from '../node.js'
import {
  type Bound,
  boundOf,
  guardedAlike,
  isCheap,
  isPacked,
  mostNodes,
  mostOperands,
  Operands,
  readsAt,
  readsOf,
  readsPosition,
  respaced,
  rewired,
  sameOperand,
  type Sweep,
  sweepOf,
  unchanged,
  type Uses,
  usesOf,
} from './sweep.js'

/** Moves maps into the maps, reductions and epilogues that read what they make. */
export function fuseSweeps(program: readonly Node[], results: ReadonlySet<Storage>): Node[] {
  const list: Node[] = [...program]
  const uses = usesOf(list)
  for (let at = 0; at < list.length; at++) {
    // Each success replaces the node, whose new operands may fuse in turn.
    for (let i = 0; ; ) {
      const consumer = list[at]
      const sweep = consumer && sweepOf(consumer)
      if (!consumer || !sweep || i >= sweep.inputs.length) break
      const merged = absorb(consumer, sweep, i, at, list, uses, results)
      if (merged) {
        recount(uses.readers, consumer, merged, list, results)
        list[at] = merged
      } else i++
    }
  }
  return list
}

/** Counts anew after `before` became `after`; a producer nobody reads any more stops reading, too. */
function recount(
  readers: Map<Storage, number>,
  before: Node,
  after: Node,
  list: readonly Node[],
  results: ReadonlySet<Storage>,
): void {
  const [old, now] = [readsOf(before), readsOf(after)]
  for (const storage of now) if (!old.has(storage)) readers.set(storage, (readers.get(storage) ?? 0) + 1)
  const drop = (storage: Storage): void => {
    const left = (readers.get(storage) ?? 1) - 1
    readers.set(storage, left)
    if (left > 0 || !storage.captured || results.has(storage)) return
    const producer = list.find(
      (node) => node !== before && accesses(node).some((access) => access.write && access.storage === storage),
    )
    if (producer) for (const read of readsOf(producer)) drop(read)
  }
  for (const storage of old) if (!now.has(storage)) drop(storage)
}

/** The consumer with its `i`-th input computed in place instead of read, where that is sound and pays. */
function absorb(
  node: Node,
  sweep: Sweep,
  i: number,
  at: number,
  list: readonly Node[],
  { writers, readers }: Uses,
  results: ReadonlySet<Storage>,
): Node | undefined {
  const storage = node.storages[sweep.first + i]
  const operand = sweep.inputs[i]
  if (!storage?.captured || !operand) return undefined
  const [writer, ...others] = writers.get(storage) ?? []
  if (writer === undefined || others.length > 0 || writer >= at) return undefined
  const source = list[writer]
  if (source?.kernel.kind !== 'map' || source.kernel.outputs.length !== 1) return undefined
  // What is skipped must not be computed here after all.
  if (!guardedAlike(source, node)) return undefined
  const [expr] = source.kernel.exprs
  const read = expr && readAs(source, source.kernel, operand, sweep.shape)
  if (!expr || !read) return undefined
  // Where the consumer reads the product in another way too, it has to be stored all the same.
  const everywhere = node.storages.every((other, j) => {
    const there = sweep.inputs[j - sweep.first]
    return other !== storage || (there && sameOperand(there, operand))
  })
  const single = everywhere && readers.get(storage) === 1 && !results.has(storage)
  if (!isFree(source.kernel) && !(single && !read.repeated) && !isCheap(expr)) return undefined
  if (!unchanged(list, writer, at)) return undefined
  return spliced(node, sweep, i, source, read.inputs)
}

/** Computed once a run wherever it is read: it is made from constants and host scalars alone. */
const isFree = ({ inputs, exprs }: MapKernel): boolean => inputs.length === 0 && !readsPosition(exprs)

/**
 * The producer's operands as they look from the consumer's space; undefined when the consumer does not read the product
 * element by element in its order, or all of a single one.
 */
function readAs(
  source: Node,
  producer: MapKernel,
  operand: Operand,
  shape: readonly number[],
): { readonly inputs: readonly Bound[]; readonly repeated: boolean } | undefined {
  const [product] = producer.outputs
  if (isFree(producer)) return product?.dtype === operand.dtype ? { inputs: [], repeated: false } : undefined
  if (product?.offset !== 0 || operand.offset !== 0 || product.dtype !== operand.dtype) return undefined
  const bounds = producer.inputs.flatMap((own, i): Bound[] => {
    const storage = source.storages[i]
    return storage ? [{ operand: own, storage }] : []
  })
  if (sizeOf(producer.shape) === 1 && !readsPosition(producer.exprs)) {
    const still = bounds.map((bound) => ({ ...bound, operand: { ...bound.operand, strides: shape.map(() => 0) } }))
    return { inputs: still, repeated: sizeOf(shape) > 1 }
  }
  if (!isPacked(product, producer.shape) || !isPacked(operand, shape)) return undefined
  const inputs = respaced(bounds, producer.shape, shape)
  return inputs && { inputs, repeated: false }
}

function spliced(node: Node, sweep: Sweep, i: number, source: Node, reads: readonly Bound[]): Node | undefined {
  const { first, slot } = sweep
  const own = boundOf(sweep, node)
  const operands = new Operands()
  for (const [j, bound] of own.entries()) if (j !== i) operands.place(bound)
  for (const bound of reads) operands.place(bound)
  if (operands.list.length + 1 > mostOperands || source.kernel.kind !== 'map') return undefined
  const [product] = source.kernel.exprs.map((expr) =>
    rewired(expr, node.scalars.length, (at, leaf) => readsAt(operands, slot, reads[at], leaf)),
  )
  const exprs = sweep.exprs.map((expr) =>
    rewired(expr, 0, (at, leaf) => {
      if (at < slot) return leaf
      return at === slot + i ? (product ?? leaf) : readsAt(operands, slot, own[at - slot], leaf)
    }),
  )
  if (exprNodes(exprs).length > mostNodes) return undefined
  const inputs = operands.list.map(({ operand }) => operand)
  return {
    kernel: sweep.rebuilt(inputs, exprs),
    storages: [
      ...node.storages.slice(0, first),
      ...operands.list.map(({ storage }) => storage),
      ...node.storages.slice(first + own.length),
    ],
    scalars: [...node.scalars, ...source.scalars],
    guards: node.guards,
    after: [...new Set([...node.after, ...source.after])],
  }
}
