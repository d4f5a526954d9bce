import { readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { findBrowser, runInPage } from './page.js'
import { type Training, train } from './small-net.js'

const program = await readFile(new URL('./small-net.ts', import.meta.url), 'utf8')
const trainings = `${program}
export default async () => ({ eager: await train(false), compiled: await train(true) })`

describe.skipIf(process.env.CI === undefined && (await findBrowser()) === undefined)('50 steps in a page', () => {
  let there: { eager: Training; compiled: Training }
  beforeAll(async () => {
    there = (await runInPage(trainings)) as typeof there
  }, 120_000)

  it.each([
    ['eager', false],
    ['compiled', true],
  ] as const)('%s: the losses and both models are those of Node, bit for bit', async (name, compiled) => {
    expect(there[name]).toEqual(await train(compiled))
  })

  it('learns', () => {
    const { losses } = there.eager
    expect(losses).toHaveLength(50)
    const mean = (part: readonly number[]) => part.reduce((sum, loss) => sum + loss, 0) / part.length
    expect(mean(losses.slice(-5))).toBeLessThan(0.8 * mean(losses.slice(0, 5)))
    expect(there.eager.teacher).not.toEqual(there.eager.student)
  })

  it('eager and compiled compute the same', () => {
    expect(there.compiled).toEqual(there.eager)
  })
})
