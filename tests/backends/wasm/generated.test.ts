import { setTimeout } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { type Generated, generated, type Target } from '../../../src/backends/wasm/generated.js'
import { tiles } from '../../../src/backends/wasm/matmul/tile.js'
import { modes } from '../../../src/backends/wasm/modes.js'

const target: Target = { mode: modes.plain, tile: tiles.plain, shared: false, maximumPages: 1 }
const { gc } = globalThis
const kernel = (structure: string): Generated => generated(target, structure, ({ fn }) => fn.return())

/** As many kernels as make the cache forget what was there before. */
function flood(name: string): void {
  for (let i = 0; i < 1100; i++) kernel(`${name} ${i}`)
}

/** Turns of the event loop end what keeps references alive for a while. */
async function collect(): Promise<void> {
  for (let i = 0; i < 3; i++) {
    await setTimeout(0)
    gc?.()
  }
}

it('gives one kernel for one structure', () => {
  expect(kernel('a')).toBe(kernel('a'))
  expect(kernel('b')).not.toBe(kernel('a'))
  expect(generated({ ...target, mode: modes.fma }, 'a', ({ fn }) => fn.return())).not.toBe(kernel('a'))
})

it.skipIf(!gc)('forgets kernels that nobody has or has asked for lately, keeps those somebody has', async () => {
  const used = kernel('used')
  const [asked, dropped] = [kernel('asked').id, kernel('dropped').id]
  flood('first')
  await collect()
  // Known from here on as asked for lately; the flood before was long enough for it to be gone.
  const again = kernel('asked').id
  expect(again).not.toBe(asked)
  expect(kernel('used')).toBe(used)
  for (let i = 0; i < 1000; i++) kernel(`second ${i}`)
  await collect()
  expect(kernel('asked').id).toBe(again)
  expect(kernel('dropped').id).not.toBe(dropped)
  flood('third')
  await collect()
  expect(kernel('used')).toBe(used)
})
