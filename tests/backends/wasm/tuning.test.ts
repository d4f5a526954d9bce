import { setTimeout } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { WasmBackend } from '../../../src/backends/wasm/backend.js'
import { candidatesOf, type Tile, tileName } from '../../../src/backends/wasm/matmul/tile.js'
import { chooseMode, modes } from '../../../src/backends/wasm/modes.js'
import { nodeTrials } from '../../../src/backends/wasm/node-trials.js'
import { type TrialRunner, Tuning } from '../../../src/backends/wasm/tuning.js'
import type { MatmulKernel } from '../../../src/kernels/kernel.js'
import { OptionError } from '../../../src/tensor/errors.js'
import { bufferOf, floatsOf, packed } from './bound.js'

/** Trials that give these speeds by a tile's name, others 10 GFLOP/s, once they are told to. */
function fakeTrials(speeds: Readonly<Record<string, number>>) {
  const started: (readonly Tile[])[] = []
  const state = { done: true }
  const runner: TrialRunner = (tiles) => {
    started.push(tiles)
    return { speeds: () => (state.done ? tiles.map((tile) => speeds[tileName(tile)] ?? 10) : undefined) }
  }
  return { runner, started, state }
}

const long = 1e9

describe('Tuning', () => {
  it('begins with the first tile, tries all others after some work, and takes one that is clearly faster', () => {
    const { runner, started, state } = fakeTrials({ '6x8': 50, '4x8': 70 })
    const tuning = new Tuning(modes.fma, { registers: 16, runner })
    expect(tileName(tuning.tile)).toBe('6x8')
    tuning.worked(1e6)
    expect(started).toEqual([])
    expect(tuning.fact).toMatch(/^6x8 .*not tried yet/)
    state.done = false
    tuning.worked(long)
    tuning.worked(long)
    expect(started).toEqual([candidatesOf(modes.fma, 16)])
    expect(tuning.settle()).toBe(false)
    state.done = true
    expect(tuning.settle()).toBe(true)
    expect(tuning.settle()).toBe(false)
    expect(tileName(tuning.tile)).toBe('4x8')
    expect(tuning.mode).toBe(modes.fma)
    expect(tuning.fact).toBe(
      '4x8 outputs of a product in registers (trials, GFLOP/s: 6x8 50, 4x8 70, 5x8 10; faster than 6x8)',
    )
  })

  it('keeps the first tile when none is faster by a tenth', () => {
    const { runner } = fakeTrials({ '6x8': 50, '4x8': 54 })
    const tuning = new Tuning(modes.fma, { registers: 16, runner })
    tuning.worked(long)
    expect(tuning.settle()).toBe(false)
    expect(tuning.fact).toMatch(/^6x8 .*none is faster by a tenth/)
  })

  it('prepares for 128 bits where vectors are not fused to 256', () => {
    const { runner } = fakeTrials({ '5x16': 23, '6x16': 22, '4x16': 31, '6x8': 50 })
    const tuning = new Tuning(modes['256'], { registers: 16, runner })
    expect(tileName(tuning.tile)).toBe('5x16')
    tuning.worked(long)
    expect(tuning.settle()).toBe(true)
    expect(tuning.mode).toBe(modes.fma)
    expect(tileName(tuning.tile)).toBe('6x8')
    expect(tuning.fact).toMatch(/not fused to 256 bits here/)
  })

  it('stays with a tile that is asked for', () => {
    const { runner, started } = fakeTrials({ '5x8': 100 })
    const tuning = new Tuning(modes.fma, { registers: 16, asked: '4x8', runner })
    tuning.worked(long)
    expect(started).toEqual([])
    expect(tuning.settle()).toBe(false)
    expect(tuning.fact).toMatch(/^4x8 .*asked for/)
    expect(() => new Tuning(modes.fma, { registers: 16, asked: '9x9' })).toThrow(OptionError)
    expect(() => new Tuning(modes.fma, { registers: 16, asked: '9x9' })).toThrow(/"9x9", expected one of '6x8', '4x8'/)
  })

  it('begins with a larger tile where there are 32 registers', () => {
    expect(tileName(new Tuning(modes.fma, { registers: 32 }).tile)).toBe('8x8')
  })
})

describe('a device', () => {
  const n = 160
  const product: MatmulKernel = {
    kind: 'matmul',
    batch: [],
    m: n,
    n,
    k: n,
    a: packed([n, n]),
    b: packed([n, n]),
    output: packed([n, n]),
  }

  it('changes tiles between two kernels, and no bit of a result', async () => {
    const mode = chooseMode(undefined, () => undefined).name
    const names = candidatesOf(modes[mode], 16).map(tileName)
    const [first = '', second = ''] = names
    const { runner, started } = fakeTrials({ [second]: 100 })
    const backend = new WasmBackend({ threads: 1 }, { cores: 1, enableWide: () => undefined, trials: runner })
    const numbers = Float32Array.from({ length: n * n }, (_, i) => ((i * 2654435761) % 1000) / 997 - 0.5)
    const [a, b, output] = [
      bufferOf(backend, numbers),
      bufferOf(backend, numbers.slice().reverse()),
      backend.allocate(4 * n * n),
    ]
    const run = () => {
      backend.run({ ...product }, [a, b, output], [])
      return [...floatsOf(backend, output)]
    }
    const before = run()
    expect(backend.facts().tile).toContain(`${first} outputs`)
    for (let i = 0; started.length === 0 && i < 10_000; i++) run()
    expect(run()).toEqual(before)
    expect(backend.facts().tile).toContain(`${second} outputs`)
    expect(backend.facts().tile).toContain(`faster than ${first}`)
    await backend.close()
  })
})

it('trials run on a thread of their own and end', async () => {
  const mode = chooseMode(undefined, () => undefined)
  const tiles = candidatesOf(mode, 16)
  const trials = nodeTrials(tiles)
  expect(nodeTrials(candidatesOf(mode, 16))).toBe(trials)
  for (let i = 0; i < 200 && !trials.speeds(); i++) await setTimeout(100)
  const speeds = trials.speeds() ?? []
  expect(speeds).toHaveLength(tiles.length)
  for (const speed of speeds) expect(speed).toBeGreaterThan(0.5)
})
