import { expect, test } from 'vitest'
import { createReferenceBackend } from '../../../src/backends/reference/index.js'
import { hasRelaxedSimd, type ModeName } from '../../../src/backends/wasm/modes.js'
import { createWasmBackend } from '../../../src/backends/wasm/node.js'
import { runConformance } from '../../../src/testing/conformance.js'

/** `256` switches a flag of the whole process, so it runs only where the environment asks for it: `DFDT_MODE=256 vitest run`. */
const possible: readonly ModeName[] = hasRelaxedSimd() ? ['plain', 'fma'] : ['plain']
const modes = process.env.DFDT_MODE === '256' ? (['256'] as const) : possible

for (const mode of modes) {
  for (const threads of [1, 2]) {
    test(`wasm in mode ${mode} on ${threads} threads conforms to the reference`, async () => {
      const failures: string[] = []
      const backend = createWasmBackend({ mode, threads, maxBytes: 1 << 30 })
      await runConformance(backend, createReferenceBackend(), ({ name, status, message }) => {
        if (status === 'failed') failures.push(`${name}: ${message}`)
      })
      await backend.close()
      expect(failures).toEqual([])
    }, 60_000)
  }
}
