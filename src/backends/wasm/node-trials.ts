/** Trials of tiles on a thread of their own, which sleeps most of the time and never keeps the process alive. */
import { Worker } from 'node:worker_threads'
import { type Tile, tileName } from './matmul/tile.js'
import { tileTrial } from './matmul/trial.js'
import type { TrialRunner, Trials } from './tuning.js'

/** Rounds of a sample, some 0.1 ms; samples of one candidate in a row, ms; then sleep, ms; as often as that. */
const schedule = { rounds: 100, sample: 1, sleep: 8, turns: 80 } as const

/** Best of many short samples, candidates in turn: the engine optimises them on the way, and other work hits all alike. */
const source = `
'use strict'
const { candidates, speeds, done, rounds, sample, sleep, turns } = require('node:worker_threads').workerData
const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 })
const trials = candidates.map(({ module }) => new WebAssembly.Instance(module, { env: { memory } }).exports.trial)
for (let turn = 0; turn < turns; turn++) {
  trials.forEach((trial, i) => {
    const end = performance.now() + sample
    for (let now = performance.now(); now < end; ) {
      trial(rounds)
      const then = performance.now()
      speeds[i] = Math.max(speeds[i], (rounds * candidates[i].operations) / (then - now) / 1e6)
      now = then
    }
  })
  Atomics.wait(done, 0, 0, sleep)
}
Atomics.store(done, 0, 1)
`

const running = new Map<string, Trials>()

export const nodeTrials: TrialRunner = (tiles) => {
  const key = tiles.map((tile) => `${tileName(tile)}${tile.fma}`).join()
  const known = running.get(key) ?? start(tiles)
  running.set(key, known)
  return known
}

function start(tiles: readonly Tile[]): Trials {
  const candidates = tiles.map(tileTrial)
  const speeds = new Float64Array(new SharedArrayBuffer(8 * candidates.length))
  const done = new Int32Array(new SharedArrayBuffer(4))
  const workerData = { candidates, speeds, done, ...schedule }
  const worker = new Worker(source, { eval: true, workerData, execArgv: [] })
  // Trials that fail are trials without a result.
  worker.on('error', () => {})
  worker.unref()
  return { speeds: () => (Atomics.load(done, 0) === 1 ? [...speeds] : undefined) }
}
