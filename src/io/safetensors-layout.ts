import { FormatError } from '../tensor/errors.js'
import { isWellFormed } from './header-scanner.js'
import { type Malformed, quoted } from './malformed.js'
import { elementCount, type FileDType, fileDTypeNames, fileDTypeSize } from './raw-tensor.js'
import { type HeaderEntry, parseHeader } from './safetensors-header.js'

/** What the header of a safetensors file says, checked against the rules of the format and the file's length. */
export interface SafetensorsLayout {
  readonly metadata: Record<string, string>
  /** In the order of the header; offsets count from `dataStart`. */
  readonly entries: readonly HeaderEntry[]
  /** Offset in the file of the first byte after the header. */
  readonly dataStart: number
}

/** A tensor that is to be written: only its bytes are missing. */
export interface TensorHead {
  readonly name: string
  readonly dtype: FileDType
  readonly shape: readonly number[]
}

/** Where the tensors of a file that is to be written go. */
export interface WritePlan<T extends TensorHead> {
  /** The first bytes of the file: length, header, padding. */
  readonly head: Uint8Array
  /** In the order of the file; `begin` and `end` count from the end of `head`. */
  readonly tensors: readonly { readonly tensor: T; readonly begin: number; readonly end: number }[]
  /** Of the whole file. */
  readonly byteLength: number
}

/** The limit of the format's own library: a longer header is an attack or not a header. */
const maxHeaderLength = 100_000_000

/** Bytes that say how long the header is. */
export const prefixLength = 8

/** Offset of the first byte after the header, from the first bytes of a file. */
export function headerEnd(prefix: Uint8Array, fileLength: number, fail: Malformed): number {
  if (fileLength < prefixLength) {
    throw fail(
      `expected 8 bytes of header length, got ${fileLength} bytes; the file is cut short or another format`,
      fileLength,
    )
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset, prefixLength).getBigUint64(0, true)
  // Read as a length, what other formats begin with is absurd, so no file of ours is taken for one of theirs.
  const other = length > maxHeaderLength ? otherFormat(prefix) : undefined
  if (other !== undefined) throw fail(other, 0)
  if (length > maxHeaderLength) {
    throw fail(
      `the header length is ${length}, expected at most ${maxHeaderLength}; the file is another format or damaged`,
      0,
    )
  }
  if (length > fileLength - prefixLength) {
    throw fail(
      `the header length is ${length}, but ${fileLength - prefixLength} bytes follow; the file is cut short, copy it again`,
      0,
    )
  }
  return prefixLength + Number(length)
}

const convert = 'load it in Python and write it with safetensors.torch.save_file'

/** What people try first: PyTorch's own files, and what a clone leaves in the place of a large file. */
const otherFormats = [
  { begin: [0x50, 0x4b, 0x03, 0x04], problem: `it is a zip archive, such as torch.save writes; ${convert}` },
  { begin: [0x80, 0x02], problem: `it is a Python pickle, such as torch.save used to write; ${convert}` },
  {
    begin: [...new TextEncoder().encode('version ')],
    problem: 'it is a pointer that Git LFS left in the place of the file; fetch the file with git lfs pull',
  },
]

function otherFormat(prefix: Uint8Array): string | undefined {
  return otherFormats.find(({ begin }) => begin.every((byte, i) => prefix[i] === byte))?.problem
}

/**
 * Reads the header, `head` being the file up to the end that `headerEnd` gave.
 *
 * Throws: `FormatError` with the byte offset for everything that the format forbids.
 */
export function parseLayout(head: Uint8Array, fileLength: number, fail: Malformed): SafetensorsLayout {
  const dataStart = head.length
  const { metadata, entries } = parseHeader(headerText(head, fail), prefixLength, fail)
  checkLayout(entries, fileLength - dataStart, dataStart, fail)
  return { metadata, entries, dataStart }
}

function headerText(head: Uint8Array, fail: Malformed): string {
  if (head.length === prefixLength || head[prefixLength] !== 0x7b) {
    throw fail('the header must begin with "{"; the file is another format or damaged', prefixLength)
  }
  try {
    // Copied because a decoder refuses shared memory.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      new Uint8Array(head.subarray(prefixLength)),
    )
  } catch (cause) {
    throw fail('the header is not UTF-8 text; the file is damaged', prefixLength, cause)
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

/**
 * Lays a file out as the format's Python package does: widest element type first, then by name, header padded with
 * spaces to 8 bytes, so every tensor is aligned.
 *
 * Throws: `FormatError` for a name or metadata that no reader could read back.
 */
export function planSafetensors<T extends TensorHead>(
  tensors: Iterable<T>,
  metadata: Readonly<Record<string, string>>,
): WritePlan<T> {
  checkMetadata(metadata)
  const sorted = [...tensors].sort(
    (a, b) => fileDTypeNames.indexOf(b.dtype) - fileDTypeNames.indexOf(a.dtype) || compareUtf8(a.name, b.name),
  )
  const members: string[] = []
  if (Object.keys(metadata).length > 0) members.push(`"__metadata__":${JSON.stringify(metadata)}`)
  let end = 0
  const placed = sorted.map((tensor) => {
    const { name, dtype, shape } = tensor
    checkName(name)
    const begin = end
    end += (elementCount(shape) ?? 0) * fileDTypeSize(dtype)
    members.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`)
    return { tensor, begin, end }
  })
  const header = new TextEncoder().encode(`{${members.join(',')}}`)
  const head = new Uint8Array(prefixLength + Math.ceil(header.length / 8) * 8)
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - prefixLength), true)
  head.fill(0x20, prefixLength)
  head.set(header, prefixLength)
  return { head, tensors: placed, byteLength: head.length + end }
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
