import { FormatError } from '../tensor/errors.js'
import { isWellFormed } from './header-scanner.js'
import { type Malformed, malformed, quoted } from './malformed.js'
import { checkByteLength, elementCount, fileDTypeNames, fileDTypeSize, type RawTensor } from './raw-tensor.js'
import { type HeaderEntry, parseHeader } from './safetensors-header.js'

/** What a safetensors file holds. */
export interface Safetensors {
  /** The strings under `__metadata__`; empty if there are none. */
  readonly metadata: Record<string, string>
  /** In the order of the header. */
  readonly tensors: Map<string, RawTensor>
}

/** The limit of the format's own library: a longer header is an attack or not a header. */
const maxHeaderLength = 100_000_000

/**
 * Reads a safetensors file: 8 bytes of header length (u64, little endian), a JSON header, the tensors' bytes.
 * Every rule of the format is checked before anything is returned; no tensor is copied.
 *
 * Torch: `safetensors.torch.load(bytes)`, which gives tensors instead of raw bytes and no metadata. Two deliberate
 * differences: sub-byte element types (F4, F6) are refused, and so are fields the format does not know.
 *
 * @param path named in error messages
 * @throws FormatError with the byte offset and the tensor's name: header or data cut short or too long, a header that is
 * not the format's JSON, unknown dtypes, sizes beyond 2^53, offsets that do not match the shape, overlap or leave a hole,
 * a key given twice
 *
 * @example
 * const { metadata, tensors } = parseSafetensors(bytes)
 * for (const [name, raw] of tensors) console.log(name, raw.dtype, raw.shape)
 */
export function parseSafetensors(bytes: Uint8Array, path?: string): Safetensors {
  const fail = malformed('parseSafetensors', 'safetensors', path)
  const dataStart = headerEnd(bytes, fail)
  const { metadata, entries } = parseHeader(headerText(bytes, dataStart, fail), 8, fail)
  checkLayout(entries, bytes.length - dataStart, dataStart, fail)
  const tensors = new Map<string, RawTensor>()
  for (const { name, dtype, shape, begin, end } of entries) {
    const offset = dataStart + begin
    tensors.set(name, { dtype, shape, bytes: bytes.subarray(offset, dataStart + end), origin: { name, offset } })
  }
  return { metadata, tensors }
}

/**
 * The bytes of a safetensors file, equal to those that the format's Python package writes: widest element type first,
 * then by name, header padded with spaces to 8 bytes, so every tensor is aligned.
 *
 * Torch: `safetensors.torch.save(tensors, metadata)`. With several metadata entries Python's order is random, ours is
 * that of the object.
 *
 * @throws FormatError if a name is `__metadata__` or not well-formed Unicode, a metadata value is not a string, or a
 * tensor's bytes are not those of its shape
 *
 * @example
 * const bytes = writeSafetensors(new Map([['bias', encode(Float32Array.of(1, 2), 'f32', [2])]]), { format: 'pt' })
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, RawTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  checkMetadata(metadata)
  const sorted = [...tensors].sort(
    ([name, raw], [otherName, other]) =>
      fileDTypeNames.indexOf(other.dtype) - fileDTypeNames.indexOf(raw.dtype) || compareUtf8(name, otherName),
  )
  const members: string[] = []
  if (Object.keys(metadata).length > 0) members.push(`"__metadata__":${JSON.stringify(metadata)}`)
  let end = 0
  for (const [name, raw] of sorted) {
    checkName(name)
    checkByteLength({ ...raw, origin: { name, offset: end } }, 'writeSafetensors')
    const begin = end
    end += raw.bytes.length
    const entry = JSON.stringify({ dtype: raw.dtype, shape: raw.shape, data_offsets: [begin, end] })
    members.push(`${JSON.stringify(name)}:${entry}`)
  }
  const header = new TextEncoder().encode(`{${members.join(',')}}`)
  const dataStart = 8 + Math.ceil(header.length / 8) * 8
  const out = new Uint8Array(dataStart + end)
  new DataView(out.buffer).setBigUint64(0, BigInt(dataStart - 8), true)
  out.set(header, 8)
  out.fill(0x20, 8 + header.length, dataStart)
  let offset = dataStart
  for (const [, raw] of sorted) {
    out.set(raw.bytes, offset)
    offset += raw.bytes.length
  }
  return out
}

/** Offset of the first byte after the header. */
function headerEnd(bytes: Uint8Array, fail: Malformed): number {
  if (bytes.length < 8) {
    throw fail(
      `expected 8 bytes of header length, got ${bytes.length} bytes; the file is cut short or another format`,
      bytes.length,
    )
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true)
  if (length > maxHeaderLength) {
    throw fail(
      `the header length is ${length}, expected at most ${maxHeaderLength}; the file is another format or damaged`,
      0,
    )
  }
  if (length > bytes.length - 8) {
    throw fail(
      `the header length is ${length}, but ${bytes.length - 8} bytes follow; the file is cut short, copy it again`,
      0,
    )
  }
  return 8 + Number(length)
}

function headerText(bytes: Uint8Array, dataStart: number, fail: Malformed): string {
  if (dataStart === 8 || bytes[8] !== 0x7b) {
    throw fail('the header must begin with "{"; the file is another format or damaged', 8)
  }
  try {
    // Copied because a decoder refuses shared memory.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      new Uint8Array(bytes.subarray(8, dataStart)),
    )
  } catch (cause) {
    throw fail('the header is not UTF-8 text; the file is damaged', 8, cause)
  }
}

/** Each tensor has the bytes its shape needs, and together they cover the data once, from the first byte to the last. */
function checkLayout(entries: readonly HeaderEntry[], dataLength: number, dataStart: number, fail: Malformed): void {
  for (const { name, where, dtype, shape, begin, end } of entries) {
    const count = elementCount(shape)
    const what = `tensor ${quoted(name)}`
    if (count === undefined || !Number.isSafeInteger(count * fileDTypeSize(dtype))) {
      throw fail(`${what} has more than 2^53 bytes by its shape [${shape.join(', ')}]; the header is damaged`, where())
    }
    const size = count * fileDTypeSize(dtype)
    if (begin > end || end - begin !== size) {
      throw fail(
        `${what}, ${dtype} [${shape.join(', ')}], needs ${size} bytes, but its offsets are ${begin} to ${end}; the header is damaged`,
        where(),
      )
    }
    if (end > dataLength) {
      throw fail(
        `${what} ends at byte ${end} of the data, but there are ${dataLength}; the file is cut short, copy it again`,
        where(),
      )
    }
  }
  let covered = 0
  for (const { name, where, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin !== covered) {
      throw fail(
        `tensor ${quoted(name)} begins at byte ${begin} of the data, expected ${covered}, where the one before it ends; the header is damaged`,
        where(),
      )
    }
    covered = end
  }
  if (covered !== dataLength) {
    const end = dataStart + covered
    throw fail(
      `the last tensor ends at byte ${end}, the file at ${dataStart + dataLength}; it is damaged or two files in one`,
      end,
    )
  }
}

function checkName(name: string): void {
  if (name === '__metadata__' || !isWellFormed(name)) {
    throw new FormatError(`writeSafetensors: ${quoted(name)} cannot be the name of a tensor; rename it`, {
      op: 'writeSafetensors',
      path: name,
    })
  }
}

function checkMetadata(metadata: Readonly<Record<string, unknown>>): void {
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value === 'string' && isWellFormed(value) && isWellFormed(key)) continue
    throw new FormatError(
      `writeSafetensors: metadata ${quoted(key)} must be well-formed text, got ${typeof value}; convert it with JSON.stringify`,
      { op: 'writeSafetensors', path: key },
    )
  }
}

/** The order of the names' UTF-8 bytes, which is that of their code points but not of JavaScript's strings. */
function compareUtf8(a: string, b: string): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    if (a.charAt(i) !== b.charAt(i)) {
      // Two strings first differ inside or before a surrogate pair; either way the code points there decide.
      return (a.codePointAt(i) ?? 0) - (b.codePointAt(i) ?? 0)
    }
  }
  return a.length - b.length
}
