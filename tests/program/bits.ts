import type { TypedArray } from '../../src/tensor/elements.js'
import { TensorRecord } from '../../src/tensor/record.js'
import { expect } from 'vitest'

/** Every tensor of a result as text of its exact elements: equal texts are equal bits, but for the kinds of NaN. */
export function bitsOf(value: unknown): unknown {
  if (value instanceof TensorRecord)
    return { shape: value.shape, dtype: value.dtype, elements: exactly(value.dataSync()) }
  if (Array.isArray(value)) return value.map(bitsOf)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, bitsOf(item)]))
}

const exactly = (data: TypedArray): string[] => Array.from(data, (x) => (Object.is(x, -0) ? '-0' : String(x)))

export function expectSameBits(got: unknown, want: unknown, name?: string): void {
  expect(bitsOf(got), name).toEqual(bitsOf(want))
}
