import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { DeviceMemory } from '../../../src/backends/wasm/memory.js'
import { DeviceError } from '../../../src/tensor/errors.js'

const memory = (maxBytes = 64 << 20) => new DeviceMemory({ shared: false, maxBytes, reserved: 4096 })

describe('DeviceMemory', () => {
  it('aligns blocks and counts them', () => {
    const m = memory()
    const a = m.allocate(1)
    const b = m.allocate(65)
    expect([a % 64, b % 64]).toEqual([0, 0])
    expect(m.stats()).toMatchObject({ used: 64 + 128, peak: 192, limit: 64 << 20 })
    m.free(a)
    m.free(a)
    expect(m.stats()).toMatchObject({ used: 128, peak: 192 })
  })

  it('never overlaps blocks and ends as one free stretch, whatever the order', () => {
    const actions = fc.array(
      fc.record({ size: fc.integer({ min: 0, max: 5000 }), free: fc.integer({ min: 0, max: 30 }) }),
      { maxLength: 300 },
    )
    fc.assert(
      fc.property(actions, (steps) => {
        const m = memory()
        const live: { start: number; size: number }[] = []
        let used = 0
        for (const { size, free } of steps) {
          if (free < live.length) {
            const [gone] = live.splice(free, 1)
            if (gone) {
              m.free(gone.start)
              used -= Math.max(64, Math.ceil(gone.size / 64) * 64)
            }
          } else {
            const start = m.allocate(size)
            expect(start).toBeGreaterThanOrEqual(4096)
            expect(start + size).toBeLessThan(m.bytes.byteLength)
            for (const other of live)
              expect(start + size <= other.start || other.start + other.size <= start).toBe(true)
            live.push({ start, size })
            used += Math.max(64, Math.ceil(size / 64) * 64)
          }
          expect(m.stats().used).toBe(used)
        }
        for (const { start } of live) m.free(start)
        expect(m.stats().used).toBe(0)
        expect(m.layout()).toMatchObject({ holes: 0, top: 4096 })
      }),
      { numRuns: 100 },
    )
  })

  it('does not grow when two batch sizes alternate', () => {
    const m = memory()
    const step = (batch: number) => [784, 512, 128, 32, 10].map((d) => m.allocate(batch * d * 4))
    const lasting = [m.allocate(100_000)]
    const run = (batch: number) => {
      const blocks = step(batch)
      lasting.push(m.allocate(40))
      for (const b of blocks) m.free(b)
    }
    for (let i = 0; i < 10; i++) run(i % 2 ? 17 : 32)
    const { top } = m.layout()
    for (let i = 0; i < 500; i++) run(i % 2 ? 17 : 32)
    expect(m.layout().top).toBeLessThan(top + 500 * 64 + 4096)
  })

  it('keeps its contents when it grows and names need, limit and remedy when it cannot', () => {
    const m = memory(8 << 20)
    const a = m.allocate(16)
    m.words[a / 4] = 7
    m.allocate(4 << 20)
    expect(m.words[a / 4]).toBe(7)
    const refuse = () => m.allocate(5 << 20)
    expect(refuse).toThrow(DeviceError)
    expect(refuse).toThrow(/5\.0 MiB more were needed.*8\.0 MiB.*scope.*compile/)
    expect(m.stats().used).toBe((4 << 20) + 64)
  })

  it('takes a smaller maximum where 4 GiB cannot be reserved, and says what the limit is', () => {
    const Memory = WebAssembly.Memory
    const asked: number[] = []
    /** An engine that reserves at most 1 GiB and lets a memory grow to 8 MiB. */
    class Small extends Memory {
      constructor(descriptor: WebAssembly.MemoryDescriptor) {
        const { maximum = 65536 } = descriptor
        asked.push(maximum)
        if (maximum > 16384) throw new RangeError('could not allocate memory')
        super(descriptor)
      }
      override grow(pages: number): number {
        if (this.buffer.byteLength + pages * 65536 > 8 << 20) throw new RangeError('failed to grow memory')
        return super.grow(pages)
      }
    }
    vi.stubGlobal('WebAssembly', { Memory: Small })
    const m = new DeviceMemory({ shared: true, reserved: 4096 })
    vi.unstubAllGlobals()
    expect(asked).toEqual([65536, 32768, 16384])
    expect(m.stats().limit).toBe(1 << 30)
    m.allocate(4 << 20)
    const refuse = () => m.allocate(5 << 20)
    expect(refuse).toThrow(DeviceError)
    expect(refuse).toThrow(/5\.0 MiB more were needed, but 4\.0 MiB of at most 1\.00 GiB.*system gives no more.*scope/)
  })

  it('never takes more than asked for, nor more than 4 GiB', () => {
    expect(memory(3 << 20).limit).toBe(3 << 20)
    expect(memory(2 ** 40).limit).toBeLessThanOrEqual(2 ** 32)
    for (const wrong of [0, -1, Number.NaN]) expect(() => memory(wrong)).toThrow(/maxBytes is .*Leave it out/)
  })
})
