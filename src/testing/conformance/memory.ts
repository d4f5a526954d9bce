import type { Backend } from '../../tensor/backend.js'
import { DeviceError } from '../../tensor/errors.js'

interface MemoryCheck {
  readonly name: string
  /** What is wrong, in words; nothing if all is well. */
  readonly check: (backend: Backend) => Promise<string | undefined>
}

const bytes = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 89 + 7) & 255)
const same = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((byte, i) => byte === b[i])

/** Storing, counting and returning memory. */
export const memoryChecks: readonly MemoryCheck[] = [
  {
    name: 'memory/bytes come back as written',
    check: async (backend) => {
      for (const length of [0, 1, 4, 63, 64, 65, 1000, 100_001]) {
        const buffer = backend.allocate(length)
        backend.write(buffer, 0, bytes(length))
        const back = await backend.read(buffer, 0, length)
        backend.free(buffer)
        if (!same(back, bytes(length))) return `${length} bytes came back changed`
      }
      return undefined
    },
  },
  {
    name: 'memory/a range of a buffer',
    check: async (backend) => {
      const buffer = backend.allocate(100)
      backend.write(buffer, 0, new Uint8Array(100))
      backend.write(buffer, 24, bytes(16))
      const back = await backend.read(buffer, 20, 24)
      backend.free(buffer)
      const expected = new Uint8Array(24)
      expected.set(bytes(16), 4)
      return same(back, expected) ? undefined : `expected [${expected}], got [${back}]`
    },
  },
  {
    name: 'memory/a read is a copy',
    check: async (backend) => {
      const buffer = backend.allocate(8)
      backend.write(buffer, 0, bytes(8))
      const first = await backend.read(buffer, 0, 8)
      const kept = first.slice()
      backend.write(buffer, 0, new Uint8Array(8))
      const changed = !same(first, kept)
      first.fill(255)
      const back = await backend.read(buffer, 0, 8)
      backend.free(buffer)
      if (changed) return 'a later write changed what had been read'
      return same(back, new Uint8Array(8)) ? undefined : 'writing to what had been read changed the buffer'
    },
  },
  {
    name: 'memory/copies between buffers and within one',
    check: async (backend) => {
      const [from, to] = [backend.allocate(64), backend.allocate(48)]
      backend.write(from, 0, bytes(64))
      backend.write(to, 0, new Uint8Array(48))
      backend.copy(from, 12, to, 4, 40)
      // Overlapping, upwards: as if all bytes were read first.
      backend.copy(from, 0, from, 8, 32)
      const [between, within] = [await backend.read(to, 0, 48), await backend.read(from, 0, 64)]
      backend.free(from)
      backend.free(to)
      const expected = new Uint8Array(48)
      expected.set(bytes(64).subarray(12, 52), 4)
      if (!same(between, expected)) return `expected [${expected}], got [${between}]`
      const moved = bytes(64).copyWithin(8, 0, 32)
      return same(within, moved) ? undefined : `expected [${moved}] within a buffer, got [${within}]`
    },
  },
  {
    name: 'memory/readSync equals read',
    check: async (backend) => {
      if (!backend.readSync) return undefined
      const buffer = backend.allocate(40)
      backend.write(buffer, 0, bytes(40))
      const [now, later] = [backend.readSync(buffer, 4, 20), await backend.read(buffer, 4, 20)]
      backend.free(buffer)
      return now && same(now, later) && same(now, bytes(40).slice(4, 24)) ? undefined : `[${now}] and [${later}] differ`
    },
  },
  {
    name: 'memory/buffers do not overlap',
    check: async (backend) => {
      const buffers = Array.from({ length: 20 }, (_, i) => backend.allocate(4 * i + 4))
      buffers.forEach((buffer, i) => {
        backend.write(buffer, 0, new Uint8Array(4 * i + 4).fill(i))
      })
      const mixed: number[] = []
      for (const [i, buffer] of buffers.entries()) {
        if (!(await backend.read(buffer, 0, 4 * i + 4)).every((byte) => byte === i)) mixed.push(i)
      }
      for (const buffer of buffers) backend.free(buffer)
      return mixed.length === 0 ? undefined : `buffers ${mixed} hold bytes of others`
    },
  },
  {
    name: 'memory/what is freed is no longer used',
    check: async (backend) => {
      const before = backend.memory().used
      const buffers = [10, 1000, 100_000].map((length) => backend.allocate(length))
      const during = backend.memory()
      for (const buffer of buffers.reverse()) backend.free(buffer)
      const after = backend.memory()
      if (during.used - before < 101_010) return `101010 bytes were allocated, but used grew by ${during.used - before}`
      if (after.peak < during.used) return `peak is ${after.peak}, below ${during.used} that were in use`
      return after.used === before ? undefined : `used is ${after.used} after freeing all, ${before} before`
    },
  },
  {
    name: 'memory/freed memory is used again',
    check: async (backend) => {
      for (let i = 0; i < 3; i++) backend.free(backend.allocate(1 << 20))
      const { reserved } = backend.memory()
      for (let i = 0; i < 100; i++) backend.free(backend.allocate(1 << 20))
      const grown = backend.memory().reserved - reserved
      return grown <= 0 ? undefined : `reserved grew by ${grown} bytes over 100 rounds of allocate and free`
    },
  },
  {
    name: 'memory/more than the limit is refused',
    check: async (backend) => {
      const { used, limit } = backend.memory()
      try {
        backend.free(backend.allocate(limit + 64))
      } catch (error) {
        if (!(error instanceof DeviceError)) return `expected a DeviceError, got ${error}`
        return backend.memory().used === used ? undefined : 'the refused bytes are counted as used'
      }
      return `allocated ${limit + 64} bytes with a limit of ${limit}`
    },
  },
]
