/** What happens to an item, one after another; different items are at different stages at the same time. */
export interface Stages<Item, Slot> {
  readonly read: (item: Item, slot: Slot) => Promise<void>
  readonly compute: (item: Item, slot: Slot) => void
  readonly write: (item: Item, slot: Slot) => Promise<void>
}

/**
 * Takes items through three stages in their order, each in the next free slot. When a stage fails, or the signal aborts,
 * nothing new begins, and the promise is rejected once nothing is under way any more.
 */
export async function pipeline<Item, Slot>(
  items: Iterable<Item>,
  slots: readonly Slot[],
  { read, compute, write }: Stages<Item, Slot>,
  signal?: AbortSignal,
): Promise<void> {
  /** When each slot is free. */
  const free = slots.map(() => Promise.resolve())
  const reading: { readonly item: Item; readonly turn: number; readonly ready: Promise<void> }[] = []
  let turn = 0
  const begin = (item: Item) => {
    const at = turn++ % slots.length
    const slot = slots[at]
    const ready = slot === undefined ? Promise.resolve() : (free[at] ?? Promise.resolve()).then(() => read(item, slot))
    ready.catch(() => undefined)
    reading.push({ item, turn: at, ready })
  }
  const finish = async () => {
    const next = reading.shift()
    const slot = slots[next?.turn ?? 0]
    if (!next || slot === undefined) return
    await next.ready
    signal?.throwIfAborted()
    compute(next.item, slot)
    const written = write(next.item, slot)
    written.catch(() => undefined)
    free[next.turn] = written
  }
  try {
    for (const item of items) {
      begin(item)
      if (reading.length === slots.length - 1) await finish()
    }
    while (reading.length > 0) await finish()
    await Promise.all(free)
  } catch (error) {
    await Promise.allSettled([...reading.map(({ ready }) => ready), ...free])
    throw error
  }
}
