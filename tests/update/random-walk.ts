import { manualSeed } from 'dfdt'
import { expect } from 'vitest'

/** Models, all that can happen to them, and what somebody has seen of them. */
export interface World {
  readonly actions: readonly (() => unknown)[]
  readonly seen: readonly number[]
  readonly all: () => readonly number[]
}

/**
 * The same actions, drawn at random, happen to a world with plain shadows and to one with lazy ones: what was seen, and
 * what is there, is the same. `choices` is from how many actions step i draws.
 */
export function sameWhateverHappens(
  make: (lazy: boolean) => World,
  seeds: number,
  choices = (actions: number, _i: number): number => actions,
): void {
  for (let seed = 0; seed < seeds; seed++) {
    let state = 7919 * (seed + 1)
    const draw = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return Math.floor((state / 2 ** 32) * below)
    }
    manualSeed(seed)
    const [plain, lazy] = [make(false), make(true)]
    const done: number[] = []
    for (let i = 0; i < 40; i++) {
      const at = draw(choices(plain.actions.length, i))
      done.push(at)
      plain.actions[at]?.()
      lazy.actions[at]?.()
      if (i % 13 !== 12) continue
      expect(lazy.seen.length).toBe(plain.seen.length)
      const [a, b] = [
        [...plain.seen, ...plain.all()],
        [...lazy.seen, ...lazy.all()],
      ]
      const far = a.findIndex((value, j) => !(Math.abs(value - (b[j] ?? Number.NaN)) < 2e-5 * (1 + Math.abs(value))))
      expect({ seed, i, far, done: far < 0 ? [] : done, plain: a[far], lazy: b[far] }).toEqual({
        seed,
        i,
        far: -1,
        done: [],
      })
    }
  }
}
