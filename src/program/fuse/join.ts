import { type Expr, input, nodes as exprNodes, scalar, substitute, uniform } from '../../kernels/expr.js'
import { exprsOf, type ForeachKernel, type Place } from '../../kernels/kernel.js'
import { placed, touches } from '../../kernels/places.js'
import type { Storage } from '../../tensor/storage.js'
import type { Node, ScalarRef } from '../node.js'
import { identityOf } from '../tree.js'
import { mostNodes, readsPosition } from './sweep.js'

/** A node that is a whole-model pass. */
export interface Pass extends Node {
  readonly kernel: ForeachKernel
}

export const isPass = (node: Node | undefined): node is Pass => node?.kernel.kind === 'foreach'

/** Two passes as one over the parts that both work on, and each over its other parts. */
export interface Meeting {
  readonly joined: Pass
  /** What the joined pass does, by itself. */
  readonly first: Pass
  readonly second: Pass
  readonly restOfFirst: readonly Pass[]
  readonly restOfSecond: readonly Pass[]
}

/** `b` after `a` in one pass where their parts are the same stretches and it saves reading some of them again. */
export function meet(a: Pass, b: Pass): Meeting | undefined {
  for (const pairs of [inOrder(a.kernel, b.kernel), byPlace(a, b)]) {
    const [first, restOfFirst] = divided(
      a,
      pairs.map(([i]) => i),
    )
    const [second, restOfSecond] = divided(
      b,
      pairs.map(([, i]) => i),
    )
    const joined = first && second && join(first, second)
    if (joined) return { joined, first, second, restOfFirst, restOfSecond }
  }
  return undefined
}

/** Parts of two passes that belong together. */
type Pairs = readonly (readonly [a: number, b: number])[]

const inOrder = ({ parts: a }: ForeachKernel, { parts: b }: ForeachKernel): Pairs =>
  a.length === b.length && a.every(({ length }, i) => length === b[i]?.length) ? a.map((_, i) => [i, i]) : []

/** Passes are divided where they share at least this much of the longer one: less is not worth another kernel. */
const leastShare = 1 / 16

/** Each part of `b` with one of `a` that reads or writes what it reads. */
function byPlace(a: Pass, b: Pass): Pairs {
  const key = ({ storages }: Pass, { buffer, offset }: Place, length: number) =>
    `${identityOf(storages[buffer] ?? storages)}+${offset} ${length}`
  const free = new Map<string, Set<number>>()
  for (const [i, { operands, length }] of a.kernel.parts.entries())
    for (const place of operands) {
      const at = key(a, place, length)
      free.set(at, (free.get(at) ?? new Set()).add(i))
    }
  const taken = new Set<number>()
  const pairs: [number, number][] = []
  for (const [j, { operands, length }] of b.kernel.parts.entries()) {
    const reads = operands.slice(0, b.kernel.inputs.length)
    const i = reads.flatMap((place) => [...(free.get(key(b, place, length)) ?? [])]).find((each) => !taken.has(each))
    if (i === undefined) continue
    taken.add(i)
    pairs.push([i, j])
  }
  const elements = ({ kernel }: Pass, parts: readonly number[] = kernel.parts.map((_, i) => i)) =>
    parts.reduce((sum, i) => sum + (kernel.parts[i]?.length ?? 0), 0)
  if (elements(a, [...taken]) < leastShare * Math.max(elements(a), elements(b))) return []
  return isDivisible(a) ? pairs : pairs.sort(([x], [y]) => x - y)
}

/** Whether it may run on some of its parts, or in another order. */
const isDivisible = ({ kernel }: Pass): boolean =>
  (kernel.reductions ?? []).length === 0 && !readsPosition(exprsOf(kernel))

/** The pass over these of its parts, in this order, and over those that are left, if that gives the same bits. */
function divided(pass: Pass, chosen: readonly number[]): readonly [chosen: Pass | undefined, rest: readonly Pass[]] {
  const { length } = pass.kernel.parts
  if (chosen.length === length && chosen.every((part, i) => part === i)) return [length > 0 ? pass : undefined, []]
  if (chosen.length === 0 || !isDivisible(pass)) return [undefined, []]
  const rest = pass.kernel.parts.flatMap((_, i) => (chosen.includes(i) ? [] : [i]))
  return [withParts(pass, chosen), rest.length > 0 ? [withParts(pass, rest)] : []]
}

function withParts(pass: Pass, chosen: readonly number[]): Pass {
  const slots = new Map<number, number>()
  const parts = chosen.flatMap((i) => pass.kernel.parts[i] ?? [])
  const kernel = placed({ ...pass.kernel, parts }, ({ buffer, offset }) => {
    const slot = slots.get(buffer) ?? slots.size
    slots.set(buffer, slot)
    return { buffer: slot, offset }
  })
  return { ...pass, kernel, storages: [...slots.keys()].flatMap((buffer) => pass.storages[buffer] ?? []) }
}

/** The parts of `b` after those of `a` in one pass, when it saves reading something again. */
function join(a: Pass, b: Pass): Pass | undefined {
  const storages = [...new Set([...a.storages, ...b.storages])]
  const slots = new Map<Storage, number>(storages.map((storage, slot) => [storage, slot]))
  const bound = ({ storages: own, kernel }: Pass) =>
    placed(kernel, ({ buffer, offset }) => {
      const storage = own[buffer]
      return { buffer: (storage && slots.get(storage)) ?? buffer, offset }
    })
  const [x, y] = [bound(a), bound(b)]
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
