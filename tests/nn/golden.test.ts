import { type Device, setDefaultDevice, type Tensor, tensor } from 'dfdt'
import { inference } from 'dfdt/nn'
import { beforeAll, describe, expect, test } from 'vitest'
import { tensorsOf } from '../../src/model/walk.js'
import { toBytes } from '../../src/tensor/elements.js'
import { assertClose } from '../../src/testing/close.js'
import { devices } from '../devices.js'
import { golden } from '../golden-file.js'
import { type AnyTaped, type FloatDType, forwardOf, layers } from './table.js'

interface Dumped {
  readonly shape: number[]
  readonly values: number[]
}
interface Case {
  readonly name: string
  readonly dtype: FloatDType
  readonly state: Record<string, Dumped>
  readonly steps: {
    readonly training: boolean
    readonly x: Dumped
    readonly y: Dumped
    readonly dy: Dumped
    /** Absent where the input is integers. */
    readonly dx?: Dumped
    readonly gradients: Record<string, Dumped>
    readonly buffers: Record<string, Dumped>
  }[]
}
const { cases } = golden<{ torch: string; cases: Case[] }>('nn/layers.json')
const rows = new Map(Object.values(layers).flatMap((row) => Object.entries(row)))

const kinds: readonly { name: string; dtype: FloatDType; make: () => Device; tolerance: number }[] = devices.flatMap(
  ({ name, make }) => [
    { name: `${name} f32`, dtype: 'f32' as const, make, tolerance: 1e-5 },
    ...(name === 'reference' ? [{ name: `${name} f64`, dtype: 'f64' as const, make, tolerance: 1e-12 }] : []),
  ],
)

/** Arrays to put side by side in one comparison. */
const dumpOf = (t: Tensor<number[], 'f32' | 'f64'>): Dumped => ({ shape: [...t.shape], values: [...t.dataSync()] })

describe.each(kinds)('layers of PyTorch on $name', ({ dtype, make, tolerance }) => {
  beforeAll(() => setDefaultDevice(make()))

  test.each(cases.filter((one) => one.dtype === dtype).map((one) => [one.name, one] as const))(
    '%s',
    (name, { state, steps }) => {
      const close = (actual: Dumped, expected: Dumped, what: string) => {
        expect(actual.shape, what).toEqual(expected.shape)
        assertClose(actual.values, expected.values, { rtol: tolerance, atol: tolerance, name: what })
      }
      const of = ({ shape, values }: Dumped) =>
        (dtype === 'f64'
          ? tensor(Float64Array.from(values), shape)
          : tensor(Float32Array.from(values), shape)) as Tensor<number[], FloatDType>
      const layer = rows.get(name)?.(dtype)
      if (!layer) throw new RangeError(`tests/nn/table.ts has no row for ${name}`)
      const tensors = tensorsOf(layer)
      expect(tensors.map(({ path, tensor: t }) => [path, t.shape])).toEqual(
        Object.entries(state).map(([path, { shape }]) => [path, shape]),
      )
      for (const { path, tensor: t } of tensors) t.storage.write(t.offset, toBytes(state[path]?.values ?? [], t.dtype))

      steps.forEach(({ training, x: input, y, dy, dx, gradients, buffers }, i) => {
        const step = `step ${i}`
        const x =
          dx || !Number.isInteger(input.values[0]) ? of(input) : tensor(Int32Array.from(input.values), input.shape)
        const model = training ? layer : inference(layer)
        const output = forwardOf(model, x.trace() as AnyTaped)
        close(dumpOf(output.detach()), y, `${step} y`)
        if (!training) {
          // Untaped is evaluation too, with the same numbers.
          const untaped = forwardOf(layer, x as never)
          expect(dumpOf(untaped as never)).toEqual(dumpOf(output.detach()))
          expect(untaped.tape).toBe('none')
        }
        const loss = output.mul(of(dy) as never).sum() as Tensor<[], FloatDType, 'taped'>
        const given = loss.backward()
        if (dx) close(dumpOf(given.get(x as Tensor<number[], FloatDType>)), dx, `${step} dx`)
        for (const { path, role, tensor: t } of tensors) {
          if (role === 'parameter')
            close(
              dumpOf(given.get(t as never)),
              gradients[path] ?? { shape: [], values: [] },
              `${step} gradient of ${path}`,
            )
          else
            close(
              { shape: [...t.shape], values: [...t.dataSync()] },
              buffers[path] ?? { shape: [], values: [] },
              `${step} ${path}`,
            )
        }
        given.dispose()
      })
    },
  )
})

test('every golden case has a row and every row its golden case', () => {
  expect([...rows.keys()].sort()).toEqual([...new Set(cases.map(({ name }) => name))].sort())
})
