import type { MemoryStats } from '../../tensor/backend.js'
import { DeviceError, OptionError } from '../../tensor/errors.js'
import { Holes } from './holes.js'

const pageBytes = 65536
const mostPages = 65536
/** Cache line, and the unit of every block. */
const unit = 64
/** Left free at the end of the memory, so that vectors may read past the last block. */
const slack = 4096

export interface MemoryOptions {
  readonly shared: boolean
  /** Most bytes to take. Default: 4 GiB, or as much of it as the engine lets be reserved. */
  readonly maxBytes?: number | undefined
  /** Bytes at address 0 that are never handed out. */
  readonly reserved: number
}

/** Bytes as people read them. */
export function readable(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`
  const exponent = Math.min(3, Math.floor(Math.log2(bytes) / 10))
  // Of the largest unit a tenth is too much to round away: what was needed and what was free would look alike.
  return `${(bytes / 1024 ** exponent).toFixed(exponent === 3 ? 2 : 1)} ${['bytes', 'KiB', 'MiB', 'GiB'][exponent]}`
}

/**
 * The memory of one backend and its allocator. Blocks are multiples of 64 bytes at multiples of 64. A freed block
 * joins its free neighbours; allocation takes the smallest hole that fits, the one freed last among equals, so
 * that programs that repeat or alternate sizes settle into the same places.
 */
export class DeviceMemory {
  readonly wasm: WebAssembly.Memory
  readonly shared: boolean
  readonly maximumPages: number
  readonly limit: number
  readonly #holes = new Holes()
  /** Size of each live block by address. */
  readonly #live = new Map<number, number>()
  readonly #base: number
  /** Nothing lives from here on. */
  #top: number
  #used = 0
  #peak = 0
  #bytes: Uint8Array
  #words: Int32Array
  #floats: Float32Array

  constructor(options: MemoryOptions) {
    this.shared = options.shared
    const { maxBytes = mostPages * pageBytes } = options
    if (!(maxBytes > 0))
      throw new OptionError(
        `maxBytes is ${maxBytes}, expected a number of bytes above 0. Leave it out for up to 4 GiB.`,
      )
    const least = Math.ceil((options.reserved + slack) / pageBytes) + 1
    const asked = Math.floor(Math.min(maxBytes, mostPages * pageBytes) / pageBytes)
    const { memory, maximum } = reserve(least, Math.min(mostPages, Math.max(asked, least)), options.shared)
    this.wasm = memory
    this.maximumPages = maximum
    this.limit = maximum * pageBytes
    this.#base = this.#top = Math.ceil(options.reserved / unit) * unit
    this.#bytes = new Uint8Array(memory.buffer)
    this.#words = new Int32Array(memory.buffer)
    this.#floats = new Float32Array(memory.buffer)
  }

  /** Views of the whole memory; fetch them anew after every allocation. */
  get bytes(): Uint8Array {
    return this.#bytes
  }
  get words(): Int32Array {
    return this.#words
  }
  get floats(): Float32Array {
    return this.#floats
  }

  /**
   * Address of a new block, a multiple of 64.
   *
   * @throws DeviceError naming need and limit
   */
  allocate(byteLength: number): number {
    const size = Math.max(unit, Math.ceil(byteLength / unit) * unit)
    let address = this.#holes.take(size)
    if (address === undefined) {
      this.#reach(this.#top + size, byteLength)
      address = this.#top
      this.#top += size
    }
    this.#live.set(address, size)
    this.#used += size
    if (this.#used > this.#peak) this.#peak = this.#used
    return address
  }

  /** Gives a block back; a second time is ignored. */
  free(address: number): void {
    const size = this.#live.get(address)
    if (size === undefined) return
    this.#live.delete(address)
    this.#used -= size
    if (address + size === this.#top) this.#top = this.#holes.trim(address)
    else this.#holes.give(address, size)
  }

  stats(): MemoryStats {
    return { used: this.#used, peak: this.#peak, reserved: this.#bytes.byteLength, limit: this.limit }
  }

  /** Free stretches below the highest live block, and where that ends. */
  layout(): { readonly holes: number; readonly top: number; readonly base: number } {
    return { holes: this.#holes.count, top: this.#top, base: this.#base }
  }

  /** Grows the memory so that it ends behind `end`. */
  #reach(end: number, byteLength: number): void {
    const missing = Math.ceil((end + slack - this.#bytes.byteLength) / pageBytes)
    if (missing <= 0) return
    const now = this.#bytes.byteLength / pageBytes
    const comfortable = Math.min(Math.max(missing, Math.min(now, 4096)), this.maximumPages - now)
    if (missing > this.maximumPages - now || !(this.#grow(comfortable) || this.#grow(missing))) {
      const free = Math.max(this.#holes.largest, this.limit - slack - this.#top)
      const why =
        missing > this.maximumPages - now
          ? `(largest free stretch: ${readable(free)})`
          : `and the system gives no more than the ${readable(this.#bytes.byteLength)} that are taken`
      const remedy =
        'Free what is not needed any more with scope(() => …) or dispose(), use smaller batches or checkpoint(…), ' +
        'or run the step with compile(…), which plans its memory'
      throw new DeviceError(
        `${readable(byteLength)} more were needed, but ${readable(this.#used)} of at most ${readable(this.limit)} ` +
          `are in use ${why}. ${remedy}.`,
      )
    }
    this.#bytes = new Uint8Array(this.wasm.buffer)
    this.#words = new Int32Array(this.wasm.buffer)
    this.#floats = new Float32Array(this.wasm.buffer)
  }

  #grow(pages: number): boolean {
    try {
      this.wasm.grow(pages)
      return true
    } catch {
      return false
    }
  }
}

/** The largest maximum up to `most` that the engine is willing to reserve addresses for. */
function reserve(initial: number, most: number, shared: boolean): { memory: WebAssembly.Memory; maximum: number } {
  let cause: unknown
  for (let maximum = most; maximum >= initial; maximum = Math.floor(maximum / 2)) {
    try {
      return { memory: new WebAssembly.Memory({ initial, maximum, shared }), maximum }
    } catch (error) {
      cause = error
    }
  }
  throw new DeviceError(
    `The engine refused to reserve ${readable(initial * pageBytes)} of WebAssembly memory. ` +
      'Close other devices or raise the limit of this process.',
    { cause },
  )
}
