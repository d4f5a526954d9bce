import { type Expr, input, nodes as exprNodes, scalar, substitute } from '../kernels/expr.js'
import type { ForeachKernel, MapKernel, Operand, ReduceKernel } from '../kernels/kernel.js'
import { contiguousStrides, sizeOf } from '../shapes/strides.js'
import type { Storage } from '../tensor/storage.js'
import { accesses, type Node, type ScalarRef } from './node.js'

/** More operands than this would not fit the registers. */
const mostOperands = 12
/** Larger expressions cost more to compile than a pass over memory saves. */
const mostNodes = 240

/** Rewrites the kernels of a program into fewer that give the same bits: producers move into what reads them. */
export function fuse(program: readonly Node[], results: ReadonlySet<Storage>): Node[] {
  return withoutDead(fuseForeach(withoutDead(fuseMaps(program, results), results)), results)
}

/** Leaves out kernels that write nothing anybody reads. */
function withoutDead(program: readonly Node[], results: ReadonlySet<Storage>): Node[] {
  const live = new Set(results)
  const kept: Node[] = []
  for (const node of [...program].reverse()) {
    const touched = accesses(node)
    if (!touched.some(({ storage, write }) => write && (!storage.captured || live.has(storage)))) continue
    for (const { storage, write } of touched) if (!write) live.add(storage)
    kept.push(node)
  }
  return kept.reverse()
}

/** A map or reduction with its expressions as one list. */
type Sweep = { readonly node: Node; readonly kernel: MapKernel | ReduceKernel }
const exprsOf = (kernel: MapKernel | ReduceKernel): readonly Expr[] =>
  kernel.kind === 'map' ? kernel.exprs : [kernel.expr]

function sweepOf(node: Node | undefined): Sweep | undefined {
  return node && (node.kernel.kind === 'map' || node.kernel.kind === 'reduce')
    ? { node, kernel: node.kernel }
    : undefined
}

function fuseMaps(program: readonly Node[], results: ReadonlySet<Storage>): Node[] {
  const list: Node[] = [...program]
  const uses = usesOf(list)
  for (let at = 0; at < list.length; at++) {
    // Each success replaces the node, whose new operands may fuse in turn.
    for (let slot = 0; ; ) {
      const consumer = sweepOf(list[at])
      if (!consumer || slot >= consumer.kernel.inputs.length) break
      const merged = absorb(consumer, slot, at, list, uses, results)
      if (merged) {
        recount(uses.readers, consumer.node, merged, list, results)
        list[at] = merged
      } else slot++
    }
  }
  return list
}

interface Uses {
  readonly writers: ReadonlyMap<Storage, readonly number[]>
  readonly readers: Map<Storage, number>
}

const readsOf = (node: Node): Set<Storage> =>
  new Set(accesses(node).flatMap(({ storage, write }) => (write ? [] : [storage])))

/** Which nodes write each storage, and how many nodes read it. */
function usesOf(program: readonly Node[]): Uses {
  const writers = new Map<Storage, number[]>()
  const readers = new Map<Storage, number>()
  program.forEach((node, at) => {
    for (const { storage, write } of accesses(node))
      if (write) writers.set(storage, [...(writers.get(storage) ?? []), at])
    for (const storage of readsOf(node)) readers.set(storage, (readers.get(storage) ?? 0) + 1)
  })
  return { writers, readers }
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

/** The consumer with its input `slot` computed in place instead of read, where that is sound and pays. */
function absorb(
  { node, kernel }: Sweep,
  slot: number,
  at: number,
  list: readonly Node[],
  uses: Uses,
  results: ReadonlySet<Storage>,
): Node | undefined {
  const storage = node.storages[slot]
  const operand = kernel.inputs[slot]
  if (!storage?.captured || !operand) return undefined
  const [writer, ...others] = uses.writers.get(storage) ?? []
  if (writer === undefined || others.length > 0 || writer >= at) return undefined
  const source = list[writer]
  if (source?.kernel.kind !== 'map' || source.kernel.outputs.length !== 1) return undefined
  // What is skipped must not be computed here after all.
  if (!source.guards.every((guard) => node.guards.includes(guard))) return undefined
  const expr = source.kernel.exprs[0]
  const inputs = expr && readAs(source.kernel, operand, kernel.shape)
  if (!expr || !inputs) return undefined
  // Where the consumer reads the product in another way too, it has to be stored all the same.
  const everywhere = node.storages.every(
    (other, i) => other !== storage || (kernel.inputs[i] && sameOperand(kernel.inputs[i], operand)),
  )
  const single = everywhere && uses.readers.get(storage) === 1 && !results.has(storage)
  if (!single && !isCheap(expr)) return undefined
  const written = new Set(source.storages.slice(0, -1))
  for (let i = writer + 1; i <= at; i++) {
    const between = list[i]
    if (between && accesses(between).some((access) => access.write && written.has(access.storage))) return undefined
  }
  return spliced({ node, kernel }, slot, source, inputs, expr)
}

/**
 * The producer's operands as they look from the consumer's iteration space; undefined when the consumer does not read
 * the product once, element by element, in its order.
 */
function readAs(producer: MapKernel, operand: Operand, shape: readonly number[]): readonly Operand[] | undefined {
  const [product] = producer.outputs
  const packed = (o: Operand, over: readonly number[]) => o.strides.join() === contiguousStrides(over).join()
  if (product?.offset !== 0 || operand.offset !== 0 || product.dtype !== operand.dtype) return undefined
  if (!packed(product, producer.shape) || !packed(operand, shape) || sizeOf(shape) !== sizeOf(producer.shape))
    return undefined
  if (shape.join() === producer.shape.join()) return producer.inputs
  // The product was reshaped on the way: its operands must be flat, too.
  const flat = producer.inputs.map((o): Operand | undefined => {
    if (packed(o, producer.shape)) return { ...o, strides: contiguousStrides(shape) }
    return o.strides.every((stride) => stride === 0) ? { ...o, strides: shape.map(() => 0) } : undefined
  })
  return flat.every((o) => o !== undefined) ? flat : undefined
}

const costly = new Set(['exp', 'expm1', 'log', 'log1p', 'sin', 'cos', 'tanh', 'erf', 'pow', 'div', 'sqrt'])
/** Worth computing again rather than storing. */
function isCheap(expr: Expr): boolean {
  const all = exprNodes([expr])
  return all.length <= 6 && all.filter((e) => e.op === 'input').length <= 2 && !all.some((e) => costly.has(e.op))
}

function spliced(
  { node, kernel }: Sweep,
  slot: number,
  source: Node,
  inputs: readonly Operand[],
  product: Expr,
): Node | undefined {
  const operands: Operand[] = []
  const storages: Storage[] = []
  const place = (operand: Operand | undefined, storage: Storage | undefined): number => {
    if (!operand || !storage) return -1
    const same = operands.findIndex((o, i) => storages[i] === storage && sameOperand(o, operand))
    if (same >= 0) return same
    storages.push(storage)
    return operands.push(operand) - 1
  }
  const kept = kernel.inputs.map((operand, i) => (i === slot ? -1 : place(operand, node.storages[i])))
  const added = inputs.map((operand, i) => place(operand, source.storages[i]))
  if (operands.length + 1 > mostOperands) return undefined
  const shift = node.scalars.length
  const inner = substitute(product, (leaf) =>
    leaf.op === 'input' ? input(added[leaf.value] ?? 0, leaf.dtype) : scalar(leaf.value + shift, leaf.dtype),
  )
  const outer = (expr: Expr): Expr =>
    substitute(expr, (leaf) => {
      if (leaf.op !== 'input') return leaf
      return leaf.value === slot ? inner : input(kept[leaf.value] ?? 0, leaf.dtype)
    })
  const exprs = exprsOf(kernel).map(outer)
  if (exprNodes(exprs).length > mostNodes) return undefined
  const written = node.storages.slice(kernel.inputs.length)
  const [expr] = exprs
  if (kernel.kind === 'reduce' && !expr) return undefined
  const fused =
    kernel.kind === 'map'
      ? { ...kernel, inputs: operands, exprs }
      : { ...kernel, inputs: operands, expr: expr ?? kernel.expr }
  return {
    kernel: fused,
    storages: [...storages, ...written],
    scalars: [...node.scalars, ...source.scalars],
    guards: node.guards,
    after: [...new Set([...node.after, ...source.after])],
  }
}

const sameOperand = (a: Operand, b: Operand): boolean =>
  a.dtype === b.dtype && a.offset === b.offset && a.strides.join() === b.strides.join()

/** Joins whole-model passes where one reads what the other has just written: optimizer and model updates. */
function fuseForeach(program: readonly Node[]): Node[] {
  const list: (Node | undefined)[] = [...program]
  for (let later = 1; later < list.length; later++) {
    for (let earlier = later - 1; earlier >= 0; earlier--) {
      const [a, b] = [list[earlier], list[later]]
      if (!a || !b || a.kernel.kind !== 'foreach' || b.kernel.kind !== 'foreach') continue
      if (a.guards.length !== b.guards.length || !a.guards.every((guard, i) => guard === b.guards[i])) continue
      if (!canSink(list, earlier, later)) continue
      const joined = join(a, a.kernel, b, b.kernel)
      if (!joined) continue
      list[earlier] = undefined
      list[later] = joined
    }
  }
  return list.filter((node) => node !== undefined)
}

/** Whether the node at `from` may run as late as `to`: nobody in between reads what it writes or writes what it touches. */
function canSink(list: readonly (Node | undefined)[], from: number, to: number): boolean {
  const node = list[from]
  if (!node) return false
  const touched = new Set(accesses(node).map(({ storage }) => storage))
  const written = new Set(accesses(node).flatMap(({ storage, write }) => (write ? [storage] : [])))
  return list
    .slice(from + 1, to)
    .every((between) =>
      between
        ? accesses(between).every(({ storage, write }) => !written.has(storage) && !(write && touched.has(storage)))
        : true,
    )
}

interface Place {
  readonly storage: Storage | undefined
  readonly offset: number
}
const placesOf = (node: Node, kernel: ForeachKernel): readonly (readonly Place[])[] =>
  kernel.parts.map(({ operands }) => operands.map(({ buffer, offset }) => ({ storage: node.storages[buffer], offset })))
const samePlace = (a: Place | undefined, b: Place | undefined) =>
  a !== undefined && a.storage === b?.storage && a.offset === b?.offset

/** `b` after `a` in one pass, when their parts are the same stretches of the same tensors. */
function join(a: Node, first: ForeachKernel, b: Node, second: ForeachKernel): Node | undefined {
  if (first.parts.length !== second.parts.length) return undefined
  const [from, to] = [placesOf(a, first), placesOf(b, second)]
  if (first.parts.some((part, i) => part.length !== second.parts[i]?.length)) return undefined
  const outputsOf = (part: number) => from[part]?.slice(first.inputs.length) ?? []
  // Which output of the first pass each input of the second is; the same in every part.
  const fed = second.inputs.map((_, i) => outputsOf(0).findIndex((place) => samePlace(place, to[0]?.[i])))
  const consistent = to.every((places, part) =>
    fed.every((j, i) => outputsOf(part).findIndex((p) => samePlace(p, places[i])) === j),
  )
  // A pass that overwrites what the first one touches, or reads what it writes, other than at the same element, cannot be
  // joined: the parts run in any order.
  const touched = new Set(a.storages)
  const written = new Set(from.flatMap((places) => places.slice(first.inputs.length).map(({ storage }) => storage)))
  const clobbers = to.some((places) =>
    places.some(({ storage }, i) =>
      i < second.inputs.length ? (fed[i] ?? -1) < 0 && written.has(storage) : storage && touched.has(storage),
    ),
  )
  if (!consistent || clobbers || !fed.some((j) => j >= 0)) return undefined
  const extra = fed.flatMap((j, i) => (j < 0 ? [i] : []))
  const shift = a.scalars.length
  const exprs = second.exprs.map((expr) =>
    substitute(expr, (leaf) => {
      if (leaf.op === 'scalar') return scalar(leaf.value + shift, leaf.dtype)
      const j = fed[leaf.value] ?? -1
      return j >= 0 ? (first.exprs[j] ?? leaf) : input(first.inputs.length + extra.indexOf(leaf.value), leaf.dtype)
    }),
  )
  const all = [...first.exprs, ...exprs]
  if (exprNodes(all).length > mostNodes) return undefined
  const storages = [...new Set([...a.storages, ...b.storages])]
  const slotOf = new Map(storages.map((storage, i) => [storage, i]))
  const at = ({ storage, offset }: Place) => ({ buffer: storage ? (slotOf.get(storage) ?? 0) : 0, offset })
  const parts = first.parts.map(({ length }, part) => {
    const [x, y] = [from[part] ?? [], to[part] ?? []]
    const reads = [...x.slice(0, first.inputs.length), ...extra.flatMap((i) => y[i] ?? [])]
    return { length, operands: [...reads, ...x.slice(first.inputs.length), ...y.slice(second.inputs.length)].map(at) }
  })
  const inputs = [...first.inputs, ...extra.flatMap((i) => second.inputs[i] ?? [])]
  const kernel: ForeachKernel = {
    kind: 'foreach',
    inputs,
    outputs: [...first.outputs, ...second.outputs],
    exprs: all,
    parts,
  }
  const scalars: ScalarRef[] = [...a.scalars, ...b.scalars]
  return { kernel, storages, scalars, guards: a.guards, after: [...new Set([...a.after, ...b.after])] }
}
