import { elements, swapped } from '../io/elements.js'
import { malformed } from '../io/malformed.js'
import { elementCount } from '../io/raw-tensor.js'

/** An array from an IDX file; `data` is row-major. */
export type IdxArray = { readonly shape: readonly number[] } & IdxValues

type IdxValues =
  | { readonly dtype: 'u8'; readonly data: Uint8Array }
  | { readonly dtype: 'i8'; readonly data: Int8Array }
  | { readonly dtype: 'i16'; readonly data: Int16Array }
  | { readonly dtype: 'i32'; readonly data: Int32Array }
  | { readonly dtype: 'f32'; readonly data: Float32Array }
  | { readonly dtype: 'f64'; readonly data: Float64Array }

/**
 * Reads an IDX file, the format of MNIST: two zero bytes, a type byte, the number of axes, each axis' size as a big-endian
 * u32, then the values, big endian. 8-bit values are a view of the file, wider ones a copy.
 *
 * Torch: `torchvision.datasets.mnist.read_sn3_pascalvincent_tensor(path)`. Difference: the file must end with the values.
 *
 * @param path named in error messages
 * @throws FormatError with the byte offset: unknown type, a header cut short, more or fewer values than the sizes say
 *
 * @example
 * const labels = parseIdx(readBytes('t10k-labels-idx1-ubyte'))
 * console.log(labels.dtype, labels.shape, labels.data[0])
 */
export function parseIdx(bytes: Uint8Array, path?: string): IdxArray {
  const fail = malformed('parseIdx', 'idx', path)
  if (bytes.length < 4) {
    throw fail(
      `expected a header of at least 4 bytes, got ${bytes.length}; the file is cut short, copy it again`,
      bytes.length,
    )
  }
  if (bytes[0] !== 0 || bytes[1] !== 0) {
    throw fail(
      'an IDX file begins with two zero bytes, this does not; unpack it or check which file it is',
      bytes[0] === 0 ? 1 : 0,
    )
  }
  const type = types.get(bytes[2] ?? 0)
  if (type === undefined) {
    throw fail(
      `the type byte is ${bytes[2]}, expected 8, 9, 11, 12, 13 or 14; the file is another format or damaged`,
      2,
    )
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const rank = bytes[3] ?? 0
  const start = 4 + 4 * rank
  if (bytes.length < start) {
    throw fail(
      `the file ends after ${bytes.length} bytes, inside the sizes of its ${rank} axes; copy it again`,
      bytes.length,
    )
  }
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis))
  const size = (elementCount(shape) ?? Number.POSITIVE_INFINITY) * type.size
  const found = bytes.length - start
  // Before anything is allocated: the sizes are only claims until the bytes are there.
  if (size !== found) {
    const needed = Number.isSafeInteger(size) ? `${size} bytes` : 'more than 2^53 bytes'
    const remedy = size > found ? 'it is cut short, copy it again' : 'it is damaged or two files in one'
    throw fail(
      `the sizes [${shape.join(', ')}] of ${type.size}-byte values need ${needed}, but ${found} follow; ${remedy}`,
      Math.min(start + size, bytes.length),
    )
  }
  return { shape, ...type.read(bytes.subarray(start)) }
}

/** By the type byte. */
const types: ReadonlyMap<number, { size: number; read: (bytes: Uint8Array) => IdxValues }> = new Map([
  [0x08, { size: 1, read: (bytes) => ({ dtype: 'u8', data: bytes }) }],
  [0x09, { size: 1, read: (bytes) => ({ dtype: 'i8', data: elements(Int8Array, bytes) }) }],
  [0x0b, { size: 2, read: (bytes) => ({ dtype: 'i16', data: elements(Int16Array, swapped(bytes, 2)) }) }],
  [0x0c, { size: 4, read: (bytes) => ({ dtype: 'i32', data: elements(Int32Array, swapped(bytes, 4)) }) }],
  [0x0d, { size: 4, read: (bytes) => ({ dtype: 'f32', data: elements(Float32Array, swapped(bytes, 4)) }) }],
  [0x0e, { size: 8, read: (bytes) => ({ dtype: 'f64', data: elements(Float64Array, swapped(bytes, 8)) }) }],
])
