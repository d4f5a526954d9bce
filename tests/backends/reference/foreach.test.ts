import { expect, test } from 'vitest'
import { index, input, scalar } from '../../../src/kernels/expr.js'
import type { ForeachKernel } from '../../../src/kernels/kernel.js'
import { ShapeError } from '../../../src/tensor/errors.js'
import { attempt, f32, run, u32 } from './run.js'

const target = input(0, 'f32')
const source = input(1, 'f32')
/** target += scalar · (source − target), in place. */
const blend: ForeachKernel = {
  kind: 'foreach',
  inputs: ['f32', 'f32'],
  outputs: ['f32'],
  exprs: [target.add(source.sub(target).mul(scalar(0, 'f32')))],
  parts: [
    {
      length: 2,
      operands: [
        { buffer: 0, offset: 1 },
        { buffer: 1, offset: 0 },
        { buffer: 0, offset: 1 },
      ],
    },
    {
      length: 1,
      operands: [
        { buffer: 2, offset: 0 },
        { buffer: 1, offset: 3 },
        { buffer: 2, offset: 0 },
      ],
    },
  ],
}

test('parts of several buffers, in place, with a scalar', () => {
  const [first, , second] = run(blend, [f32(9, 0, 4, 9), f32(8, 8, 9, 100), f32(50, 9)], [0.25])
  expect(first).toEqual(f32(9, 2, 5, 9))
  expect(second).toEqual(f32(62.5, 9))
})

test('several outputs see the inputs as they were', () => {
  const kernel: ForeachKernel = {
    kind: 'foreach',
    inputs: ['f32', 'f32'],
    outputs: ['f32', 'f32'],
    exprs: [source, target.add(source)],
    parts: [{ length: 2, operands: [0, 1, 0, 1].map((buffer) => ({ buffer, offset: 0 })) }],
  }
  expect(run(kernel, [f32(1, 2), f32(10, 20)])).toEqual([f32(10, 20), f32(11, 22)])
})

test('a part of more than one block, an empty part, no parts', () => {
  const count: ForeachKernel = {
    kind: 'foreach',
    inputs: [],
    outputs: ['u32'],
    exprs: [index()],
    parts: [
      { length: 0, operands: [{ buffer: 0, offset: 1 }] },
      { length: 599, operands: [{ buffer: 0, offset: 1 }] },
    ],
  }
  expect([...run(count, [u32(7, ...new Array<number>(600).fill(8))])[0]]).toEqual([7, ...new Array(599).keys(), 8])
  expect(run({ ...count, parts: [] }, [u32(7)])).toEqual([u32(7)])
})

test('a bad part is refused before any part is written', () => {
  const short = { ...blend, parts: [...blend.parts, { length: 3, operands: blend.parts[0]?.operands ?? [] }] }
  const data = [f32(9, 0, 4), f32(8, 8, 9, 100), f32(50, 9)] as const
  const { error, after } = attempt(short, [...data], [0.25])
  expect(error).toBeInstanceOf(ShapeError)
  expect(after).toEqual(data)
  expect(() => run(short, [...data], [0.25])).toThrow(/operand 0 of part 2/)
  expect(() => run(blend, [data[0], data[1]], [0.25])).toThrow(/3 buffers are needed/)
})
