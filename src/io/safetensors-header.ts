import { HeaderScanner } from './header-scanner.js'
import { type Malformed, quoted } from './malformed.js'
import { type FileDType, fileDTypeNames, isFileDType } from './raw-tensor.js'

/** One tensor as the header describes it; offsets count from the end of the header. */
export interface HeaderEntry {
  readonly name: string
  /** Offset in the file of the entry's name, for error messages. */
  readonly where: () => number
  readonly dtype: FileDType
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

export interface Header {
  readonly metadata: Record<string, string>
  readonly entries: readonly HeaderEntry[]
}

/**
 * Reads `{"__metadata__": {"key": "value", …}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …}`.
 * Not JSON.parse: that keeps the last of two equal keys and cannot say where it stopped.
 */
export function parseHeader(text: string, firstByte: number, malformed: Malformed): Header {
  const scanner = new HeaderScanner(text, firstByte, malformed)
  const metadata = new Map<string, string>()
  const entries = new Map<string, HeaderEntry>()
  let hasMetadata = false
  readObject(scanner, 'the header', (name, position) => {
    if (name === '__metadata__') {
      if (hasMetadata) throw repeated(scanner, name, 'the header', position)
      hasMetadata = true
      readObject(scanner, '"__metadata__"', (key, keyPosition) => {
        if (metadata.has(key)) throw repeated(scanner, key, '"__metadata__"', keyPosition)
        metadata.set(key, scanner.jsonString())
      })
      return
    }
    if (entries.has(name)) throw repeated(scanner, name, 'the header', position)
    entries.set(name, readEntry(scanner, name, position))
  })
  scanner.expectEnd()
  return { metadata: Object.fromEntries(metadata), entries: [...entries.values()] }
}

function readEntry(scanner: HeaderScanner, name: string, position: number): HeaderEntry {
  const label = `tensor ${quoted(name)}`
  let dtype: FileDType | undefined
  let shape: number[] | undefined
  let offsets: number[] | undefined
  readObject(scanner, label, (field, fieldPosition) => {
    if (field === 'dtype') {
      if (dtype !== undefined) throw repeated(scanner, field, label, fieldPosition)
      dtype = readDType(scanner, label)
    } else if (field === 'shape') {
      if (shape !== undefined) throw repeated(scanner, field, label, fieldPosition)
      shape = readIntegers(scanner)
    } else if (field === 'data_offsets') {
      if (offsets !== undefined) throw repeated(scanner, field, label, fieldPosition)
      offsets = readIntegers(scanner)
    } else {
      throw scanner.error(
        `${label} has a field ${quoted(field)}, expected only dtype, shape and data_offsets; write the file again without it`,
        fieldPosition,
      )
    }
  })
  const [begin, end, ...more] = offsets ?? []
  if (dtype === undefined || shape === undefined || begin === undefined || end === undefined || more.length > 0) {
    throw scanner.error(`${label} needs a dtype, a shape and two data_offsets; the header is damaged`, position)
  }
  return { name, where: () => scanner.error('', position).offset ?? 0, dtype, shape, begin, end }
}

function readDType(scanner: HeaderScanner, label: string): FileDType {
  scanner.skipSpaces()
  const start = scanner.position
  const dtype = scanner.jsonString()
  if (isFileDType(dtype)) return dtype
  throw scanner.error(
    `${label} has dtype ${quoted(dtype)}, expected one of ${fileDTypeNames.join(' ')}; write the file again with one of these`,
    start,
  )
}

/** Calls `member` on each key, standing before its value. */
function readObject(scanner: HeaderScanner, label: string, member: (key: string, position: number) => void): void {
  if (!scanner.take('{')) throw scanner.expected(`${label} to be an object, "{"`)
  if (scanner.take('}')) return
  do {
    scanner.skipSpaces()
    const position = scanner.position
    const key = scanner.jsonString()
    scanner.expect(':')
    member(key, position)
  } while (scanner.take(','))
  scanner.expect('}')
}

function readIntegers(scanner: HeaderScanner): number[] {
  scanner.expect('[')
  const values: number[] = []
  if (scanner.take(']')) return values
  do values.push(scanner.integer())
  while (scanner.take(','))
  scanner.expect(']')
  return values
}

function repeated(scanner: HeaderScanner, key: string, label: string, position: number) {
  return scanner.error(`${label} has the key ${quoted(key)} twice; write the file again with each key once`, position)
}
