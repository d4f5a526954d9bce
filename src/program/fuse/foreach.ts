import { type Expr, input, nodes as exprNodes, scalar, substitute, uniform } from '../../kernels/expr.js'
import { exprsOf, type ForeachKernel, type Place } from '../../kernels/kernel.js'
import { placed, touches } from '../../kernels/places.js'
import type { Guard } from '../../tensor/recorder.js'
import { accesses, type Node, type ScalarRef } from '../node.js'
import { mostNodes } from './sweep.js'

/** Joins whole-model passes where one reads what the other has just written, or reads, too: optimizer and model updates. */
export function fuseForeach(program: readonly Node[]): Node[] {
  const list: (Node | undefined)[] = [...program]
  for (let later = 1; later < list.length; later++) {
    for (let earlier = later - 1; earlier >= 0; earlier--) {
      const [a, b] = [list[earlier], list[later]]
      if (!a || !b || a.kernel.kind !== 'foreach' || b.kernel.kind !== 'foreach') continue
      if (!sameGuards(a, b)) continue
      if (!canSink(list, earlier, later)) continue
      const joined = join(a, a.kernel, b, b.kernel)
      if (!joined) continue
      list[earlier] = undefined
      list[later] = joined
    }
  }
  return list.filter((node) => node !== undefined)
}

/** Whether both run under the same conditions, which the first does not decide anew for the second. */
function sameGuards(a: Node, b: Node): boolean {
  const same = (x: Guard, y: Guard | undefined): boolean =>
    x === y || ('storage' in x && y !== undefined && 'storage' in y && x.storage === y.storage && x.offset === y.offset)
  if (a.guards.length !== b.guards.length || !a.guards.every((guard, i) => same(guard, b.guards[i]))) return false
  const written = new Set(accesses(a).flatMap(({ storage, write }) => (write ? [storage] : [])))
  return !a.guards.some((guard) => 'storage' in guard && written.has(guard.storage))
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
