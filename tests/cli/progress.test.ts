import { Writable } from 'node:stream'
import { afterEach, expect, it, vi } from 'vitest'
import type { Host } from '../../src/cli/host.js'
import { createProgress } from '../../src/cli/progress.js'

afterEach(() => vi.restoreAllMocks())

it('where there is no terminal, writes a plain line every ten seconds and leaves the rest out', () => {
  let text = ''
  const stderr = new Writable({
    write: (chunk, _encoding, done) => {
      text += String(chunk)
      done()
    },
  })
  const host = { stderr, env: {} } as unknown as Host
  let now = 1000
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  const progress = createProgress(host, { steps: 5000, epochs: 2 })
  for (let step = 1; step <= 2500; step++) {
    now += 10
    progress.step({ step, epoch: 1, loss: 0.5 })
  }
  expect(text).toBe(
    'epoch 1/2  1000/5000  loss 0.5000  100 steps/s  0:40 left\nepoch 1/2  2000/5000  loss 0.5000  100 steps/s  0:30 left\n',
  )
})
