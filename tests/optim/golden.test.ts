import { type Device, setDefaultDevice, type Tensor, tensor } from 'dfdt'
import { parameter } from 'dfdt/nn'
import { describe, expect, test } from 'vitest'
import { assertClose } from '../../src/testing/close.js'
import { devices } from '../devices.js'
import { golden } from '../golden-file.js'
import { type OptimizerName, optimizers } from './table.js'

type Values = Record<'weight' | 'bias', number[]>
interface Case {
  readonly optimizer: OptimizerName
  readonly options: Record<string, number | boolean>
  /** With a learning rate of `lr / step`. */
  readonly falling: boolean
  readonly f32: Record<string, Values>
  readonly f64: Record<string, Values>
}
const { start, gradients, cases } = golden<{ torch: string; start: Values; gradients: Values[]; cases: Case[] }>(
  'optim/steps.json',
)

type FloatDType = 'f32' | 'f64'
const kinds: readonly { name: string; dtype: FloatDType; make: () => Device; tolerance: number }[] = devices.flatMap(
  ({ name, make }) => [
    { name: `${name} f32`, dtype: 'f32' as const, make, tolerance: 3e-6 },
    ...(name === 'reference' ? [{ name: `${name} f64`, dtype: 'f64' as const, make, tolerance: 1e-12 }] : []),
  ],
)

describe.each(kinds)('steps of PyTorch on $name', ({ dtype, make, tolerance }) => {
  test.each(
    cases.map(
      (one) => [`${one.optimizer} ${JSON.stringify(one.options)}${one.falling ? ', lr / step' : ''}`, one] as const,
    ),
  )('%s', (_, { optimizer: name, options, falling, ...expected }) => {
    setDefaultDevice(make())
    const of = (values: number[]) =>
      tensor(values as number[] & { length: number }, { dtype }) as Tensor<[number], FloatDType>
    const model = { weight: parameter(of(start.weight)), bias: parameter(of(start.bias)), forward: () => undefined }
    const { lr } = { lr: 1e-3, ...options } as { lr: number }
    const optimizer = optimizers[name](model, falling ? { ...options, lr: (step: number) => lr / step } : options)
    const slopes = gradients.map(({ weight, bias }) => ({ weight: of(weight), bias: of(bias) }))
    for (let step = 1; step <= 50; step++) {
      const slope = slopes[step % slopes.length]
      if (!slope) throw new RangeError('no gradients')
      // The gradient of Σ p · g is g.
      const loss = slope.weight.trace().mul(model.weight).sum().add(slope.bias.trace().mul(model.bias).sum())
      optimizer.step(loss.backward())
      const after = expected[dtype][step]
      if (!after) continue
      for (const key of ['weight', 'bias'] as const)
        assertClose(model[key].dataSync(), after[key], {
          rtol: tolerance,
          atol: tolerance,
          name: `${key} after ${step}`,
        })
    }
    expect(optimizer.steps).toBe(50)
  })
})

test('every optimizer has golden numbers', () => {
  expect([...new Set(cases.map(({ optimizer }) => optimizer))].sort()).toEqual(Object.keys(optimizers).sort())
})
