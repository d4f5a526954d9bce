import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it, vi } from 'vitest'
import { main as compare } from '../../bench/compare/compare.js'
import { main, type Row } from '../../bench/harness/bench.js'
import { root } from '../meta/built-library.js'

const run = promisify(execFile)

/** `npm run bench` without npm, in the shortest rounds. */
async function bench(...args: string[]): Promise<{ status: number; stdout: string; stderr: string }> {
  const program = [join(root, 'bench/run.mjs'), '--rounds', '1', '--budget', '1', ...args]
  return run(process.execPath, program, { cwd: root }).then(
    ({ stdout, stderr }) => ({ status: 0, stdout, stderr }),
    (failure: { code: number; stdout: string; stderr: string }) => ({ ...failure, status: failure.code }),
  )
}

describe('npm run bench', { timeout: 120_000 }, () => {
  it('--json ends with a line of the rows that --only asked for, in the order of the table', async () => {
    const { status, stdout, stderr } = await bench(
      '--json',
      '--only',
      'first-step,tiny-32,gemm-256',
      '--threads',
      '1',
      '--mode',
      'plain',
    )
    expect(stderr.replace(/^The machine is loaded.*\n/, '')).toBe('')
    expect(status).toBe(0)
    const lines = stdout.trimEnd().split('\n')
    const rows = JSON.parse(lines.at(-1) ?? '') as Row[]
    expect(rows.map(({ workload, unit }) => [workload, unit])).toEqual([
      ['gemm-256', 'GFLOP/s'],
      ['tiny-32', 'steps/s'],
      ['first-step', 'steps/s'],
    ])
    for (const row of rows) {
      expect(Object.keys(row)).toEqual(['workload', 'ms', 'best', 'value', 'unit', 'threads', 'mode', 'node'])
      expect(row.ms).toBeGreaterThan(0)
      expect(row.best).toBeGreaterThan(0)
      expect(row.best).toBeLessThanOrEqual(row.ms)
      expect(row).toMatchObject({ threads: 1, mode: 'plain', node: process.version })
      expect(lines.some((line) => line.startsWith(`${row.workload} `))).toBe(true)
    }
    const gemm = rows[0]
    expect(gemm?.value).toBeCloseTo((2 * 256 ** 3) / 1e9 / ((gemm?.ms ?? 0) / 1000), 6)
  })
})

describe('its command line', () => {
  const places = { root, player: 'player.mjs', serve: 'serve.mjs', node26: 'nowhere/node26' }

  /** Exit code and what was written, on stdout and stderr. */
  async function called(program: typeof main, args: readonly string[]) {
    const log = vi.spyOn(console, 'log').mockReturnValue()
    const error = vi.spyOn(console, 'error').mockReturnValue()
    try {
      const status = await program(args, places)
      return { status, stdout: log.mock.calls.join('\n'), stderr: error.mock.calls.join('\n') }
    } finally {
      vi.restoreAllMocks()
    }
  }

  it.each([
    [['--only', 'gemm-257'], '--only: no workload gemm-257; there are ema-1m,'],
    [['--mode', 'fast'], '--mode must be 256, fma or plain, got fast'],
    [['--threads', '0'], '--threads must be a whole number from 1, got 0'],
    [['--budget', '1.5'], '--budget must be a whole number from 1, got 1.5'],
    [['--node', '26'], '--node 26: it is not here yet; fetch it with: node tools/node26.mjs'],
    [['--node', 'nowhere/node'], '--node must be 26 or the path of a Node binary'],
    [['--speed'], "Unknown option '--speed'"],
  ])('%j is refused in one line', async (args, message) => {
    for (const [name, program] of [
      ['bench', main],
      ['compare', compare],
    ] as const) {
      const { status, stdout, stderr } = await called(program, args)
      expect(stderr).toContain(`${name}: ${message}`)
      expect(stderr.split('\n')).toHaveLength(1)
      expect(stdout).toBe('')
      expect(status).toBe(2)
    }
  })

  it.each([
    [['--peers', 'torch,numpy'], 'compare: --peers: no numpy; there are torch, tfjs, jax'],
    [['--peers', 'torch', '--python', 'no-such-python'], 'compare: torch: no-such-python cannot import torch'],
  ])('compare refuses %j', async (args, message) => {
    const { status, stderr } = await called(compare, args)
    expect(stderr).toContain(message)
    expect(status).toBe(2)
  })

  it('--help lists every option', async () => {
    const { status, stdout } = await called(main, ['--help'])
    for (const option of ['only', 'node', 'mode', 'threads', 'eager', 'rounds', 'budget', 'json'])
      expect(stdout).toContain(`--${option} `)
    expect(status).toBe(0)
  })
})
