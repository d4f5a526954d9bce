import { checkShape, type Dims, showShape } from '../shapes/dim.js'
import { type DType, type FloatDType, isFloat } from '../shapes/dtype.js'
import { DTypeError, OptionError, ShapeError } from '../shapes/errors.js'
import { flattenNested, type Nested, nestedDType, nestedShape } from '../shapes/nested.js'
import { sizeOf } from '../shapes/strides.js'
import { type Expr, scalar } from '../kernels/expr.js'
import { normalUnit, uniformUnit } from '../kernels/random.js'
import { defaultDevice } from '../tensor/device.js'
import { fits, toBytes, type TypedArray } from '../tensor/elements.js'
import { emptyTensor, recordOf, type TensorRecord, typed } from '../tensor/record.js'
import type {
  CreateOptions,
  DataFactory,
  LiteralFactory,
  Shape,
  ShapedFactory,
  Tape,
  Tensor,
} from '../tensor/tensor.js'
import { mapInto, type NumberDType } from './define.js'
import { forDType } from './expressions.js'
import { filled } from './fill.js'

export { dim } from '../shapes/dim.js'

/**
 * A tensor of the given values: a number, nested lists of them, or a typed array with a shape.
 * Lists are f32, lists of booleans bool, unless `dtype` is stated; typed arrays keep their dtype (Uint8Array is bool).
 * Numbers are rounded to the nearest f16 or bf16 where that is stated; `fromBits` takes bits.
 *
 * Fractions are cut off in integer tensors.
 *
 * Throws: `ShapeError` when rows have different lengths or the array does not fill the shape, `DTypeError` for a value
 * outside the range of an integer dtype.
 * Torch: `torch.tensor(data)`, which makes lists of integers i64.
 * @example
 * tensor([[1, 2, 3], [4, 5, 6]]) // Tensor<[2, 3]>
 * tensor(Float32Array.of(1, 2, 3, 4), [2, 2])
 */
export const tensor: LiteralFactory & DataFactory = (
  data: unknown,
  shapeOrOptions: Dims | CreateOptions = {},
  options: CreateOptions = {},
) => {
  if (isTypedArray(data)) {
    const shape = Array.isArray(shapeOrOptions) ? (shapeOrOptions as Dims) : [data.length]
    return typed<never>(fromArray(data, shape, options))
  }
  const { dtype, device } = shapeOrOptions as CreateOptions
  const nested = data as Nested
  const shape = nestedShape(nested)
  checkShape('tensor', shape)
  return typed<never>(fromValues(flattenNested(nested), shape, dtype ?? nestedDType(nested), device))
}

const isTypedArray = (data: unknown): data is TypedArray => ArrayBuffer.isView(data) && !(data instanceof DataView)

const dtypeOfArray = (data: TypedArray): DType => {
  if (data instanceof Float32Array) return 'f32'
  if (data instanceof Float64Array) return 'f64'
  if (data instanceof Int32Array) return 'i32'
  if (data instanceof Uint32Array) return 'u32'
  if (data instanceof Uint8Array) return 'bool'
  const name = (data as object).constructor.name
  const message = `tensor: a ${name} has no dtype of its own; state one, as in tensor(data, shape, { dtype: 'f32' }).`
  throw new DTypeError(message, { op: 'tensor' })
}

function fromArray(data: TypedArray, shape: Dims, { dtype, device }: CreateOptions): TensorRecord {
  checkShape('tensor', shape)
  if (data.length !== sizeOf(shape)) {
    const message = `tensor: shape ${showShape(shape)} has ${sizeOf(shape)} elements, the array has ${data.length}; they must be equal.`
    throw new ShapeError(message, { op: 'tensor', shapes: [shape] })
  }
  return fromValues(data, shape, dtype ?? dtypeOfArray(data), device)
}

/** Values of the host as a tensor of one dtype. */
function fromValues(
  values: ArrayLike<number>,
  shape: Dims,
  dtype: DType = 'f32',
  device = defaultDevice(),
): TensorRecord {
  if (dtype === 'i32' || dtype === 'u32') {
    for (let i = 0; i < values.length; i++) {
      const value = Number(values[i])
      if (fits(Math.trunc(value), dtype)) continue
      const message = `tensor: ${value} is not a value of ${dtype}; make f32 and convert with .to('${dtype}'), which saturates.`
      throw new DTypeError(message, { op: 'tensor' })
    }
  }
  const made = emptyTensor(device, dtype, shape)
  made.storage.write(0, toBytes(values, dtype))
  return made
}

/**
 * A tensor that holds one value everywhere.
 *
 * Throws: `ShapeError` when the shape is not made of sizes.
 * Torch: `torch.full(shape, value)`.
 * @example full([2, 2], 7) // [[7, 7], [7, 7]]
 */
export function full<const S extends Dims, D extends DType = 'f32'>(
  shape: S,
  value: number,
  options: CreateOptions<D> = {},
): Tensor<[...S], NoInfer<D>> {
  return typed(constant('full', shape, value, options))
}

function constant(op: string, shape: Dims, value: number, { dtype = 'f32', device }: CreateOptions): TensorRecord {
  checkShape(op, shape)
  return filled(device ?? defaultDevice(), dtype, shape, value)
}

/**
 * A tensor of zeros.
 *
 * Throws: `ShapeError` when the shape is not made of sizes.
 * Torch: `torch.zeros(shape)`.
 * @example zeros([2, 3], { dtype: 'i32' })
 */
export const zeros: ShapedFactory = (shape, options = {}) => typed(constant('zeros', shape, 0, options))

/**
 * A tensor of ones.
 *
 * Throws: `ShapeError` when the shape is not made of sizes.
 * Torch: `torch.ones(shape)`.
 * @example ones([3]) // [1, 1, 1]
 */
export const ones: ShapedFactory = (shape, options = {}) => typed(constant('ones', shape, 1, options))

/** Zeros of x's shape, dtype and device, on no tape.  Torch: `torch.zeros_like(x)`. @example zerosLike(weight) */
export function zerosLike<S extends Shape, D extends DType, T extends Tape>(x: Tensor<S, D, T>): Tensor<S, D> {
  const { device, dtype, shape } = recordOf(x)
  return typed(filled(device, dtype, shape, 0))
}

/** Ones of x's shape, dtype and device, on no tape.  Torch: `torch.ones_like(x)`. @example onesLike(weight) */
export function onesLike<S extends Shape, D extends DType, T extends Tape>(x: Tensor<S, D, T>): Tensor<S, D> {
  const { device, dtype, shape } = recordOf(x)
  return typed(filled(device, dtype, shape, 1))
}

/** What `arange` may be told. */
export interface RangeOptions<D extends DType = DType> extends CreateOptions<D> {
  /** The first value; 0 by default. */
  readonly start?: number
  /** The distance between two values; 1 by default, may be negative. */
  readonly step?: number
}

/**
 * Numbers from `start` (default 0) up to, not including, `end`, `step` (default 1) apart.
 *
 * Shapes: `→ [⌈(end − start) / step⌉]`.
 * Throws: `OptionError` when step is 0 or does not lead from start to end.
 * Torch: `torch.arange(start, end, step)`; ours is f32 unless stated.
 * @example arange(3) // [0, 1, 2]
 */
export function arange<const N extends number, D extends NumberDType = 'f32'>(
  end: N,
  options?: CreateOptions<D> & { readonly start?: never; readonly step?: never },
): Tensor<[N], NoInfer<D>>
export function arange<D extends NumberDType = 'f32'>(
  end: number,
  options?: RangeOptions<D>,
): Tensor<[number], NoInfer<D>>
export function arange(end: number, { start = 0, step = 1, dtype, device }: RangeOptions = {}): Tensor<[number]> {
  const count = Math.ceil((end - start) / step)
  if (step === 0 || !Number.isSafeInteger(count) || count < 0) {
    const message = `arange: steps of ${step} do not lead from ${start} to ${end}; give a finite end and a step towards it.`
    throw new OptionError(message, { op: 'arange' })
  }
  return typed(
    fromValues(
      Float64Array.from({ length: count }, (_, i) => start + i * step),
      [count],
      dtype,
      device,
    ),
  )
}

/**
 * `count` numbers from `start` to `end`, both included, at equal distances.
 *
 * Shapes: `→ [count]`.
 * Throws: `ShapeError` when count is not a size.
 * Torch: `torch.linspace(start, end, count)`.
 * @example linspace(0, 1, 5) // [0, 0.25, 0.5, 0.75, 1]
 */
export function linspace<const N extends number, D extends FloatDType = 'f32'>(
  start: number,
  end: number,
  count: N,
  { dtype, device }: CreateOptions<D> = {},
): Tensor<[N], NoInfer<D>> {
  checkShape('linspace', [count])
  // From both ends, so that both are exact and the values symmetric.
  const step = (end - start) / Math.max(count - 1, 1)
  const at = (i: number) => (2 * i < count ? start + i * step : end - (count - 1 - i) * step)
  return typed(
    fromValues(
      Float64Array.from({ length: count }, (_, i) => at(i)),
      [count],
      dtype,
      device,
    ),
  )
}

/**
 * The identity matrix.
 *
 * Shapes: `→ [size, size]`.
 * Throws: `ShapeError` when size is not a size.
 * Torch: `torch.eye(size)`.
 * @example eye(2) // [[1, 0], [0, 1]]
 */
export function eye<const N extends number, D extends NumberDType = 'f32'>(
  size: N,
  { dtype, device }: CreateOptions<D> = {},
): Tensor<[N, N], NoInfer<D>> {
  checkShape('eye', [size, size])
  const values = new Float32Array(size * size)
  for (let i = 0; i < size; i++) values[i * size + i] = 1
  return typed(fromValues(values, [size, size], dtype, device))
}

/** What `uniform` may be told. */
export interface UniformOptions<D extends FloatDType = FloatDType> extends CreateOptions<D> {
  /** The lower end; 0 by default. */
  readonly low?: number
  /** The upper end; 1 by default. */
  readonly high?: number
}

/**
 * Random numbers, equally likely in [low, high): `low + (high − low) · u`. They depend on the device generator's seed and
 * the number of draws before (`manualSeed`), never on threads. f64 gets numbers of f32's resolution.
 *
 * Throws: `ShapeError` when the shape is not made of sizes.
 * Torch: `torch.rand(shape) * (high - low) + low`, with other numbers for the same seed.
 * @example uniform([784, 128], { low: -0.05, high: 0.05 })
 */
export function uniform<const S extends Dims, D extends FloatDType = 'f32'>(
  shape: S,
  { low = 0, high = 1, ...options }: UniformOptions<D> = {},
): Tensor<[...S], NoInfer<D>> {
  return typed(random('uniform', uniforms, shape, [low, high - low], options))
}

/** What `normal` may be told. */
export interface NormalOptions<D extends FloatDType = FloatDType> extends CreateOptions<D> {
  /** 0 by default. */
  readonly mean?: number
  /** The standard deviation; 1 by default. */
  readonly std?: number
}

/**
 * Random numbers with a normal distribution: `mean + std · z`. They depend on the device generator's seed and the number
 * of draws before (`manualSeed`), never on threads. f64 gets numbers of f32's resolution.
 *
 * Throws: `ShapeError` when the shape is not made of sizes.
 * Torch: `torch.randn(shape) * std + mean`, with other numbers for the same seed.
 * @example normal([2, 3], { std: 0.02 })
 */
export function normal<const S extends Dims, D extends FloatDType = 'f32'>(
  shape: S,
  { mean = 0, std = 1, ...options }: NormalOptions<D> = {},
): Tensor<[...S], NoInfer<D>> {
  return typed(random('normal', normals, shape, [mean, std], options))
}

// Scalars 0 and 1 are the generator's key.
const scaled = (unit: Expr) => {
  const shifted = unit.mul(scalar(3, 'f32')).add(scalar(2, 'f32'))
  return forDType((dtype) => shifted.cast(dtype))
}
const uniforms = scaled(uniformUnit())
const normals = scaled(normalUnit())

function random(
  op: string,
  exprs: (dtype: DType) => Expr,
  shape: Dims,
  scalars: readonly number[],
  { dtype = 'f32', device = defaultDevice() }: CreateOptions<FloatDType>,
): TensorRecord {
  checkShape(op, shape)
  if (!isFloat(dtype)) {
    const message = `${op}: random numbers are floats, got dtype ${String(dtype)}; make f32 and convert with .to().`
    throw new DTypeError(message, { op })
  }
  return mapInto(
    emptyTensor(device, dtype, shape),
    exprs(dtype),
    [],
    device.hostScalars(() => [...device.generator.next(), ...scalars]),
  )
}
