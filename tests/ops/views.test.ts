import '../../src/autodiff/fluent.js'
import '../../src/ops/fluent.js'
import { describe, expect, it } from 'vitest'
import { createReferenceBackend } from '../../src/backends/reference/index.js'
import { createWasmBackend } from '../../src/backends/wasm/node.js'
import { broadcastTo, permute, slice, stack, tensor } from '../../src/ops/index.js'
import { Device } from '../../src/tensor/device.js'
import { recordOf } from '../../src/tensor/record.js'
import { assertClose } from '../../src/testing/close.js'
import type { AnyX } from './cases.js'
import { type Case, dataOf, makeInputs, type Outcome, run, table } from './table.js'

const devices = {
  reference: new Device(createReferenceBackend()),
  wasm: new Device(createWasmBackend({ mode: 'plain', threads: 1 })),
}

/** The same elements, every second one of a larger tensor and with its axes in another order in memory. */
function scattered(x: AnyX): AnyX {
  const axes = (x.shape as number[]).map((_, axis) => axis)
  const reversed = permute(x, ...[...axes].reverse())
  // A copy of the reversed tensor beside itself, along a new last axis: strides of 2.
  const double = stack([reversed, reversed] as AnyX, -1 as never) as AnyX
  const half = double.select(-1, 1)
  return half.permute(...axes.reverse())
}

/** The first part along axis 0, repeated: stride 0. */
function repeatedRows(x: AnyX): AnyX {
  return broadcastTo(slice(x, [[0, 1]] as AnyX) as AnyX, x.shape)
}

const packedCopy = (device: Device, x: AnyX): AnyX => {
  const data = dataOf(x)
  const { dtype, shape } = recordOf(x)
  return tensor(data, [...shape], { device, dtype } as AnyX)
}

function expectEqual(one: Case, got: Outcome, want: Outcome): void {
  expect(got.shape, one.name).toEqual(want.shape)
  // Not a tolerance for sums in another order: the order depends on the shape alone.
  assertClose(got.out, want.out, { rtol: 0, atol: 0, name: one.name })
  want.gradients.forEach((gradient, i) => {
    if (gradient)
      assertClose(got.gradients[i] ?? [], gradient, { rtol: 0, atol: 0, name: `${one.name}: gradient of ${i}` })
  })
}

for (const [backend, device] of Object.entries(devices)) {
  describe(`on ${backend}, results do not depend on how inputs lie in memory`, () => {
    for (const { name, cases } of table) {
      it(name, () => {
        for (const one of cases) {
          const inputs = makeInputs(device, one, 'f32')
          const strided = inputs.map(scattered)
          for (const [i, x] of strided.entries()) {
            const { contiguous, size } = recordOf(x)
            expect(contiguous && size > 1, `${one.name}: input ${i} is meant to have gaps`).toBe(false)
          }
          expectEqual(one, run(device, one, 'f32', strided), run(device, one, 'f32', inputs))
          const tall = inputs.map((x) => x.rank > 0 && x.shape[0] > 1)
          if (!tall.includes(true)) continue
          const views = inputs.map((x, i) => (tall[i] ? repeatedRows(x) : x))
          const copies = views.map((x) => packedCopy(device, x))
          expectEqual(one, run(device, one, 'f32', views), run(device, one, 'f32', copies))
        }
      })
    }
  })
}

describe('a tape changes no value', () => {
  for (const { row, name, cases } of table) {
    if (!cases.some(({ dy }) => dy)) continue
    it(name, () => {
      for (const one of cases) {
        const inputs = makeInputs(devices.reference, one, 'f32')
        const untaped = row.call(...inputs)
        const taped = row.call(...inputs.map((x, i) => (one.gradients[i] ? x.trace() : x)))
        expect(untaped.tape).toBe('none')
        expect(taped.tape).toBe(one.dy ? 'taped' : 'none')
        assertClose(dataOf(taped), dataOf(untaped), { rtol: 0, atol: 0, name: one.name })
      }
    })
  }
})
