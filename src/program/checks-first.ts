import type { GatherKernel, ScatterKernel } from '../kernels/kernel.js'
import { Storage } from '../tensor/storage.js'
import { accesses, type Node } from './node.js'
import { identityOf } from './tree.js'

/** A kernel that refuses indices out of range, and where those lie. */
interface Lookup {
  readonly kernel: GatherKernel | ScatterKernel
  readonly indices: Storage
}

export function lookupOf({ kernel, storages }: Node): Lookup | undefined {
  if ((kernel.kind !== 'gather' && kernel.kind !== 'scatter') || kernel.inRange) return undefined
  const indices = storages[1]
  return indices && { kernel, indices }
}

/** Whether a kernel takes indices that others have checked: it comes after them. */
export const trustsIndices = ({ kernel }: Node): boolean => 'inRange' in kernel && kernel.inRange === true

/** Whether a kernel refuses indices out of range and does nothing else: it looks up rows of no elements. */
export const onlyChecks = ({ kernel }: Node): boolean => kernel.kind === 'gather' && kernel.inner === 0

/** A kernel that refuses the indices that `node` refuses, and does nothing else. */
export function checkOf(node: Node): Node | undefined {
  const lookup = lookupOf(node)
  return lookup && (onlyChecks(node) ? node : checkAlone(node, lookup))
}

/**
 * The program with its indices checked before it writes what lasts: what does, and what depends on that, comes behind the
 * lookups that do not. Where a lookup does depend on it but its indices do not, as in the second of two training steps,
 * a kernel that only checks them comes in front. Indices worked out from what this run has written stay where they are.
 */
export function checksFirst(program: readonly Node[]): Node[] {
  const list: Node[] = []
  /** What writes what lasts, and what depends on that; and the memory that it touches. */
  const late = new Set<Node>()
  const [written, read] = [new Set<Storage>(), new Set<Storage>()]
  const isLate = (node: Node): boolean =>
    accesses(node).some(
      ({ storage, write }) => written.has(storage) || (write && (!storage.captured || read.has(storage))),
    )
  /** How many of the list are up to the last check. */
  let front = 0
  /** What is known of the numbers that a storage holds. */
  const checked = new Map<Storage, Set<string>>()
  const check = (node: Node, lookup: Lookup): void => {
    const key = checkKey(node, lookup)
    const known = checked.get(lookup.indices) ?? new Set()
    if (known.has(key)) return
    const alone = late.has(node) ? checkAlone(node, lookup) : undefined
    if (alone && isLate(alone)) return
    if (alone) list.push(alone)
    front = list.length + (alone ? 0 : 1)
    checked.set(lookup.indices, known.add(key))
  }
  for (const node of program) {
    if (isLate(node)) late.add(node)
    const lookup = lookupOf(node)
    if (lookup) check(node, lookup)
    list.push(node)
    for (const { storage, write } of accesses(node)) {
      if (write) checked.delete(storage)
      if (late.has(node)) (write ? written : read).add(storage)
    }
  }
  const ahead = list.slice(0, front)
  return [...ahead.filter((node) => !late.has(node)), ...ahead.filter((node) => late.has(node)), ...list.slice(front)]
}

/** Lookups of one key in one storage find the same indices out of range. */
const checkKey = ({ guards }: Node, { kernel: { index, outer, count, perOuter, size } }: Lookup): string =>
  [index.offset, perOuter ? outer * count : count, size, ...guards.map(identityOf)].join()

/** A kernel that checks the indices of a lookup, and neither reads nor writes what the lookup does. */
function checkAlone({ guards }: Node, { kernel, indices }: Lookup): Node {
  const { outer, size, count, perOuter, index, op = kernel.kind } = kernel
  const output = new Storage(indices.device, 0)
  return {
    kernel: {
      kind: 'gather',
      op,
      outer,
      size,
      inner: 0,
      count,
      perOuter,
      source: index,
      index,
      output: { ...index, offset: 0 },
    },
    storages: [indices, indices, output],
    scalars: [],
    guards,
    after: [],
  }
}
