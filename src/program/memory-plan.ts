import type { Storage } from '../tensor/storage.js'
import { accesses } from './node.js'
import type { Phase } from './schedule.js'

/** Vector kernels may read, never write, this many bytes past the end of what they work on. */
const slack = 64
const align = (bytes: number) => Math.ceil(bytes / 64) * 64

/** Where the temporaries of a program lie in its arena. */
export interface MemoryPlan {
  /** Byte offset by storage. */
  readonly offsets: ReadonlyMap<Storage, number>
  readonly byteLength: number
}

interface Interval {
  readonly storage: Storage
  readonly size: number
  first: number
  last: number
}

/**
 * Places every captured storage so that those alive at the same time do not overlap: largest first, each at the
 * lowest place that is free while it lives. `inputs` live from the start, `results` to the end. An input that nothing
 * touches has no place.
 *
 * Time counts the kernels that one thread runs in order. What is shared goes on beside all of those of its phase.
 */
export function planMemory(
  phases: readonly Phase[],
  inputs: readonly Storage[],
  results: ReadonlySet<Storage>,
): MemoryPlan {
  const intervals = new Map<Storage, Interval>()
  const touch = (storage: Storage, first: number, last = first): void => {
    if (!storage.captured) return
    const known = intervals.get(storage)
    if (known) {
      known.first = Math.min(known.first, first)
      known.last = Math.max(known.last, last)
    } else intervals.set(storage, { storage, size: align(storage.byteLength) + slack, first, last })
  }
  let now = 0
  for (const { shared, single } of phases) {
    const end = now + Math.max(1, single.length) - 1
    for (const node of shared) for (const { storage } of accesses(node)) touch(storage, now, end)
    for (const [i, node] of single.entries()) for (const { storage } of accesses(node)) touch(storage, now + i)
    now = end + 1
  }
  for (const storage of results) touch(storage, now)
  for (const storage of inputs) {
    const interval = intervals.get(storage)
    if (interval) interval.first = -1
  }

  const placed: (Interval & { offset: number })[] = []
  for (const interval of [...intervals.values()].sort((a, b) => b.size - a.size)) {
    const alive = placed.filter((other) => other.first <= interval.last && interval.first <= other.last)
    let offset = 0
    for (const other of alive.sort((a, b) => a.offset - b.offset)) {
      if (other.offset - offset >= interval.size) break
      offset = Math.max(offset, other.offset + other.size)
    }
    placed.push({ ...interval, offset })
  }
  return {
    offsets: new Map(placed.map(({ storage, offset }) => [storage, offset])),
    byteLength: placed.reduce((end, { offset, size }) => Math.max(end, offset + size), 0),
  }
}
