import { createWasmBackend } from '../../src/backends/wasm/node.js'
import type { ModeName } from '../../src/backends/wasm/modes.js'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import { Device } from '../../src/tensor/device.js'
import { DeviceError } from '../../src/tensor/errors.js'
import { assertClose } from '../../src/testing/close.js'
import { afterAll, describe, expect, it } from 'vitest'
import { run, table } from './table.js'

/** A wasm device in a mode, or why this engine has none. */
function deviceIn(mode: ModeName, threads: number): Device | string {
  try {
    return new Device(createWasmBackend({ mode, threads }))
  } catch (error) {
    if (error instanceof DeviceError) return error.message
    throw error
  }
}

/** Every case on wasm against the reference, in f32. */
export function compareWithReference(mode: ModeName, threads: number): void {
  const wasm = deviceIn(mode, threads)
  const reference = new Device(createReferenceBackend())
  describe(`wasm in mode ${mode} on ${threads} threads equals the reference`, () => {
    if (typeof wasm === 'string') {
      it.skip(`skipped: ${wasm}`, () => {})
      return
    }
    afterAll(() => wasm.close())
    for (const { row, name, cases } of table) {
      it(name, () => {
        const { rtol = 1e-5, atol = 1e-6 } = row.tolerance ?? {}
        for (const one of cases) {
          const got = run(wasm, one, 'f32')
          const want = run(reference, one, 'f32')
          expect(got.shape).toEqual(want.shape)
          assertClose(got.out, want.out, { rtol, atol, name: one.name, shape: want.shape })
          want.gradients.forEach((gradient, i) => {
            if (gradient)
              assertClose(got.gradients[i] ?? [], gradient, { rtol, atol, name: `${one.name}: gradient of input ${i}` })
          })
        }
      })
    }
  })
}
