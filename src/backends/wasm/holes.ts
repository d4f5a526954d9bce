interface Hole {
  start: number
  size: number
  /** Position in the bin of its size. */
  slot: number
}

/** Free stretches of memory: found by size, by start and by end, each in (nearly) constant time. */
export class Holes {
  readonly #byStart = new Map<number, Hole>()
  readonly #byEnd = new Map<number, Hole>()
  readonly #bins = new Map<number, Hole[]>()
  /** Sizes that have a bin with holes, ascending: few, because sizes repeat. */
  readonly #sizes: number[] = []

  get count(): number {
    return this.#byStart.size
  }

  /** Takes `size` from the smallest hole that holds it; its address, or undefined. */
  take(size: number): number | undefined {
    const hole = this.#bins.get(size)?.at(-1) ?? this.#larger(size)
    if (hole === undefined) return undefined
    this.#remove(hole)
    if (hole.size > size) this.#insert(hole.start + size, hole.size - size)
    return hole.start
  }

  /** Gives a stretch back, joined with its neighbours. */
  give(start: number, size: number): void {
    const before = this.#byEnd.get(start)
    const after = this.#byStart.get(start + size)
    if (before) this.#remove(before)
    if (after) this.#remove(after)
    this.#insert(before?.start ?? start, (before?.size ?? 0) + size + (after?.size ?? 0))
  }

  /** Removes the hole that ends at `end` and returns its start, or `end` when there is none. */
  trim(end: number): number {
    const last = this.#byEnd.get(end)
    if (last === undefined) return end
    this.#remove(last)
    return last.start
  }

  /** Size of the largest hole. */
  get largest(): number {
    return this.#sizes.at(-1) ?? 0
  }

  #larger(size: number): Hole | undefined {
    const found = this.#sizes[this.#position(size)]
    return found === undefined ? undefined : this.#bins.get(found)?.at(-1)
  }

  /** First position in `#sizes` that is not below `size`. */
  #position(size: number): number {
    let low = 0
    let high = this.#sizes.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#sizes[middle] ?? 0) < size) low = middle + 1
      else high = middle
    }
    return low
  }

  #insert(start: number, size: number): void {
    let bin = this.#bins.get(size)
    if (bin === undefined) {
      bin = []
      this.#bins.set(size, bin)
    }
    if (bin.length === 0) this.#sizes.splice(this.#position(size), 0, size)
    const hole = { start, size, slot: bin.length }
    bin.push(hole)
    this.#byStart.set(start, hole)
    this.#byEnd.set(start + size, hole)
  }

  #remove(hole: Hole): void {
    this.#byStart.delete(hole.start)
    this.#byEnd.delete(hole.start + hole.size)
    const bin = this.#bins.get(hole.size)
    const last = bin?.pop()
    if (bin === undefined || last === undefined) return
    if (last !== hole) {
      bin[hole.slot] = last
      last.slot = hole.slot
    }
    if (bin.length === 0) {
      this.#bins.delete(hole.size)
      this.#sizes.splice(this.#position(hole.size), 1)
    }
  }
}
