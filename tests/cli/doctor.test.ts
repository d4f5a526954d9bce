import { setDefaultDevice, wasmDevice } from 'dfdt'
import { expect, it } from 'vitest'
import { runCli } from './run-cli.js'

it('doctor says what computes, with how much memory, and how fast', async () => {
  const device = wasmDevice({ mode: 'plain', threads: 1, maxBytes: 1 << 30 })
  setDefaultDevice(device)
  const { exitCode, stdout } = await runCli(['doctor'])
  expect(exitCode).toBe(0)
  const facts = new Map(stdout.split('\n').map((line) => [line.split(/ {2,}/)[0], line]))
  expect(facts.get('engine')).toContain(process.version)
  expect(facts.get('mode')).toContain('plain')
  expect(facts.get('threads')).toContain('1 at most')
  const size = String.raw`[\d,]+(\.\d)? MiB`
  expect(facts.get('memory')).toMatch(new RegExp(`${size} used, ${size} at the peak, ${size} taken, limit 1,024 MiB$`))
  const [used = 0, peak = 0, taken = 0] = [...(facts.get('memory') ?? '').matchAll(/[\d.]+(?= MiB)/g)].map(Number)
  expect(used).toBeGreaterThan(0)
  expect(peak).toBeGreaterThanOrEqual(used)
  expect(taken).toBeGreaterThanOrEqual(peak)
  expect(facts.get('products')).toMatch(/\d+ GFLOP\/s/)
  expect(facts.get('averages')).toMatch(/\d GB\/s/)
  await device.close()
}, 20_000)
