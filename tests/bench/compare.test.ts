import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Comparison, ratio, record, summary } from '../../bench/compare/record.js'
import type { Failed, Timed } from '../../bench/harness/interleave.js'
import { sharedWorkloads } from '../../bench/workloads/index.js'
import { elements } from '../../bench/workloads/resnet50.js'
import { root } from '../meta/built-library.js'

const timed = (name: string, ms: number, mode: string): Timed => {
  return { workload: name, ms, best: ms / 2, others: 0, threads: 2, mode, runtime: 'v26.0.0' }
}
const gemm = sharedWorkloads.find(({ name }) => name === 'gemm-512')
const comparison = (ours: number): Comparison => {
  if (!gemm) throw new Error('gemm-512 is gone')
  return {
    workload: gemm,
    results: new Map<string, Timed | Failed>([
      ['dfdt', timed('gemm-512', ours, '256')],
      ['torch', timed('gemm-512', 3, 'PyTorch 2.13.0')],
      ['tfjs', { workload: 'gemm-512', failure: 'ended' }],
    ]),
  }
}

describe('bench/compare', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dfdt-compare-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('the ratio says how many times faster ours is', () => {
    expect(ratio(comparison(2), 'torch')).toBe(1.5)
    expect(ratio(comparison(6), 'torch')).toBe(0.5)
    expect(ratio(comparison(2), 'tfjs')).toBeUndefined()
    expect(summary([comparison(2)], ['torch', 'tfjs'])).toMatch(
      /gemm-512 +2\.000 \[1\.000\] +134 +GFLOP\/s +3\.000 \[1\.500\] +1\.50 +– +–/,
    )
  })

  it('a day of runs is one file, each run with its machine, modes and threads', async () => {
    const file = join(folder, 'results', 'day.md')
    const setting = { node: 'node', threads: 2, mode: undefined, eager: false, only: [], rounds: 7, budget: 250 }
    const now = new Date('2026-05-04T10:11:12Z')
    for (const ours of [2, 6])
      record(file, { now, setting, comparisons: [comparison(ours)], peers: ['torch'], commit: 'abc' })
    const text = await readFile(file, 'utf8')
    expect(text.match(/^# Measured on 2026-05-04$/gm)).toHaveLength(1)
    expect(text.match(/^## 10:11 UTC, commit abc$/gm)).toHaveLength(2)
    expect(text).toContain('- dfdt: 256, 2 threads, v26.0.0')
    expect(text).toContain('- torch: PyTorch 2.13.0, 2 threads')
    expect(text).toContain('| gemm-512 | 2.000 [1.000] | 134 | GFLOP/s | 3.000 [1.500] | 1.50 |')
    expect(text).toContain('| 0.50 |')
  })

  it('peers play the same sizes', async () => {
    const models: { workload: (name: string) => { shapes: number[][] } } = await import(
      join(root, 'bench/compare/models.mjs')
    )
    for (const { name, work } of sharedWorkloads.filter(({ unit }) => unit === 'GB/s')) {
      const { shapes } = models.workload(name)
      expect((12 * shapes.reduce((sum, shape) => sum + elements(shape), 0)) / 1e9).toBeCloseTo(work, 12)
    }
  })

  it('PyTorch plays every workload', async () => {
    const program = await readFile(join(root, 'bench/compare/torch.py'), 'utf8')
    for (const { name } of sharedWorkloads) expect(program).toContain(`    "${name}": `)
  })
})
