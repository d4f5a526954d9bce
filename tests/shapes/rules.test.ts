import { describe, expect, test } from 'vitest'
import { broadcastAxes, broadcastToShape, type BroadcastTo } from '../../src/shapes/broadcast.js'
import { normalizeAxes, normalizeAxis } from '../../src/shapes/axes.js'
import { type Concat, concatShape, type Stack, stackShape } from '../../src/shapes/concat.js'
import { checkShape, dim, MAX_RANK, type Show, showShape } from '../../src/shapes/dim.js'
import { ShapeError } from '../../src/shapes/errors.js'
import { type Flatten, flattenShape } from '../../src/shapes/flatten.js'
import { type Gather, gatherShape } from '../../src/shapes/gather.js'
import { type Matmul, matmulShape } from '../../src/shapes/matmul.js'
import { type DTypeOf, flattenNested, nestedDType, nestedShape, type ShapeOf } from '../../src/shapes/nested.js'
import { type Permute, permuteShape } from '../../src/shapes/permute.js'
import { type Reduce, reduceShape } from '../../src/shapes/reduce.js'
import { type Reshape, reshapeShape } from '../../src/shapes/reshape.js'
import { type Slice, sliceShape } from '../../src/shapes/slice.js'

/**
 * A case states a rule as a type and calls its twin at run time. `rule<R>(expected, run)` compiles only when the type R
 * is exactly `expected`, and passes only when `run` returns it, or throws a ShapeError that begins with it.
 */
interface Case {
  readonly expected: readonly number[] | string
  readonly run: () => readonly number[]
}
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
function rule<R>() {
  return <const E extends readonly number[] | string>(
    expected: Equal<R, E extends readonly number[] ? [...E] : E> extends true ? E : { typeSays: R },
    run: () => readonly number[],
  ): Case => ({ expected: expected as E, run })
}

const cases: Case[] = [
  rule<Matmul<[3], [3]>>()([], () => matmulShape([3], [3])),
  rule<Matmul<[2], [2, 3]>>()([3], () => matmulShape([2], [2, 3])),
  rule<Matmul<[2, 3], [3]>>()([2], () => matmulShape([2, 3], [3])),
  rule<Matmul<[2, 3], [3, 4]>>()([2, 4], () => matmulShape([2, 3], [3, 4])),
  rule<Matmul<[8, 2, 3], [3, 4]>>()([8, 2, 4], () => matmulShape([8, 2, 3], [3, 4])),
  rule<Matmul<[8, 2, 3], [8, 3, 4]>>()([8, 2, 4], () => matmulShape([8, 2, 3], [8, 3, 4])),
  rule<Matmul<[7, 8, 2, 3], [7, 8, 3, 4]>>()([7, 8, 2, 4], () => matmulShape([7, 8, 2, 3], [7, 8, 3, 4])),
  rule<Matmul<[7, 8, 2, 3], [3, 4]>>()([7, 8, 2, 4], () => matmulShape([7, 8, 2, 3], [3, 4])),
  rule<Matmul<[2, 0], [0, 4]>>()([2, 4], () => matmulShape([2, 0], [0, 4])),
  rule<Matmul<[2, 3], [2, 3]>>()('matmul: [2, 3] x [2, 3]: inner dimensions 3 and 2 differ', () =>
    matmulShape([2, 3], [2, 3]),
  ),
  rule<Matmul<[3], [2]>>()('matmul: [3] x [2]: inner dimensions 3 and 2 differ', () => matmulShape([3], [2])),
  rule<Matmul<[8, 2, 3], [4, 3, 5]>>()('matmul: batch dimensions [8] and [4] differ', () =>
    matmulShape([8, 2, 3], [4, 3, 5]),
  ),
  rule<Matmul<[2, 3], [8, 3, 5]>>()('matmul: [2, 3] x [8, 3, 5]: the ranks do not fit', () =>
    matmulShape([2, 3], [8, 3, 5]),
  ),
  rule<Matmul<[8, 2, 3], [3]>>()('matmul: [8, 2, 3] x [3]: the ranks do not fit', () => matmulShape([8, 2, 3], [3])),
  rule<Matmul<[8, 8, 2, 3], [8, 3, 5]>>()('matmul: batch dimensions [8, 8] and [8] differ', () =>
    matmulShape([8, 8, 2, 3], [8, 3, 5]),
  ),
  rule<Matmul<[], [3]>>()('matmul: [] x [3]: the left operand is a scalar', () => matmulShape([], [3])),
  rule<Matmul<[3], []>>()('matmul: [3] x []: the right operand is a scalar', () => matmulShape([3], [])),

  rule<Reduce<[2, 3], never>>()([], () => reduceShape([2, 3])),
  rule<Reduce<[2, 3], 0>>()([3], () => reduceShape([2, 3], 0)),
  rule<Reduce<[2, 3], -1>>()([2], () => reduceShape([2, 3], -1)),
  rule<Reduce<[2, 4, 3], [0, -1]>>()([4], () => reduceShape([2, 4, 3], [0, -1])),
  rule<Reduce<[2, 4], []>>()([2, 4], () => reduceShape([2, 4], [])),

  rule<Reshape<[2, 3], [6]>>()([6], () => reshapeShape([2, 3], [6])),
  rule<Reshape<[2, 3], [3, -1]>>()([3, 2], () => reshapeShape([2, 3], [3, -1])),
  rule<Reshape<[2, 3, 4], [2, -1]>>()([2, 12], () => reshapeShape([2, 3, 4], [2, -1])),
  rule<Reshape<[], [1, 1]>>()([1, 1], () => reshapeShape([], [1, 1])),
  rule<Reshape<[0, 3], [3, -1]>>()([3, 0], () => reshapeShape([0, 3], [3, -1])),
  rule<Reshape<[2, 3], [4, 2]>>()('reshape: [2, 3] has 6 elements, [4, 2] has 8', () => reshapeShape([2, 3], [4, 2])),
  rule<Reshape<[2, 3], [2, 4]>>()('reshape: [2, 3] has 6 elements, [2, 4] has 8', () => reshapeShape([2, 3], [2, 4])),
  rule<Reshape<[2, 3], [4, -1]>>()('reshape: [2, 3] does not divide into [4, -1]', () => reshapeShape([2, 3], [4, -1])),
  rule<Reshape<[2, 3], [-1, -1]>>()('reshape: [-1, -1] has more than one -1', () => reshapeShape([2, 3], [-1, -1])),
  rule<Reshape<[2, 3], [0, -1]>>()('reshape: -1 in [0, -1] cannot be inferred, another size is 0', () =>
    reshapeShape([2, 3], [0, -1]),
  ),

  rule<Permute<[2, 3, 4], [2, 0, 1]>>()([4, 2, 3], () => permuteShape([2, 3, 4], [2, 0, 1])),
  rule<Permute<[], []>>()([], () => permuteShape([], [])),
  rule<Permute<[2, 3], [0, 0]>>()('permute: axes [0, 0] are not a permutation for shape [2, 3]', () =>
    permuteShape([2, 3], [0, 0]),
  ),
  rule<Permute<[2, 3], [0, -1]>>()('permute: axes [0, -1] are not a permutation for shape [2, 3]', () =>
    permuteShape([2, 3], [0, -1]),
  ),
  rule<Permute<[2, 3, 4], [1, 0]>>()('permute: 2 axes given for shape [2, 3, 4]', () =>
    permuteShape([2, 3, 4], [1, 0]),
  ),

  rule<BroadcastTo<[3], [2, 3]>>()([2, 3], () => broadcastToShape([3], [2, 3])),
  rule<BroadcastTo<[2, 1], [2, 3]>>()([2, 3], () => broadcastToShape([2, 1], [2, 3])),
  rule<BroadcastTo<[], [2, 3]>>()([2, 3], () => broadcastToShape([], [2, 3])),
  rule<BroadcastTo<[1], [0]>>()([0], () => broadcastToShape([1], [0])),
  rule<BroadcastTo<[2], [2, 3]>>()('cannot broadcast [2] to [2, 3]', () => broadcastToShape([2], [2, 3])),
  rule<BroadcastTo<[2, 3], [3]>>()('cannot broadcast [2, 3] to [3]', () => broadcastToShape([2, 3], [3])),
  rule<BroadcastTo<[2, 3], [2, 1]>>()('cannot broadcast [2, 3] to [2, 1]', () => broadcastToShape([2, 3], [2, 1])),

  rule<Concat<[2, 3], [2, 4], 1>>()([2, 7], () =>
    concatShape(
      [
        [2, 3],
        [2, 4],
      ],
      1,
    ),
  ),
  rule<Concat<[2, 3], [5, 3], -2>>()([7, 3], () =>
    concatShape(
      [
        [2, 3],
        [5, 3],
      ],
      -2,
    ),
  ),
  rule<Concat<[2, 3], [3, 4], 1>>()('concat: [2, 3] and [3, 4] differ outside axis 1', () =>
    concatShape(
      [
        [2, 3],
        [3, 4],
      ],
      1,
    ),
  ),
  rule<Concat<[2, 3], [2], 0>>()('concat: [2, 3] and [2] differ outside axis 0', () => concatShape([[2, 3], [2]], 0)),
  rule<Stack<[2, 3], 2, 0>>()([2, 2, 3], () =>
    stackShape([
      [2, 3],
      [2, 3],
    ]),
  ),
  rule<Stack<[2, 3], 4, -1>>()([2, 3, 4], () =>
    stackShape(
      [
        [2, 3],
        [2, 3],
        [2, 3],
        [2, 3],
      ],
      -1,
    ),
  ),

  rule<Slice<[2, 3], [[0, 1]]>>()([1, 3], () => sliceShape([2, 3], [[0, 1]])),
  rule<Slice<[2, 3], [null, [1, 3]]>>()([2, 2], () => sliceShape([2, 3], [null, [1, 3]])),
  rule<Slice<[2, 3], [[1, 1]]>>()([0, 3], () => sliceShape([2, 3], [[1, 1]])),
  rule<Slice<[2, 3], [[0, 9]]>>()('slice: end 9 is past dimension 2 of [2, 3]', () => sliceShape([2, 3], [[0, 9]])),
  rule<Slice<[2, 3], [[2, 1]]>>()('slice: start 2 is after end 1', () => sliceShape([2, 3], [[2, 1]])),
  rule<Slice<[2, 3], [[-1, 2]]>>()('slice: range [-1, 2] of [2, 3] counts from the end', () =>
    sliceShape([2, 3], [[-1, 2]]),
  ),
  rule<Slice<[2, 3], [null, null, null]>>()('slice: more ranges than dimensions in [2, 3]', () =>
    sliceShape([2, 3], [null, null, null]),
  ),

  rule<Gather<[1000, 16], 0, [5]>>()([5, 16], () => gatherShape([1000, 16], 0, [5])),
  rule<Gather<[2, 3], -1, [4, 5]>>()([2, 4, 5], () => gatherShape([2, 3], -1, [4, 5])),
  rule<Gather<[2, 3], 0, []>>()([3], () => gatherShape([2, 3], 0, [])),

  rule<Flatten<[2, 3, 4]>>()([2, 12], () => flattenShape([2, 3, 4])),
  rule<Flatten<[2, 3, 4], 0>>()([24], () => flattenShape([2, 3, 4], 0)),
  rule<Flatten<[5]>>()([5], () => flattenShape([5])),
  rule<Flatten<[]>>()([1], () => flattenShape([])),
  rule<Flatten<[2, 3], 2>>()([2, 3], () => flattenShape([2, 3], 2)),
  rule<Flatten<[2, 3], 3>>()('flatten: there is no dimension 3 in [2, 3]', () => flattenShape([2, 3], 3)),

  rule<ShapeOf<[[1, 2, 3], [4, 5, 6]]>>()([2, 3], () =>
    nestedShape([
      [1, 2, 3],
      [4, 5, 6],
    ]),
  ),
  rule<ShapeOf<1>>()([], () => nestedShape(1)),
  rule<ShapeOf<[]>>()([0], () => nestedShape([])),
]

test.each(cases)('type and run time agree on %j', ({ expected, run }) => {
  if (typeof expected !== 'string') {
    expect(run()).toEqual(expected)
    return
  }
  let message = 'nothing was thrown'
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(ShapeError)
    message = (error as Error).message
  }
  expect(message.slice(0, expected.length)).toBe(expected)
  // The remedy follows the sentence.
  expect(message.length).toBeGreaterThan(expected.length + 10)
})

describe('axes', () => {
  test('count from either end', () => {
    expect(normalizeAxis([2, 3], -1)).toBe(1)
    expect(normalizeAxes([2, 3, 4], [-1, 0])).toEqual([0, 2])
    expect(normalizeAxes([2, 3, 4])).toEqual([0, 1, 2])
  })
  test.each([2, -3, 0.5, Number.NaN])('%d is refused for rank 2', (axis) => {
    expect(() => normalizeAxis([2, 3], axis, 'sum')).toThrow(
      `sum: axis ${axis} is out of range for shape [2, 3]; valid axes are -2 to 1`,
    )
  })
  test('are named once', () => {
    expect(() => normalizeAxes([2, 3], [1, -1], 'sum')).toThrow('sum: axis 1 of shape [2, 3] is named twice in [1, -1]')
  })
  test('that a broadcast repeats along are the added and the stretched ones', () => {
    expect(broadcastAxes([3], [2, 3])).toEqual([0])
    expect(broadcastAxes([2, 1], [4, 2, 3])).toEqual([0, 2])
    expect(broadcastAxes([2, 1], [2, 1])).toEqual([])
  })
})

describe('shapes', () => {
  test('print as in the types', () => {
    const printed: Show<[2, 3]> = '[2, 3]'
    expect(showShape([2, 3])).toBe(printed)
    const scalar: Show<[]> = '[]'
    expect(showShape([])).toBe(scalar)
  })
  test.each([[[-1]], [[1.5]], [[Number.NaN]], [[2 ** 53]]])('%j is not a shape', (shape) => {
    expect(() => checkShape('zeros', shape)).toThrow(ShapeError)
  })
  test('have six dimensions at most', () => {
    expect(() => checkShape('zeros', [1, 1, 1, 1, 1, 1])).not.toThrow()
    expect(() => checkShape('zeros', [1, 1, 1, 1, 1, 1, 1])).toThrow(`the largest rank is ${MAX_RANK}`)
    expect(() => stackShape([[1, 1, 1, 1, 1, 1]])).toThrow(ShapeError)
    expect(() => gatherShape([1, 1, 1, 1], 0, [1, 1, 1, 1])).toThrow(ShapeError)
  })
  test('may have named sizes, which are numbers', () => {
    const batch = dim('batch', 32)
    expect(batch).toBe(32)
    expect(() => dim('batch', -1)).toThrow('dim: -1 is not a size for "batch"')
  })
  test('to join must be given', () => {
    expect(() => concatShape([], 0)).toThrow('concat: no tensors given')
    expect(() => stackShape([])).toThrow('stack: no tensors given')
    expect(() => stackShape([[2], [3]])).toThrow('stack: [2] and [3] differ')
  })
})

describe('nested lists', () => {
  test('are flattened in row-major order', () => {
    expect(
      flattenNested([
        [1, 2],
        [3, 4],
      ]),
    ).toEqual([1, 2, 3, 4])
    expect(flattenNested([true, false])).toEqual([1, 0])
  })
  test.each([[[[1, 2], [3]]], [[[1, 2], 3]], [[1, [2]]], [[[[1]], [[1, 2]]]]])('%j is refused', (data) => {
    expect(() => nestedShape(data as number[])).toThrow('tensor: rows have different lengths')
  })
  test('of booleans only are bool', () => {
    const bool: DTypeOf<[[true], [false]]> = 'bool'
    expect(nestedDType([[true], [false]])).toBe(bool)
    const mixed: DTypeOf<[true, 1]> = 'f32'
    expect(nestedDType([true, 1])).toBe(mixed)
    const empty: DTypeOf<[]> = 'f32'
    expect(nestedDType([])).toBe(empty)
    expect(nestedDType([[]])).toBe('f32')
  })
})
