import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type Entrant, interleave, quietOnes } from '../../bench/harness/interleave.js'
import { isLoaded, loadWarning } from '../../bench/harness/machine.js'
import { median } from '../../bench/harness/median.js'
import type { Hello } from '../../bench/harness/protocol.js'

const hello: Hello = { threads: 1, mode: 'none', runtime: 'v0' }

/** Where players write their name in every round. */
const journal = join(mkdtempSync(join(tmpdir(), 'dfdt-rounds-')), 'journal')
afterAll(() => rmSync(dirname(journal), { recursive: true, force: true }))

/** A player whose nth round takes the nth of `times`; it fails after the last one. */
const player = (workload: string, times: readonly number[], fresh = false): Entrant => ({
  workload,
  fresh,
  command: [
    process.execPath,
    '-e',
    `const times = ${JSON.stringify(times)}
     console.log(JSON.stringify(${JSON.stringify(hello)}))
     require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
       const { milliseconds } = JSON.parse(line)
       require('node:fs').appendFileSync(${JSON.stringify(journal)}, ${JSON.stringify(workload)})
       const ms = times.shift()
       if (ms === undefined) throw new RangeError('no time left')
       console.log(JSON.stringify({ ms: ms * milliseconds, best: ms * milliseconds / 2, cpu: 1e6 }))
     })`,
  ],
})
const silent = () => {}

describe('interleave', () => {
  it('gives median and best of the rounds after the first, which warms up', async () => {
    const [result] = await interleave([player('a', [100, 1, 5, 3])], { rounds: 3, budget: 2 }, silent)
    // The warm-up ran for longer than a round; its time does not count.
    expect(result).toEqual({ workload: 'a', ...hello, ms: 6, best: 1, others: 0 })
  })

  it('plays round by round, and backwards every other time', async () => {
    const seen: string[] = []
    writeFileSync(journal, '')
    const entrants = [player('a', [1, 1, 1]), player('b', [1, 1, 1])]
    await interleave(entrants, { rounds: 2, budget: 1 }, (text) => seen.push(text))
    expect(seen).toEqual(['warming up: a', 'warming up: b', 'round 1 of 2', 'round 2 of 2'])
    expect(readFileSync(journal, 'utf8')).toBe('ab' + 'ab' + 'ba')
  })

  it('starts a new process for every round of a fresh workload', async () => {
    const [result] = await interleave([player('a', [7], true)], { rounds: 3, budget: 1 }, silent)
    expect(result).toMatchObject({ ms: 7, best: 3.5 })
  })

  it('goes on without an entrant that fails, and says why it failed', async () => {
    const missing: Entrant = { workload: 'c', fresh: false, command: ['no-such-program'] }
    const entrants = [player('a', [1, 1]), missing, player('b', [1, 1, 1])]
    const [a, c, b] = await interleave(entrants, { rounds: 2, budget: 1 }, silent)
    expect(a).toEqual({ workload: 'a', failure: 'RangeError: no time left' })
    expect(c).toEqual({ workload: 'c', failure: expect.stringContaining('ENOENT') })
    expect(b).toMatchObject({ workload: 'b', ms: 1 })
  })
})

describe('a loaded machine', () => {
  const rounds = (...others: number[]) => others.map((busy) => ({ others: busy }))

  it('loses its loaded rounds when enough quiet ones remain', () => {
    expect(quietOnes(rounds(0, 2, 0.1, 0.2, 1))).toEqual(rounds(0, 0.1, 0.2))
    expect(quietOnes(rounds(0, 2, 0.1, 1))).toEqual(rounds(0, 2, 0.1, 1))
  })

  it('is warned of', () => {
    expect(isLoaded(0.25)).toBe(false)
    expect(loadWarning(0.2)).toBeUndefined()
    expect(loadWarning(1.26)).toMatch(/^The machine is loaded: other work kept 1\.3 of \d+ cores busy/)
    expect(loadWarning(Number.NaN)).toBeUndefined()
  })
})

it('median is the middle value or the mean of two', () => {
  expect(median([3, 1, 2])).toBe(2)
  expect(median([4, 1, 3, 2])).toBe(2.5)
  expect(median([])).toBeNaN()
})
