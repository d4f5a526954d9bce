import { expect, test } from 'vitest'
import { createReferenceBackend } from '../../../src/backends/reference/index.js'
import { hasRelaxedSimd } from '../../../src/backends/wasm/modes.js'
import { createWasmBackend } from '../../../src/backends/wasm/node.js'
import { runConformance } from '../../../src/testing/conformance.js'

/** `256` would switch a flag of the whole process: it has a test run of its own, `DFDT_MODE=256 vitest run`. */
const modes = hasRelaxedSimd() ? (['plain', 'fma'] as const) : (['plain'] as const)

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
