import { readdirSync } from 'node:fs'
import { inspect } from 'node:util'
import { expect, it, vi } from 'vitest'

const folder = new URL('../examples/', import.meta.url)
const examples = readdirSync(folder).filter((file) => file.endsWith('.ts'))

it('are numbered from 01 on, without gaps', () => {
  expect(examples.map((file) => file.slice(0, 3))).toEqual(examples.map((_, i) => `${String(i + 1).padStart(2, '0')}-`))
  expect(examples.length).toBeGreaterThanOrEqual(8)
})

// What they print is on record: a change in it is a change of what the library says or computes. They run on one
// arithmetic, so that the record holds on engines with and without fused multiply-add.
it.each(examples)('%s runs and prints what is on record', async (file) => {
  vi.resetModules()
  const { setDefaultDevice, wasmDevice } = await import('dfdt')
  setDefaultDevice(wasmDevice({ mode: 'plain', threads: 1 }))
  const printed: string[] = []
  const log = vi.spyOn(console, 'log').mockImplementation((...values: unknown[]) => {
    printed.push(values.map((value) => (typeof value === 'string' ? value : inspect(value))).join(' '))
  })
  const began = performance.now()
  try {
    await import(`../examples/${file.replace(/\.ts$/, '')}.ts`)
  } finally {
    log.mockRestore()
  }
  expect(performance.now() - began).toBeLessThan(10_000)
  await expect(`${printed.join('\n')}\n`).toMatchFileSnapshot(`golden/examples/${file.replace(/\.ts$/, '.txt')}`)
})
