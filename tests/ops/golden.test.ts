import '../../src/autodiff/fluent.js'
import '../../src/ops/fluent.js'
import { describe, expect, it } from 'vitest'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import { Device } from '../../src/tensor/device.js'
import type { FloatDType } from '../../src/shapes/dtype.js'
import { assertClose } from '../../src/testing/close.js'
import { seedOf, valuesOf } from './inputs.js'
import { type Case, type Golden, run, table, versions } from './table.js'

const device = new Device(createReferenceBackend())

function check(one: Case, dtype: FloatDType, rtol: number, atol: number): void {
  const outcome = run(device, one, dtype)
  expect(outcome.shape, one.name).toEqual(one.out.shape)
  // What f32 cannot hold is infinite in it.
  const expected = (values: Golden['values']) => (dtype === 'f32' ? Float32Array.from(values) : values)
  assertClose(outcome.out, expected(one.out.values), {
    rtol,
    atol,
    name: `${one.name} in ${dtype}`,
    shape: one.out.shape,
  })
  one.gradients.forEach((gradient, i) => {
    if (!gradient) return
    const options = { rtol, atol, name: `${one.name} in ${dtype}: gradient of input ${i}`, shape: gradient.shape }
    assertClose(outcome.gradients[i] ?? [], expected(gradient.values), options)
  })
}

describe('every case equals PyTorch, forward and gradients', () => {
  for (const { row, name, cases } of table) {
    it(name, () => {
      const { rtol = 1e-5, atol = 1e-6 } = row.tolerance ?? {}
      for (const one of cases) {
        check(one, 'f64', 1e-10, 1e-13)
        check(one, 'f32', rtol, atol)
      }
    })
  }
})

it('the golden files hold the inputs that the table describes', () => {
  for (const { row, cases } of table) {
    for (const { name, position, inputs } of cases) {
      const described = (row.inputs[position] ?? []).map((spec, i) => valuesOf(spec, seedOf(`${name} ${i}`)))
      for (const [i, { values }] of inputs.entries())
        assertClose(values, described[i] ?? [], {
          rtol: 0,
          atol: 0,
          name: `${name}, input ${i}; run tools/golden/ops.py`,
        })
    }
  }
})

it('all golden files are from one known version of PyTorch', () => {
  expect(new Set(versions)).toEqual(new Set(['2.13.0+cpu']))
})
