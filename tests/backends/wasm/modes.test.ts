import { afterEach, describe, expect, it, vi } from 'vitest'
import { chooseMode, hasRelaxedSimd } from '../../../src/backends/wasm/modes.js'
import { createWasmBackend } from '../../../src/backends/wasm/node.js'
import { DeviceError, OptionError } from '../../../src/tensor/errors.js'

const granted = () => undefined
const major = Number(process.versions.node.split('.')[0])

describe('chooseMode', () => {
  it('takes fused multiply-add where the engine has it, never 256 bits unasked', () => {
    const chosen = chooseMode(undefined, () => expect.fail('the switch was touched'))
    expect(chosen.name).toBe(major >= 24 ? 'fma' : 'plain')
    expect(hasRelaxedSimd()).toBe(major >= 24)
  })

  it('takes what is asked for', () => {
    expect(chooseMode('plain', granted)).toEqual({ name: 'plain', fma: false, wide: false })
    if (hasRelaxedSimd()) expect(chooseMode('256', granted)).toEqual({ name: '256', fma: true, wide: true })
  })

  it('says why a mode is impossible', () => {
    expect(() => chooseMode('512', granted)).toThrow(OptionError)
    expect(() => chooseMode('512', granted)).toThrow(/"512", expected '256', 'fma' or 'plain'/)
    if (hasRelaxedSimd())
      expect(() => chooseMode('256', () => 'needs Node 24.')).toThrow(/mode '256' needs Node 24\. Use mode 'fma'/)
    else expect(() => chooseMode('fma', granted)).toThrow(/relaxed SIMD/)
    expect(() => chooseMode(hasRelaxedSimd() ? '256' : 'fma', () => 'no')).toThrow(DeviceError)
  })
})

describe('the environment', () => {
  afterEach(() => {
    vi.unstubAllEnvs()
  })

  it.each([
    ['DFDT_THREADS', 'two', 'DFDT_THREADS is "two", expected a whole number from 1'],
    ['DFDT_THREADS', '0', 'DFDT_THREADS is "0"'],
    ['DFDT_TILE', '9x9', '(or DFDT_TILE) is "9x9", expected one of'],
    ['DFDT_MODE', '512', '(or DFDT_MODE) is "512", expected'],
  ])('%s=%s is refused by name', (name, value, message) => {
    vi.stubEnv(name, value)
    expect(() => createWasmBackend()).toThrow(OptionError)
    expect(() => createWasmBackend()).toThrow(message)
  })
})
