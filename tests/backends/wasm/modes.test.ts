import { describe, expect, it } from 'vitest'
import { chooseMode, hasRelaxedSimd } from '../../../src/backends/wasm/modes.js'
import { DeviceError } from '../../../src/tensor/errors.js'

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
    expect(() => chooseMode('512', granted)).toThrow(DeviceError)
    expect(() => chooseMode('512', granted)).toThrow(/"512", expected '256', 'fma' or 'plain'/)
    if (hasRelaxedSimd())
      expect(() => chooseMode('256', () => 'needs Node 24.')).toThrow(/mode '256' needs Node 24\. Use mode 'fma'/)
    else expect(() => chooseMode('fma', granted)).toThrow(/relaxed SIMD/)
  })
})
