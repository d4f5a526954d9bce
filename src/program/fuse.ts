import { type Expr, input, nodes as exprNodes, scalar, substitute, uniform } from '../kernels/expr.js'
import {
  exprsOf,
  type ForeachKernel,
  type MapKernel,
  type Operand,
  type Place,
  type ReduceKernel,
} from '../kernels/kernel.js'
import { placed, touches } from '../kernels/places.js'
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

/** Joins whole-model passes where one reads what the other has just written, or reads, too: optimizer and model updates. */
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

/** `b` after `a` in one pass, when their parts are the same stretches and it saves reading some of them again. */
function join(a: Node, first: ForeachKernel, b: Node, second: ForeachKernel): Node | undefined {
  const storages = [...new Set([...a.storages, ...b.storages])]
  const slots = new Map(storages.map((storage, slot) => [storage, slot]))
  const bound = ({ storages: own }: Node, kernel: ForeachKernel) =>
    placed(kernel, ({ buffer, offset }) => {
      const storage = own[buffer]
      return { buffer: (storage && slots.get(storage)) ?? buffer, offset }
    })
  if (!sameLengths(first, second)) return undefined
  const [x, y] = [bound(a, first), bound(b, second)]
  if (!x.parts.every(({ guard }, i) => placeKey(guard) === placeKey(y.parts[i]?.guard))) return undefined
  const [xColumns, yColumns] = [columnsOf(x), columnsOf(y)]
  const [xInputs, xOutputs] = [xColumns.slice(0, x.inputs.length), xColumns.slice(x.inputs.length)]
  // For each input of the second pass: the output of the first that it is, else the input that it is, too.
  const sources = y.inputs.map((_, i) => {
    const column = yColumns[i] ?? ''
    return { fed: xOutputs.indexOf(column), shared: xInputs.indexOf(column) }
  })
  if (!sources.some(({ fed, shared }) => fed >= 0 || shared >= 0)) return undefined
  if (
    clobbers(
      x,
      y,
      sources.map(({ fed }) => fed >= 0),
    )
  )
    return undefined
  const extra = sources.flatMap(({ fed, shared }, i) => (fed < 0 && shared < 0 ? [i] : []))
  const shift = { scalar: a.scalars.length, uniform: x.uniforms?.length ?? 0 }
  const rewritten = (expr: Expr): Expr =>
    substitute(expr, (leaf) => {
      if (leaf.op === 'scalar') return scalar(leaf.value + shift.scalar, leaf.dtype)
      if (leaf.op === 'uniform') return uniform(leaf.value + shift.uniform, leaf.dtype)
      const { fed = -1, shared = -1 } = sources[leaf.value] ?? {}
      if (fed >= 0) return x.exprs[fed] ?? leaf
      return input(shared >= 0 ? shared : x.inputs.length + extra.indexOf(leaf.value), leaf.dtype)
    })
  const kernel: ForeachKernel = {
    kind: 'foreach',
    inputs: [...x.inputs, ...extra.flatMap((i) => y.inputs[i] ?? [])],
    outputs: [...x.outputs, ...y.outputs],
    exprs: [...x.exprs, ...y.exprs.map(rewritten)],
    uniforms: [...(x.uniforms ?? []), ...(y.uniforms ?? [])],
    reductions: [
      ...(x.reductions ?? []),
      ...(y.reductions ?? []).map((each) => ({ ...each, expr: rewritten(each.expr) })),
    ],
    parts: x.parts.map((part, at) => {
      const [before, after] = [part.operands, y.parts[at]?.operands ?? []]
      const reads = [...before.slice(0, x.inputs.length), ...extra.flatMap((i) => after[i] ?? [])]
      return {
        ...part,
        operands: [...reads, ...before.slice(x.inputs.length), ...after.slice(y.inputs.length)],
        uniforms: [...(part.uniforms ?? []), ...(y.parts[at]?.uniforms ?? [])],
      }
    }),
  }
  if (exprNodes(exprsOf(kernel)).length > mostNodes) return undefined
  const scalars: ScalarRef[] = [...a.scalars, ...b.scalars]
  return { kernel, storages, scalars, guards: a.guards, after: [...new Set([...a.after, ...b.after])] }
}

const sameLengths = (a: ForeachKernel, b: ForeachKernel): boolean =>
  a.parts.length > 0 &&
  a.parts.length === b.parts.length &&
  a.parts.every(({ length }, i) => length === b.parts[i]?.length)

const placeKey = (place: Place | undefined): string => (place ? `${place.buffer}+${place.offset}` : '')

/** Each operand over all parts as text: equal texts are the same memory read the same way. */
const columnsOf = ({ inputs, outputs, parts }: ForeachKernel): readonly string[] =>
  [...inputs, ...outputs].map((dtype, i) => `${dtype} ${parts.map(({ operands }) => placeKey(operands[i])).join()}`)

/**
 * Whether `y` overwrites what `x` touches, or reads what it writes other than at the same element, as `fed` inputs do:
 * then they cannot be one pass, whose parts run in any order.
 */
function clobbers(x: ForeachKernel, y: ForeachKernel, fed: readonly boolean[]): boolean {
  const [before, after] = [touches(x), touches(y)]
  const touched = new Set(before.map(({ place }) => place.buffer))
  const written = new Set(before.flatMap(({ place, write }) => (write ? [place.buffer] : [])))
  const forwarded = new Set(y.parts.flatMap(({ operands }) => operands.filter((_, i) => fed[i])))
  return after.some(({ place, write }) =>
    write ? touched.has(place.buffer) : written.has(place.buffer) && !forwarded.has(place),
  )
}
