import { FormatError } from '../tensor/errors.js'
import { swapped } from './elements.js'
import { HeaderScanner } from './header-scanner.js'
import { type Malformed, malformed, quoted } from './malformed.js'
import { checkByteLength, elementCount, type FileDType, fileDTypeSize, type RawTensor } from './raw-tensor.js'

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59] // \x93NUMPY

const descriptors: ReadonlyMap<string, FileDType> = new Map([
  ['f8', 'F64'],
  ['f4', 'F32'],
  ['f2', 'F16'],
  ['i8', 'I64'],
  ['i4', 'I32'],
  ['i2', 'I16'],
  ['i1', 'I8'],
  ['u8', 'U64'],
  ['u4', 'U32'],
  ['u2', 'U16'],
  ['u1', 'U8'],
  ['b1', 'BOOL'],
])

/**
 * Reads a NumPy `.npy` file, versions 1 and 2, of floats, integers or booleans; big-endian values are swapped, others
 * are a view of the file.
 *
 * Torch: `torch.from_numpy(numpy.load(path))`. Differences: column-major arrays, structured, complex and text types are
 * refused, and so are bytes after the array.
 *
 * @param path named in error messages
 * @throws FormatError with the byte offset
 *
 * @example
 * const raw = parseNpy(bytes)
 * console.log(raw.shape, decode(raw, 'f32'))
 */
export function parseNpy(bytes: Uint8Array, path?: string): RawTensor {
  const fail = malformed('parseNpy', 'npy', path)
  const { start, end } = headerRange(bytes, fail)
  // Latin-1 by definition in versions 1 and 2; the headers accepted here are ASCII, one character a byte either way.
  const text = new TextDecoder('latin1').decode(new Uint8Array(bytes.subarray(start, end)))
  const { descr, shape } = readHeader(new HeaderScanner(text, start, fail), (problem) => fail(problem, start))
  const dtype = descriptors.get(descr.slice(1))
  if (dtype === undefined || !'<>|='.includes(descr.charAt(0))) {
    throw fail(
      `the array's dtype is ${quoted(descr)}, expected f2 f4 f8, i1 to i8, u1 to u8 or b1; convert it with array.astype('<f4')`,
      start,
    )
  }
  const size = (elementCount(shape) ?? Number.NaN) * fileDTypeSize(dtype)
  if (bytes.length - end !== size) {
    const needed = Number.isSafeInteger(size) ? `${size} bytes` : 'more than 2^53 bytes'
    throw fail(
      `the array is ${descr} [${shape.join(', ')}], ${needed}, but ${bytes.length - end} follow the header; copy the file again`,
      size < bytes.length - end ? end + size : bytes.length,
    )
  }
  const data = bytes.subarray(end)
  return {
    dtype,
    shape,
    bytes: descr.startsWith('>') ? swapped(data, fileDTypeSize(dtype)) : data,
    origin: { name: path ?? 'array', offset: end },
  }
}

/**
 * The bytes of a `.npy` file, equal to those `numpy.save` writes: row-major, little endian, version 1 (2 if the header
 * needs it), data aligned to 64 bytes.
 *
 * @throws FormatError if NumPy has no such element type (BF16, 8-bit floats) or the bytes are not those of the shape
 *
 * @example
 * const bytes = writeNpy(encode(Float32Array.of(1, 2, 3, 4), 'f32', [2, 2]))
 */
export function writeNpy(raw: RawTensor): Uint8Array {
  checkByteLength(raw, 'writeNpy')
  const code = [...descriptors].find(([, dtype]) => dtype === raw.dtype)?.[0]
  if (code === undefined) {
    throw new FormatError(`writeNpy: NumPy has no type for ${raw.dtype}; decode it as f32 and encode that`, {
      op: 'writeNpy',
    })
  }
  const sizes = raw.shape.length === 1 ? `${raw.shape[0]},` : raw.shape.join(', ')
  const order = code.endsWith('1') ? '|' : '<'
  const dictionary = `{'descr': '${order}${code}', 'fortran_order': False, 'shape': (${sizes}), }`
  // NumPy leaves room for the first axis to grow to 21 digits in place.
  const growth = raw.shape.length === 0 ? 0 : Math.max(0, 21 - String(raw.shape[0]).length)
  const unpadded = dictionary.length + growth + 1
  const prefix = paddedTo64(10 + unpadded) - 10 > 0xffff ? 12 : 10
  const end = paddedTo64(prefix + unpadded)
  const out = new Uint8Array(end + raw.bytes.length)
  out.fill(0x20, prefix, end)
  out.set(magic)
  out[6] = prefix === 10 ? 1 : 2
  const view = new DataView(out.buffer)
  if (prefix === 10) view.setUint16(8, end - prefix, true)
  else view.setUint32(8, end - prefix, true)
  out.set(new TextEncoder().encode(dictionary), prefix)
  out[end - 1] = 0x0a
  out.set(raw.bytes, end)
  return out
}

/** NumPy always pads, by 64 when the length already fits. */
function paddedTo64(length: number): number {
  return (Math.floor(length / 64) + 1) * 64
}

function headerRange(bytes: Uint8Array, fail: Malformed): { start: number; end: number } {
  const wrong = magic.findIndex((byte, i) => bytes[i] !== byte)
  if (wrong >= 0) {
    throw fail(
      'a .npy file begins with \\x93NUMPY, this does not; write it with numpy.save (an .npz is a zip of them)',
      wrong,
    )
  }
  const version = bytes[6]
  if (bytes.length < 12)
    throw fail(`the file ends after ${bytes.length} bytes, inside its header; copy it again`, bytes.length)
  if (version !== 1 && version !== 2) {
    throw fail(
      `the file has version ${version}.${bytes[7]}, expected 1.0 or 2.0; only structured arrays need others`,
      6,
    )
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const start = version === 1 ? 10 : 12
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true)
  if (length > bytes.length - start) {
    throw fail(
      `the header length is ${length}, but ${bytes.length - start} bytes follow; the file is cut short, copy it again`,
      8,
    )
  }
  return { start, end: start + length }
}

/** Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, in any order. */
function readHeader(
  scanner: HeaderScanner,
  fail: (problem: string) => FormatError,
): { descr: string; shape: number[] } {
  let descr: string | undefined
  let fortran: boolean | undefined
  let shape: number[] | undefined
  scanner.expect('{')
  while (!scanner.take('}')) {
    const key = scanner.pythonString()
    scanner.expect(':')
    if (key === 'descr' && descr === undefined) descr = readDescr(scanner)
    else if (key === 'fortran_order' && fortran === undefined) fortran = readBoolean(scanner)
    else if (key === 'shape' && shape === undefined) shape = readTuple(scanner)
    else throw fail(`the header has an unknown or repeated key ${quoted(key)}; write the file again with numpy.save`)
    if (!scanner.take(',')) {
      scanner.expect('}')
      break
    }
  }
  scanner.expectEnd()
  if (descr === undefined || fortran === undefined || shape === undefined) {
    throw fail('the header needs descr, fortran_order and shape; write the file again with numpy.save')
  }
  if (fortran) {
    throw fail('the array is stored column by column (fortran_order); write numpy.ascontiguousarray(array) instead')
  }
  return { descr, shape }
}

function readDescr(scanner: HeaderScanner): string {
  scanner.skipSpaces()
  if (scanner.take('[')) {
    throw scanner.error('the array is structured, expected plain numbers; save each field as an array of its own')
  }
  return scanner.pythonString()
}

function readBoolean(scanner: HeaderScanner): boolean {
  if (scanner.take('True')) return true
  if (scanner.take('False')) return false
  throw scanner.expected('True or False')
}

function readTuple(scanner: HeaderScanner): number[] {
  const values: number[] = []
  scanner.expect('(')
  while (!scanner.take(')')) {
    values.push(scanner.integer())
    scanner.take('L') // Python 2 wrote long integers so
    if (!scanner.take(',')) {
      scanner.expect(')')
      break
    }
  }
  return values
}
