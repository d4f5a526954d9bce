import { describe, expect, test } from 'vitest'
import { pipeline } from '../../../src/io/streaming/pipeline.js'

const later = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds))

/** Stages that note what happens, and fail where told. */
function stages(failing = '') {
  const events: string[] = []
  let underWay = 0
  let most = 0
  const holders = new Map<string, number>()
  const at = async (stage: string, item: number, slot: string) => {
    if (stage === 'read') {
      expect(holders.has(slot)).toBe(false)
      holders.set(slot, item)
    }
    expect(holders.get(slot)).toBe(item)
    events.push(`${stage} ${item}`)
    underWay++
    most = Math.max(most, underWay)
    // The later an item, the faster: order must not depend on it.
    await later(8 - (item % 8))
    underWay--
    if (stage === 'write') holders.delete(slot)
    if (failing === `${stage} ${item}`) throw new Error(failing)
  }
  return {
    events,
    underWay: () => underWay,
    most: () => most,
    read: (item: number, slot: string) => at('read', item, slot),
    compute: (item: number) => {
      events.push(`compute ${item}`)
      if (failing === `compute ${item}`) throw new Error(failing)
    },
    write: (item: number, slot: string) => at('write', item, slot),
  }
}

const slots = ['a', 'b', 'c']
const items = (count: number) => Array.from({ length: count }, (_, i) => i)

describe('pipeline', () => {
  test.each([0, 1, 2, 3, 4, 20])(
    'takes %i items through every stage, in order, some at the same time',
    async (count) => {
      const noted = stages()
      await pipeline(items(count), slots, noted)
      const inOrder = (stage: string) => noted.events.filter((event) => event.startsWith(stage))
      // A read may wait for the slot that an earlier write still holds, so reads begin nearly in order.
      for (const stage of ['compute', 'write']) expect(inOrder(stage)).toEqual(items(count).map((i) => `${stage} ${i}`))
      for (const i of items(count)) {
        expect(noted.events.indexOf(`compute ${i}`)).toBeGreaterThan(noted.events.indexOf(`read ${i}`))
        expect(noted.events.indexOf(`write ${i}`)).toBeGreaterThan(noted.events.indexOf(`compute ${i}`))
      }
      expect(noted.most()).toBeGreaterThanOrEqual(Math.min(count, 2))
    },
  )

  test.each(['read 0', 'read 5', 'compute 0', 'compute 7', 'write 2', 'write 11'])(
    'a failure in %s ends it once nothing is under way',
    async (failing) => {
      const noted = stages(failing)
      await expect(pipeline(items(12), slots, noted)).rejects.toThrow(failing)
      expect(noted.underWay()).toBe(0)
      const begun = noted.events.length
      await later(30)
      expect(noted.events.length).toBe(begun)
    },
  )

  test('ends when the signal aborts', async () => {
    const abort = new AbortController()
    const noted = stages()
    const run = pipeline(items(1000), slots, noted, abort.signal)
    setTimeout(() => abort.abort(), 40)
    await expect(run).rejects.toSatisfy((error) => error === abort.signal.reason)
    expect(noted.underWay()).toBe(0)
    expect(noted.events.length).toBeLessThan(200)
  })
})
