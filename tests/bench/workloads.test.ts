import { describe, expect, it } from 'vitest'
import { workloads } from '../../bench/workloads/index.js'
import { elements, resnet50 } from '../../bench/workloads/resnet50.js'

describe('the workloads', () => {
  it('have exactly the names that results are compared by', () => {
    expect(workloads.map(({ name }) => name)).toEqual([
      ...['ema-1m', 'ema-25m'],
      ...['gemm-256', 'gemm-512', 'gemm-1024'],
      ...['mlp-32', 'mlp-32-ema', 'mlp-256', 'mlp-256-ema', 'conv-32', 'tiny-32', 'first-step'],
      ...['lazy-25m-90', 'ema-nan-25m', 'ema-nan-scan-25m', 'ema-kahan-25m', 'ema-4shadows-25m'],
      ...['stream-avg', 'stream-cp'],
    ])
  })

  it('count their work', () => {
    const work = new Map(workloads.map((workload) => [workload.name, workload.work]))
    expect(work.get('ema-1m')).toBeCloseTo((12 * 983_450) / 1e9, 12)
    expect(work.get('ema-25m')).toBeCloseTo((12 * 25_557_032) / 1e9, 12)
    expect(work.get('gemm-1024')).toBeCloseTo(2.147483648, 12)
    expect(work.get('mlp-256-ema')).toBe(1)
  })

  it('know the tensors of ResNet-50', () => {
    expect(resnet50).toHaveLength(161)
    expect(resnet50.reduce((sum, shape) => sum + elements(shape), 0)).toBe(25_557_032)
    expect(resnet50.slice(0, 4)).toEqual([[64, 3, 7, 7], [64], [64], [64, 64, 1, 1]])
    expect(resnet50.slice(12, 13)).toEqual([[256, 64, 1, 1]])
  })

  it.each(['ema-1m', 'gemm-256', 'mlp-32-ema', 'conv-32', 'tiny-32', 'first-step'])(
    '%s runs, compiled and eager',
    async (name) => {
      const workload = workloads.find((row) => row.name === name)
      for (const eager of [false, true]) {
        const run = workload?.prepare({ eager })
        await run?.()
        if (!workload?.fresh) await run?.()
      }
      expect(workload).toBeDefined()
    },
  )
})
