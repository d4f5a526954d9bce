import fc from 'fast-check'
import { expect, test } from 'vitest'
import { broadcastAxes, broadcastToShape } from '../../src/shapes/broadcast.js'
import { concatShape, stackShape } from '../../src/shapes/concat.js'
import { flattenShape } from '../../src/shapes/flatten.js'
import { matmulShape } from '../../src/shapes/matmul.js'
import { flattenNested, type Nested, nestedShape } from '../../src/shapes/nested.js'
import { permuteShape } from '../../src/shapes/permute.js'
import { reduceShape } from '../../src/shapes/reduce.js'
import { reshapeShape } from '../../src/shapes/reshape.js'
import { type Range, sliceShape } from '../../src/shapes/slice.js'
import { sizeOf } from '../../src/shapes/strides.js'

const size = fc.integer({ min: 0, max: 5 })
const shape = fc.array(size, { maxLength: 6 })
const positive = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 6 })

test('reducing one axis after another gives what reducing them together gives', () => {
  fc.assert(
    fc.property(shape, fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }), (s, mask) => {
      const axes = s.flatMap((_, axis) => (mask[axis] ? [axis] : []))
      const oneByOne = [...axes].reverse().reduce<number[]>((left, axis) => reduceShape(left, axis), s)
      expect(reduceShape(s, axes)).toEqual(oneByOne)
      expect(
        reduceShape(
          s,
          axes.map((axis) => axis - s.length),
        ),
      ).toEqual(oneByOne)
    }),
  )
})

test('a reshape keeps the number of elements, and -1 restores any one size', () => {
  fc.assert(
    fc.property(positive, fc.nat(), (s, pick) => {
      expect(sizeOf(reshapeShape(s, [sizeOf(s)]))).toBe(sizeOf(s))
      if (s.length === 0) return
      const at = pick % s.length
      expect(
        reshapeShape(
          [sizeOf(s)],
          s.map((n, i) => (i === at ? -1 : n)),
        ),
      ).toEqual(s)
    }),
  )
})

test('a permutation and its inverse give the shape back', () => {
  fc.assert(
    fc.property(shape, fc.infiniteStream(fc.nat()), (s, stream) => {
      const axes = s.map((_, i) => i).sort(() => ((stream.next().value ?? 0) % 2 === 0 ? 1 : -1))
      const inverse = axes.map((_, i) => axes.indexOf(i))
      expect(permuteShape(permuteShape(s, axes), inverse)).toEqual(s)
    }),
  )
})

test('summing over the axes of a broadcast leaves as many elements as there were', () => {
  fc.assert(
    fc.property(
      positive,
      fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
      fc.nat({ max: 6 }),
      (to, ones, cut) => {
        const from = to.map((n, i) => (ones[i] ? 1 : n)).slice(Math.min(cut, to.length))
        expect(broadcastToShape(from, to)).toEqual(to)
        expect(sizeOf(reduceShape(to, broadcastAxes(from, to)))).toBe(sizeOf(from))
      },
    ),
  )
})

test('a matrix product of batches is the one of matrices, batch by batch', () => {
  fc.assert(
    fc.property(fc.array(size, { maxLength: 4 }), size, size, size, (batch, m, k, n) => {
      expect(matmulShape([...batch, m, k], [...batch, k, n])).toEqual([...batch, ...matmulShape([m, k], [k, n])])
      expect(matmulShape([...batch, m, k], [k, n])).toEqual([...batch, m, n])
    }),
  )
})

test('parts cut along an axis join to the whole', () => {
  fc.assert(
    fc.property(fc.array(size, { minLength: 1, maxLength: 6 }), fc.nat(), fc.nat(), (s, pick, place) => {
      const axis = pick % s.length
      const end = s[axis] ?? 0
      const middle = place % (end + 1)
      const cut = (range: Range) =>
        sliceShape(
          s,
          s.map((_, i) => (i === axis ? range : null)),
        )
      expect(concatShape([cut([0, middle]), cut([middle, end])], axis)).toEqual(s)
    }),
  )
})

test('stacking adds one axis of the number of tensors', () => {
  fc.assert(
    fc.property(fc.array(size, { maxLength: 5 }), fc.integer({ min: 1, max: 4 }), fc.nat(), (s, count, pick) => {
      const axis = pick % (s.length + 1)
      const stacked = stackShape(Array(count).fill(s), axis)
      expect(stacked[axis]).toBe(count)
      expect(reduceShape(stacked, axis)).toEqual(s)
    }),
  )
})

test('flattening keeps the number of elements and the leading sizes', () => {
  fc.assert(
    fc.property(shape, fc.nat(), (s, pick) => {
      const from = pick % (s.length + 1)
      const flat = flattenShape(s, from)
      expect(sizeOf(flat)).toBe(sizeOf(s))
      expect(flat.slice(0, from)).toEqual(s.slice(0, from))
    }),
  )
})

test('nested lists of a shape have that shape and its number of elements', () => {
  const build = (s: readonly number[]): Nested => {
    const [n, ...rest] = s
    return n === undefined ? 7 : Array.from({ length: n }, () => build(rest))
  }
  fc.assert(
    fc.property(positive, (s) => {
      expect(nestedShape(build(s))).toEqual(s)
      expect(flattenNested(build(s))).toHaveLength(sizeOf(s))
    }),
  )
})
