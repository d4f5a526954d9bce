import type { Dims, Shape } from '../shapes/dim.js'
import type { DType } from '../shapes/dtype.js'
import { OptionError, ShapeError } from '../shapes/errors.js'
import { sizeOf } from '../shapes/strides.js'
import { type Device, defaultDevice } from '../tensor/device.js'
import { toBytes } from '../tensor/elements.js'
import type { Generator } from '../tensor/generator.js'
import { emptyTensor, type TensorRecord } from '../tensor/record.js'
import type { Tensor } from '../tensor/tensor.js'
import { permutation } from './shuffle.js'

/** Items of one kind, one after another in a host array: images, labels. */
export interface Column<S extends Shape = Shape, D extends DType = DType> {
  readonly data: ArrayLike<number>
  /** Shape of one item. */
  readonly shape: S
  readonly dtype: D
  /** Every element is multiplied by this: 1/255 for pixels. */
  readonly scale: number
}

/**
 * Describes a host array as items of `shape`.
 *
 * Throws: `ShapeError` when the array does not hold a whole number of items.
 * @example const images = column(pixels, [784], { scale: 1 / 255 })
 */
export function column<const S extends Dims, D extends DType = 'f32'>(
  data: ArrayLike<number>,
  shape: S,
  options: { readonly dtype?: D; readonly scale?: number } = {},
): Column<[...S], D> {
  const size = sizeOf(shape)
  if (size === 0 || data.length % size !== 0)
    throw new ShapeError(
      `column: ${data.length} elements are not a whole number of items of shape [${shape.join(', ')}].`,
      { op: 'column' },
    )
  const dtype = (options.dtype ?? 'f32') as D
  return { data, shape: [...shape], dtype, scale: options.scale ?? 1 }
}

/** What `batches` may be told. */
export interface BatchOptions {
  /** Shuffles anew for each pass, by this generator. Default: the order of the data. */
  readonly shuffle?: Generator
  /** Leaves out the last batch when it is smaller. Default true, so that every batch has the stated size. */
  readonly dropLast?: boolean
  /** How often the data are passed over, `Infinity` for ever: the caller stops. Default 1. */
  readonly passes?: number
  readonly device?: Device
}

type Columns = Readonly<Record<string, Column>>
/** One tensor per column, with the batch in front. */
export type Batch<C extends Columns, B extends number> = {
  [K in keyof C]: C[K] extends Column<infer S, infer D> ? Tensor<[B, ...S], D> : never
}
/** Without `dropLast` the last batch may be smaller, so the size is a plain number. */
type SizeOf<B extends number, O> = O extends { readonly dropLast: false } ? number : B

/**
 * Passes over a data set in batches. The tensors of a batch are released when the next one is asked for: copy
 * what should live longer.
 *
 * Shapes: columns of items `S` → tensors `[size, …S]`.
 * Throws: `ShapeError` when columns differ in length, `OptionError` for a size or passes that are no positive integers, and
 * for passes without end over data that do not fill a batch.
 * Torch: `DataLoader(dataset, batch_size, shuffle, drop_last)`; here `dropLast` is on by default.
 * @example for (const { images, labels } of batches({ images, labels }, 32, { shuffle: device.generator })) { … }
 * @example const endless = batches({ images, labels }, 32, { shuffle: device.generator, passes: Infinity })
 */
export function* batches<C extends Columns, const B extends number, const O extends BatchOptions = object>(
  columns: C,
  size: B,
  options?: O,
): IterableIterator<Batch<C, SizeOf<B, O>>> {
  const { shuffle, dropLast = true, passes = 1, device = defaultDevice() } = options ?? {}
  if (typeof columns !== 'object' || columns === null)
    throw new OptionError('batches: give columns by name, as in batches({ images, labels }, 32).', { op: 'batches' })
  const count = countOf(columns)
  if (!Number.isInteger(size) || size < 1)
    throw new OptionError(`batches: the size must be a positive integer, got ${size}.`, { op: 'batches' })
  if (!(Number.isInteger(passes) && passes >= 1) && passes !== Number.POSITIVE_INFINITY)
    throw new OptionError(`batches: passes must be a positive integer or Infinity, got ${passes}.`, { op: 'batches' })
  const end = dropLast ? count - (count % size) : count
  if (end === 0 && passes === Number.POSITIVE_INFINITY) {
    const remedy = 'passes without end would never give one; take smaller batches'
    throw new OptionError(`batches: ${count} items do not fill a batch of ${size}; ${remedy}.`, { op: 'batches' })
  }
  for (let pass = 0; pass < passes; pass++) {
    const order = shuffle && permutation(count, shuffle)
    for (let start = 0; start < end; start += size) {
      const length = Math.min(size, count - start)
      const made: TensorRecord[] = []
      try {
        const entries = Object.entries(columns).map(([name, of]) => {
          const tensor = gathered(of, start, length, order, device)
          made.push(tensor)
          return [name, tensor]
        })
        yield Object.fromEntries(entries) as Batch<C, SizeOf<B, O>>
      } finally {
        for (const tensor of made) tensor.dispose('the next batch was asked for; copy what should live longer')
      }
    }
  }
}

/** How many items the columns have. */
function countOf(columns: Columns): number {
  const counts = Object.entries(columns).map(([name, { data, shape }]) => [name, data.length / sizeOf(shape)] as const)
  const first = counts[0]
  if (!first) throw new OptionError('batches: give at least one column.', { op: 'batches' })
  if (counts.some(([, count]) => count !== first[1])) {
    const listed = counts.map(([name, count]) => `${name} ${count}`).join(', ')
    throw new ShapeError(`batches: columns must have equally many items, got ${listed}.`, { op: 'batches' })
  }
  return first[1]
}

function gathered(
  of: Column,
  start: number,
  length: number,
  order: Uint32Array | undefined,
  device: Device,
): TensorRecord {
  const { data, shape, dtype, scale } = of
  const size = sizeOf(shape)
  const values = dtype === 'f32' ? new Float32Array(length * size) : new Array<number>(length * size).fill(0)
  for (let i = 0; i < length; i++) {
    const item = (order?.[start + i] ?? start + i) * size
    for (let j = 0; j < size; j++) values[i * size + j] = (data[item + j] ?? 0) * scale
  }
  const tensor = emptyTensor(device, dtype, [length, ...shape])
  tensor.storage.write(0, toBytes(values, dtype))
  return tensor
}
