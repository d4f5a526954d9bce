import '../../src/autodiff/fluent.js'
import '../../src/ops/fluent.js'
import { describe, expect, it } from 'vitest'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import { Device } from '../../src/tensor/device.js'
import { gradcheck } from '../../src/testing/gradcheck.js'
import { seedOf } from './inputs.js'
import type { AnyX } from './cases.js'
import { makeInputs, table } from './table.js'

const device = new Device(createReferenceBackend())

describe('gradients agree with central differences', () => {
  for (const { row, name, cases } of table) {
    const checked = cases.filter(({ dy, position }) => dy && !row.uncheckable?.cases.includes(position))
    if (checked.length === 0) continue
    it(name, () => {
      for (const one of checked) {
        const inputs = makeInputs(device, one, 'f64')
        const constants = row.constant ?? []
        // Inputs that get no gradient stay as they are.
        const moved = inputs.filter((_, i) => !constants.includes(i))
        const call = (...given: AnyX[]) => {
          const left = [...given]
          return row.call(...inputs.map((x, i) => (constants.includes(i) ? x : left.shift())))
        }
        gradcheck(call, moved, { seed: seedOf(one.name), rtol: 1e-6, atol: 1e-8, avoid: row.avoid ?? [] })
      }
    })
  }
})

it('every differentiable op is checked, or all its cases say why not', () => {
  const ops = new Set(table.filter(({ cases }) => cases.some(({ dy }) => dy)).map(({ row }) => row.op))
  const checked = new Set(
    table
      .filter(({ row, cases }) => cases.some(({ dy, position }) => dy && !row.uncheckable?.cases.includes(position)))
      .map(({ row }) => row.op),
  )
  expect([...ops].filter((op) => !checked.has(op))).toEqual([])
})
