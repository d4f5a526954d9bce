import { type Guard, HostScalars, NotAll } from '../../tensor/recorder.js'
import type { Storage } from '../../tensor/storage.js'
import { lookupOf } from '../checks-first.js'
import { accesses, areExclusive, isAlternative, type Node } from '../node.js'
import { isPass, meet, type Pass } from './join.js'

/**
 * Joins whole-model passes where one reads what the other has just written, or reads, too: optimizer and model updates.
 * Where the host decides about them one by one, the joined pass runs when all are due, and what it is made of stays for
 * the other runs. So an optimizer with K shadows makes at most 2K passes: joined with none, with the first, the first two
 * and so on, and each shadow but the first alone.
 */
export function fuseForeach(program: readonly Node[]): Node[] {
  const list = [...program]
  // What always runs together first: whether it is due with others is asked once, of all of it.
  joinAll(list, sameConditions)
  joinAll(list, () => true)
  return list
}

function joinAll(list: Node[], may: (a: Node, b: Node) => boolean): void {
  for (let later = 1; later < list.length; later++) {
    // The earliest is the optimizer.
    for (let earlier = 0; earlier < later; earlier++) {
      const joined = joinedAt(list, earlier, later, may)
      if (!joined) continue
      list.splice(later, 1, ...joined.later)
      list.splice(earlier, 1, ...joined.earlier)
      // What is new there may join what comes before.
      later = Math.max(earlier, 1) - 1
      break
    }
  }
}

/** What takes the place of two nodes, if they have a pass in common. */
function joinedAt(
  list: readonly Node[],
  earlier: number,
  later: number,
  may: (a: Node, b: Node) => boolean,
): { readonly earlier: readonly Node[]; readonly later: readonly Node[] } | undefined {
  const [a, b] = [list[earlier], list[later]]
  if (!isPass(a) || !isPass(b) || isAlternative(a) || isAlternative(b) || !may(a, b)) return undefined
  if (!a.storages.some((storage) => b.storages.includes(storage)) || !sameFlags(a, b)) return undefined
  const sinks = canSink(list, earlier, later)
  if (!sinks && !canRise(list, earlier, later)) return undefined
  const meeting = meet(a, b)
  if (!meeting) return undefined
  const { first, second, restOfFirst, restOfSecond } = meeting
  const [onlyFirst, onlySecond] = [without(hostGuards(a), b.guards), without(hostGuards(b), a.guards)]
  const joined = { ...meeting.joined, guards: [...a.guards, ...onlySecond] }
  return {
    earlier: [...restOfFirst, ...unless(first, onlySecond), ...(sinks ? [] : [joined])],
    later: [...(sinks ? [joined] : []), ...unless(second, onlyFirst), ...restOfSecond],
  }
}

/** The pass for runs in which its own conditions hold and these do not all. */
const unless = (pass: Pass, conditions: readonly HostScalars[]): Node[] =>
  conditions.length > 0 ? [{ ...pass, guards: [...pass.guards, new NotAll(conditions)] }] : []

const hostGuards = ({ guards }: Node): readonly HostScalars[] => guards.filter((guard) => guard instanceof HostScalars)

const without = (guards: readonly HostScalars[], others: readonly Guard[]): readonly HostScalars[] =>
  guards.filter((guard) => !others.includes(guard))

const sameConditions = (a: Node, b: Node): boolean =>
  without(hostGuards(a), b.guards).length === 0 && without(hostGuards(b), a.guards).length === 0

type Flag = Exclude<Guard, HostScalars>

/** Whether the same bools in memory decide about both, which the first does not decide anew for the second. */
function sameFlags(a: Node, b: Node): boolean {
  const [flags, others] = [a, b].map(({ guards }) => guards.filter((guard): guard is Flag => 'storage' in guard))
  if (!flags || !others || flags.length !== others.length) return false
  const { written } = touchedBy(a)
  return flags.every(
    ({ storage, offset }, i) => storage === others[i]?.storage && offset === others[i]?.offset && !written.has(storage),
  )
}

/** Whether the node at `from` may run as late as `to`: nobody in between reads what it writes or writes what it touches. */
function canSink(list: readonly Node[], from: number, to: number): boolean {
  const node = list[from]
  return node !== undefined && list.slice(from + 1, to).every((between) => independent(between, node))
}

/** Whether the node at `from` may run as early as `to`, also before indices in between are checked. */
function canRise(list: readonly Node[], to: number, from: number): boolean {
  const node = list[from]
  return (
    node !== undefined && list.slice(to + 1, from).every((between) => independent(between, node) && !lookupOf(between))
  )
}

/** Whether two nodes may run in either order, or never run both. */
function independent(a: Node, b: Node): boolean {
  const [one, other] = [touchedBy(a), touchedBy(b)]
  const free = (written: ReadonlySet<Storage>, touched: ReadonlySet<Storage>) =>
    [...written].every((storage) => !touched.has(storage))
  return (free(one.written, other.touched) && free(other.written, one.touched)) || areExclusive(a, b)
}

interface Touched {
  readonly touched: ReadonlySet<Storage>
  readonly written: ReadonlySet<Storage>
}

const known = new WeakMap<Node, Touched>()

function touchedBy(node: Node): Touched {
  let found = known.get(node)
  if (!found) {
    const all = accesses(node)
    found = {
      touched: new Set(all.map(({ storage }) => storage)),
      written: new Set(all.flatMap(({ storage, write }) => (write ? [storage] : []))),
    }
    known.set(node, found)
  }
  return found
}
