import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { CartPole } from '../../examples/why/cart-pole.js'

// The programs of examples/why, each at the size that `--small` gives, on its first seed. On one arithmetic, so that the
// numbers are the same on engines with and without fused multiply-add.
const { argv } = process
const timeout = 300_000

beforeEach(() => {
  vi.resetModules()
  vi.stubEnv('DFDT_MODE', 'plain')
  vi.stubEnv('DFDT_THREADS', '1')
  vi.spyOn(console, 'log').mockImplementation(() => {})
  vi.spyOn(console, 'error').mockImplementation(() => {})
  process.argv = [...argv.slice(0, 2), '--small']
})

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  process.argv = argv
})

/** The results on the only seed of a small run. */
function only<R>({ results }: { readonly results: readonly R[] }): R {
  const [first] = results
  if (first === undefined || results.length > 1) throw new Error(`expected one seed, got ${results.length}`)
  return first
}

describe('CartPole', () => {
  it("moves as gym's CartPole-v1: the first push from rest gives speeds of 0.195 and -0.293", () => {
    const world = new CartPole(() => 0.5)
    expect(world.reset()).toEqual([0, 0, 0, 0])
    const { next } = world.step(1)
    const turn = -(10 / 1.1) / (0.5 * (4 / 3 - 0.1 / 1.1))
    expect(next[0]).toBe(0)
    expect(next[1]).toBeCloseTo(0.02 * (10 / 1.1 - (0.05 * turn) / 1.1), 12)
    expect(next[1]).toBeCloseTo(0.195, 3)
    expect(next[2]).toBe(0)
    expect(next[3]).toBeCloseTo(0.02 * turn, 12)
    expect(next[3]).toBeCloseTo(-0.293, 3)
  })

  it('falls at 12 degrees, and is over after 500 steps without having fallen', () => {
    const pushed = new CartPole(() => 0.5)
    pushed.reset()
    const states = Array.from({ length: 10 }, () => pushed.step(0))
    const fell = states.findIndex(({ fallen }) => fallen)
    expect(Math.abs(states[fell]?.next[2] ?? 0)).toBeGreaterThan((12 * Math.PI) / 180)
    expect(Math.abs(states[fell - 1]?.next[2] ?? 1)).toBeLessThan((12 * Math.PI) / 180)
    expect(states[fell]?.over).toBe(true)

    // Pushing against a weighted sum of angle and speeds balances it for ever.
    const balanced = new CartPole(() => 0.6)
    let state = balanced.reset()
    for (let step = 1; step <= 500; step++) {
      const [x = 0, speed = 0, angle = 0, turning = 0] = state
      const { next, fallen, over } = balanced.step(0.1 * x + 0.3 * speed + 3 * angle + turning > 0 ? 1 : 0)
      expect([fallen, over]).toEqual([false, step === 500])
      state = next
    }
  })
})

it(
  'target network: a sixth of the steps already keeps the pole up for long',
  async () => {
    const scores = only(await import('../../examples/why/target-network.js'))
    // An untrained policy, or one that has diverged, pushes one way and lasts 9 steps; a random one lasts 22.
    expect(scores['with a target network']).toBeGreaterThan(150)
    expect(scores.without).toBeLessThanOrEqual(500)
  },
  timeout,
)

it(
  'mean teacher: digits without labels help',
  async () => {
    const scores = only(await import('../../examples/why/mean-teacher.js'))
    expect(scores['labels only']).toBeGreaterThan(0.5)
    expect(scores['mean teacher, the teacher']).toBeGreaterThan(scores['labels only'] + 0.01)
  },
  timeout,
)

it(
  'flow matching: samples of the average are nearer to the spiral, and drawn',
  async () => {
    const scores = only(await import('../../examples/why/flow-matching.js'))
    expect(scores['their average']).toBeLessThan(0.5 * scores['last weights'])
    expect(scores['their average']).toBeLessThan(0.005)
    const svg = readFileSync('runs/flow-matching-1-small.svg', 'utf8')
    expect(svg.match(/<path/g)).toHaveLength(3)
    expect(svg.match(/M\d+ \d+h0/g)?.length).toBeGreaterThan(1200)
    expect(svg).not.toContain('NaN')
  },
  timeout,
)

it(
  'federated averaging: the average knows digits that no worker alone has seen',
  async () => {
    const scores = only(await import('../../examples/why/federated.js'))
    const alone = scores['one worker alone, the best of four']
    expect(alone).toBeLessThan(0.55)
    expect(scores['four workers, averaged every 50 steps']).toBeGreaterThan(alone + 0.1)
    expect(scores['all digits in one place']).toBeGreaterThan(0.85)
  },
  timeout,
)

it(
  'power EMA: put together afterwards, an average is what it would have been; the same seed gives the same bits',
  async () => {
    const scores = only(await import('../../examples/why/power-ema.js'))
    const of = (arm: string) => scores[arm] ?? Number.NaN
    expect(Math.abs(of('σ_rel 0.2') - of('σ_rel 0.2, kept while training'))).toBeLessThan(0.003)
    expect(of('σ_rel 0.07')).toBeLessThan(of('last weights'))
    expect(of('σ_rel 0.25')).toBeGreaterThan(of('σ_rel 0.07') + 0.01)
    vi.resetModules()
    expect(only(await import('../../examples/why/power-ema.js'))).toEqual(scores)
    const svg = readFileSync('runs/power-ema-small.svg', 'utf8')
    expect(svg.match(/<polyline/g)).toHaveLength(1)
    expect(svg).not.toContain('NaN')
  },
  timeout,
)
