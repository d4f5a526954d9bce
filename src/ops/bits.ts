import { checkShape, type Dims, type Shape, showShape } from '../shapes/dim.js'
import { type DType, type HalfDType, isHalf } from '../shapes/dtype.js'
import { DTypeError, ShapeError } from '../shapes/errors.js'
import { sizeOf } from '../shapes/strides.js'
import { defaultDevice } from '../tensor/device.js'
import { emptyTensor, recordOf, typed } from '../tensor/record.js'
import type { CreateOptions, Tape, Tensor } from '../tensor/tensor.js'
import { packed } from './movement/views.js'

/**
 * An f16 or bf16 tensor of the given bits, as files and other programs hold them; nothing is converted.
 *
 * Throws: `ShapeError` when the array does not fill the shape, `DTypeError` for other dtypes.
 * Torch: `torch.tensor(bits, dtype=torch.uint16).view(torch.bfloat16)`.
 * @example fromBits(Uint16Array.of(0x3f80, 0x4000), [2], { dtype: 'bf16' }) // [1, 2]
 */
export function fromBits<const S extends Dims, D extends HalfDType>(
  bits: Uint16Array,
  shape: S,
  { dtype, device = defaultDevice() }: CreateOptions<D> & { readonly dtype: D },
): Tensor<[...S], NoInfer<D>> {
  checkShape('fromBits', shape)
  requireHalf('fromBits', dtype)
  if (bits.length !== sizeOf(shape)) {
    const message = `fromBits: shape ${showShape(shape)} has ${sizeOf(shape)} elements, the array has ${bits.length}; they must be equal.`
    throw new ShapeError(message, { op: 'fromBits', shapes: [shape] })
  }
  const made = emptyTensor(device, dtype, shape)
  made.storage.write(0, new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength))
  return typed(made)
}

/**
 * The bits of an f16 or bf16 tensor in row-major order; `x.data()` gives its values as f32.
 *
 * Throws: `DTypeError` for other dtypes.
 * Torch: `x.view(torch.uint16)`.
 * @example await toBits(ones([2], { dtype: 'bf16' })) // Uint16Array [0x3f80, 0x3f80]
 */
export function toBits<S extends Shape, D extends HalfDType, T extends Tape = never>(
  x: Tensor<S, D, T>,
): Promise<Uint16Array> {
  const record = recordOf(x)
  requireHalf('toBits', record.dtype)
  const { storage, offset, size } = packed(record)
  storage.requireReadable()
  return storage.read(offset * 2, size * 2).then((bytes) => new Uint16Array(bytes.buffer, bytes.byteOffset, size))
}

function requireHalf(op: string, dtype: DType): void {
  if (isHalf(dtype)) return
  throw new DTypeError(`${op}: is defined for f16 and bf16, got ${String(dtype)}; convert with .to('bf16').`, { op })
}
