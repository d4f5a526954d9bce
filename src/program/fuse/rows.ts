import { input } from '../../kernels/expr.js'
import { longestRow, type Operand, type RowsKernel, type RowStage } from '../../kernels/kernel.js'
import { sizeOf } from '../../shapes/strides.js'
import type { Storage } from '../../tensor/storage.js'
import { lookupOf, trustsIndices } from '../checks-first.js'
import { accesses, type Node } from '../node.js'
import { type Bound, Operands, readsAt, readsPosition, rewired, sameOperand, usesOf } from './sweep.js'

/** Operands of one kernel: each is walked by an address of its own. */
const mostOperands = 16

/**
 * Joins a reduction over rows with what reads its result for the same rows, in a kernel that goes row by row: softmax,
 * cross-entropy, normalisation, a mean's division.
 */
export function fuseRows(program: readonly Node[], results: ReadonlySet<Storage>): Node[] {
  let list = [...program]
  for (let at = 0; at < list.length; ) {
    const joined = withNext(list, at)
    if (joined) list = withoutUnread(joined, results)
    else at++
  }
  return list
}

/** The list with the kernel at `at` and a later one in one, if there is such a one. */
function withNext(list: readonly Node[], at: number): Node[] | undefined {
  const first = list[at]
  const space = first && spaceOf(first)
  const a = space && staged(first, space)
  if (!a) return undefined
  const made = new Set(a.outputs)
  for (let later = at + 1; later < list.length; later++) {
    const second = list[later]
    if (!second?.storages.some((storage) => made.has(storage))) continue
    const b = sameGuards(first, second) ? staged(second, space) : undefined
    const merged = b && join(first, a, second, b, space)
    const reordered = merged && moved(list, at, later, merged)
    if (reordered) return reordered
  }
  return undefined
}

const sameGuards = (a: Node, b: Node): boolean =>
  a.guards.length === b.guards.length && a.guards.every((guard, i) => guard === b.guards[i])

/** Rows of equal length: sizes along the axes before the row, those of size 1 left out, and elements of a row. */
interface Space {
  readonly outer: readonly number[]
  readonly columns: number
}

/** A kernel as stages over `[...outer, columns]`. */
interface Staged {
  readonly inputs: readonly Bound[]
  readonly stages: readonly RowStage[]
  /** Of the stages that have one. */
  readonly outputs: readonly Storage[]
}

/** The rows that a kernel reduces. */
function spaceOf({ kernel }: Node): Space | undefined {
  if (kernel.kind === 'rows') return { outer: kernel.shape.slice(0, -1), columns: kernel.shape.at(-1) ?? 1 }
  if (kernel.kind !== 'reduce') return undefined
  const { shape, axes } = kernel
  const wide = [...shape.keys()].filter((axis) => shape[axis] !== 1)
  const outer = wide.filter((axis) => !axes.includes(axis))
  const inner = wide.slice(outer.length)
  const columns = sizeOf(inner.map((axis) => shape[axis] ?? 1))
  const trailing = inner.length > 0 && inner.every((axis) => axes.includes(axis))
  return trailing && columns <= longestRow && !shape.includes(0)
    ? { outer: outer.map((axis) => shape[axis] ?? 1), columns }
    : undefined
}

/** The stages a kernel is over these rows, if it is. */
function staged(node: Node, { outer, columns }: Space): Staged | undefined {
  const { kernel, storages } = node
  if (kernel.kind === 'rows') {
    if (kernel.shape.join() !== [...outer, columns].join()) return undefined
    const inputs = bind(kernel.inputs, storages)
    return { inputs, stages: kernel.stages, outputs: storages.slice(inputs.length) }
  }
  if (kernel.kind !== 'map' && kernel.kind !== 'reduce') return undefined
  const { shape } = kernel
  const exprs = kernel.kind === 'map' ? kernel.exprs : [kernel.expr]
  if (readsPosition(exprs)) return undefined
  const wide = [...shape.keys()].filter((axis) => shape[axis] !== 1)
  const sizes = wide.map((axis) => shape[axis] ?? 1)
  const once = kernel.kind === 'map' && sizes.join() === outer.join()
  if (!once && (sizes.slice(0, outer.length).join() !== outer.join() || sizeOf(sizes) !== sizeOf(outer) * columns))
    return undefined
  const [before, row] = [wide.slice(0, outer.length), wide.slice(outer.length)]
  const onRows = (operand: Operand): Operand | undefined => {
    const along = once ? 0 : stepAlong(operand.strides, shape, row)
    return along === undefined
      ? undefined
      : { ...operand, strides: [...before.map((axis) => operand.strides[axis] ?? 0), along] }
  }
  const inputs = kernel.inputs.map(onRows)
  if (kernel.kind === 'map') {
    const outputs = kernel.outputs.map(onRows)
    if (![...inputs, ...outputs].every((o) => o !== undefined)) return undefined
    const stages = exprs.map(
      (expr, j): RowStage => stage(once ? 'once' : 'each', behind(expr, exprs.length), outputs[j]),
    )
    return { inputs: bind(inputs, storages), stages, outputs: storages.slice(inputs.length) }
  }
  const { combine, axes, output } = kernel
  if (combine === 'argmax' || combine === 'argmin' || !row.every((axis) => axes.includes(axis))) return undefined
  if (before.some((axis) => axes.includes(axis)) || !inputs.every((o) => o !== undefined)) return undefined
  const kept = [...shape.keys()].filter((axis) => !axes.includes(axis))
  const strides = [...before.map((axis) => output.strides[kept.indexOf(axis)] ?? 0), 0]
  const stages = exprs.map((expr) => stage(combine, behind(expr, 1), { ...output, strides }))
  return { inputs: bind(inputs, storages), stages, outputs: storages.slice(inputs.length) }
}

const stage = (pass: RowStage['pass'], expr: RowStage['expr'], output: Operand | undefined): RowStage =>
  output ? { pass, expr, output } : { pass, expr }

/** The expression with its inputs behind the numbers of so many stages. */
const behind = (expr: RowStage['expr'], stages: number) =>
  rewired(expr, 0, (slot, leaf) => input(slot + stages, leaf.dtype))

const bind = (operands: readonly (Operand | undefined)[], storages: readonly Storage[]): Bound[] =>
  operands.flatMap((operand, i) => {
    const storage = storages[i]
    return operand && storage ? [{ operand, storage }] : []
  })

/** The distance of neighbours along some axes seen as one; undefined where it varies. */
function stepAlong(strides: readonly number[], shape: readonly number[], axes: readonly number[]): number | undefined {
  const last = axes.at(-1)
  if (last === undefined) return 0
  const step = strides[last] ?? 0
  let next = step
  for (const axis of [...axes].reverse()) {
    if (strides[axis] !== next) return undefined
    next *= shape[axis] ?? 1
  }
  return step
}

/** Both in one kernel, the second reading numbers of the first; undefined when it reads more of it than those. */
function join(first: Node, a: Staged, second: Node, b: Staged, { outer, columns }: Space): Node | undefined {
  const count = a.stages.length + b.stages.length
  const operands = new Operands()
  /** The stage of the first whose number an operand is. */
  const numberOf = ({ operand, storage }: Bound): number | undefined => {
    let next = 0
    const found = a.stages.findIndex(
      ({ output, pass }) => output && a.outputs[next++] === storage && pass !== 'each' && sameOperand(output, operand),
    )
    return found >= 0 ? found : undefined
  }
  const linked = b.inputs.map(numberOf)
  const made = new Set(a.outputs)
  if (b.inputs.some(({ storage }, i) => linked[i] === undefined && made.has(storage))) return undefined
  const read = (slot: number, own: number, from: Staged, leaf: Parameters<typeof readsAt>[3]) =>
    slot < from.stages.length
      ? input(own + slot, leaf.dtype)
      : readsAt(operands, count, from.inputs[slot - from.stages.length], leaf)
  const stages = [
    ...a.stages.map((s) => ({ ...s, expr: rewired(s.expr, 0, (slot, leaf) => read(slot, 0, a, leaf)) })),
    ...b.stages.map((s) => ({
      ...s,
      expr: rewired(s.expr, first.scalars.length, (slot, leaf) => {
        const number = linked[slot - b.stages.length]
        return number === undefined ? read(slot, a.stages.length, b, leaf) : input(number, leaf.dtype)
      }),
    })),
  ]
  const outputs = [...a.outputs, ...b.outputs]
  const reads = operands.list.map(({ storage }) => storage)
  // Only maps and whole-model passes write to what lasts.
  if (!outputs.every(({ captured }) => captured)) return undefined
  if (reads.length + outputs.length > mostOperands || reads.some((storage) => outputs.includes(storage)))
    return undefined
  const inputs = operands.list.map(({ operand }) => operand)
  const kernel: RowsKernel = { kind: 'rows', shape: [...outer, columns], inputs, stages }
  return {
    kernel,
    storages: [...reads, ...outputs],
    scalars: [...first.scalars, ...second.scalars],
    guards: first.guards,
    after: [...new Set([...first.after, ...second.after])],
  }
}

/**
 * The list with both replaced by `merged`: what is in between and needs the first comes after it, all else before.
 * Undefined when the second needs something that needs the first.
 */
function moved(list: readonly Node[], from: number, to: number, merged: Node): Node[] | undefined {
  const [first, second] = [list[from], list[to]]
  if (!first || !second) return undefined
  const before: Node[] = []
  const after: Node[] = []
  for (const node of list.slice(from + 1, to)) {
    const bound = inOrder(first, node) || after.some((other) => inOrder(other, node))
    if (bound) after.push(node)
    else before.push(node)
  }
  if (after.some((node) => inOrder(node, second))) return undefined
  return [...list.slice(0, from), ...before, merged, ...after, ...list.slice(to + 1)]
}

/** Whether the order of two kernels matters. */
function inOrder(a: Node, b: Node): boolean {
  const [x, y] = [accesses(a), accesses(b)]
  const meet = x.some(({ storage, write }) => y.some((other) => other.storage === storage && (write || other.write)))
  // What lasts is written, and indices are trusted, after all those of the program so far were checked.
  const lasts = (all: typeof x) => all.some(({ storage, write }) => write && !storage.captured)
  const checks = (node: Node) => lookupOf(node) !== undefined
  const waits = (node: Node, all: typeof x) => lasts(all) || trustsIndices(node)
  return meet || (checks(a) && waits(b, y)) || (checks(b) && waits(a, x))
}

/** Leaves out the outputs of row kernels that only their own stages read. */
function withoutUnread(list: readonly Node[], results: ReadonlySet<Storage>): Node[] {
  const { readers } = usesOf(list)
  const needed = (storage: Storage | undefined) =>
    storage && (!storage.captured || results.has(storage) || (readers.get(storage) ?? 0) > 0)
  return list.map((node) => {
    const { kernel, storages } = node
    if (kernel.kind !== 'rows') return node
    const kept = storages.slice(0, kernel.inputs.length)
    let next = kernel.inputs.length
    const stages = kernel.stages.map((one): RowStage => {
      const storage = one.output ? storages[next++] : undefined
      if (!storage) return one
      if (one.pass !== 'each' && !needed(storage)) return { pass: one.pass, expr: one.expr }
      kept.push(storage)
      return one
    })
    return kept.length < storages.length ? { ...node, kernel: { ...kernel, stages }, storages: kept } : node
  })
}
