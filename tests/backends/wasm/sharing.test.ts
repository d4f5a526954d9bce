import { expect, it } from 'vitest'
import { newEntryId } from '../../../src/backends/wasm/generated.js'
import { Choice, Sharing } from '../../../src/backends/wasm/sharing.js'

/** Times in ms of a program of about 1 ms, alone and with help, by a repeatable chance and the time that has passed. */
type Times = (chance: () => number, now: number) => { readonly alone: number; readonly shared: number }

/** Plays `milliseconds` of runs; how long they took on average from `from` on, and how many had help. */
function play(
  times: Times,
  milliseconds: number,
  from = 0,
  nanoseconds = 1e6,
): { readonly mean: number; readonly shared: number } {
  const choice = new Choice()
  let [now, runs, shared, total, seed] = [0, 0, 0, 0, 1]
  const chance = () => {
    seed = (seed * 16807) % 2147483647
    return seed / 2147483647
  }
  while (now < milliseconds) {
    const asked = choice.shared
    const time = times(chance, now)[asked ? 'shared' : 'alone']
    choice.note(asked, time, nanoseconds)
    if (now >= from) {
      runs++
      shared += Number(asked)
      total += time
    }
    now += time
  }
  return { mean: total / runs, shared: shared / runs }
}

/** 5 % up or down. */
const about = (time: number, chance: () => number) => time * (0.95 + 0.1 * chance())

it('takes help that helps', () => {
  const { mean, shared } = play((chance) => ({ alone: about(1, chance), shared: about(0.6, chance) }), 10_000)
  expect(shared).toBeGreaterThan(0.98)
  expect(mean).toBeLessThan(0.61)
})

it('does without help that comes late', () => {
  const { mean } = play((chance) => ({ alone: about(1, chance), shared: about(4, chance) }), 10_000)
  expect(mean).toBeLessThan(1.05)
})

it('is not put off by a helper that is late now and then', () => {
  const late: Times = (chance) => ({ alone: about(1, chance), shared: chance() < 0.03 ? 5 : about(0.6, chance) })
  const { mean, shared } = play(late, 10_000)
  expect(shared).toBeGreaterThan(0.95)
  expect(mean).toBeLessThan(0.76)
})

it('does without a helper that is late half of the time', () => {
  const late: Times = (chance) => ({ alone: about(1, chance), shared: chance() < 0.5 ? 4 : about(0.6, chance) })
  expect(play(late, 10_000).mean).toBeLessThan(1.1)
})

it('follows a load that comes and goes', () => {
  const times: Times = (chance, now) => {
    const loaded = now > 3000 && now < 6000
    return { alone: about(1, chance), shared: about(loaded ? 3 : 0.6, chance) }
  }
  expect(play(times, 3000).mean).toBeLessThan(0.63)
  expect(play(times, 6000, 3300).mean).toBeLessThan(1.05)
  expect(play(times, 12_000, 7500).mean).toBeLessThan(0.63)
})

it('does not mistake cold code for a lack of help', () => {
  // Until it has been optimised, help hardly shows.
  const cold: Times = (chance, now) => ({
    alone: about(now < 100 ? 3 : 1, chance),
    shared: about(now < 100 ? 3 : 0.6, chance),
  })
  expect(play(cold, 2000, 500).mean).toBeLessThan(0.63)
})

it('costs little where both ways are equal', () => {
  expect(play((chance) => ({ alone: about(1, chance), shared: about(1, chance) }), 5000).mean).toBeLessThan(1.01)
})

it('spends next to nothing on trials where runs are long', () => {
  const times: Times = (chance) => ({ alone: about(160, chance), shared: about(100, chance) })
  expect(play(times, 120_000).mean).toBeLessThan(103)
  expect(play(times, 120_000, 30_000).mean).toBeLessThan(101.5)
})

it('counts a stall for what it costs, however rare it is', () => {
  const stalls = (often: number): Times => {
    return (chance) => ({ alone: about(0.2, chance), shared: chance() < often ? 4 : about(0.12, chance) })
  }
  // 4 ms in each fiftieth run of 0.12 ms: as fast as alone. In each twentieth, 1.6 times as slow.
  expect(play(stalls(0.02), 5000, 0, 2e5).mean).toBeLessThan(1.05 * 0.2)
  expect(play(stalls(0.05), 5000, 0, 2e5).mean).toBeLessThan(1.05 * 0.2)
  expect(play(stalls(0.005), 5000, 0, 2e5).mean).toBeLessThan(0.165)
})

it('loses little time on finding out that helpers do not come at all', () => {
  const never: Times = (chance) => ({ alone: about(0.2, chance), shared: about(50, chance) })
  const { mean, shared } = play(never, 2000, 0, 2e5)
  expect(mean).toBeLessThan(1.15 * 0.2)
  expect(shared).toBeGreaterThan(0)
})

it('jobs of less than 0.1 ms are never shared', () => {
  const entry = {
    id: newEntryId(),
    module: new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)),
    name: '',
  }
  const sharing = new Sharing()
  expect(sharing.of(entry, 99_000)).toBeUndefined()
  const choice = sharing.of(entry, 150_000)
  expect(choice?.shared).toBe(true)
  choice?.note(true, 5, 150_000)
  expect(choice?.shared).toBe(false)
  // About the same size is the same choice, another size another.
  expect(sharing.of(entry, 190_000)).toBe(choice)
  expect(sharing.of(entry, 1_500_000)?.shared).toBe(true)
})
