import { closeSync, fstatSync, openSync, read, readdirSync, readFileSync, readSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { FormatError, ShapeError } from '../../shapes/errors.js'
import { malformed, quoted } from '../malformed.js'
import { requireInPlace } from './in-place.js'
import { readProblem, refused } from '../node-problems.js'
import { headerEnd, parseLayout, prefixLength, type SafetensorsLayout } from '../safetensors-layout.js'
import type { FileTensor, ModelLayout } from './model-layout.js'
import { indexSuffix, parseShardIndex } from './shard-index.js'

const readInto = promisify(read)
const op = 'openModel'
/** One system call moves at most 2 GiB. */
const pieceBytes = 2 ** 28
const mostIndexBytes = 2 ** 28

interface OpenFile {
  readonly path: string
  readonly descriptor: number
  readonly byteLength: number
  readonly changed: number
  readonly layout: SafetensorsLayout
}

/** A model in files: its headers are read, its tensors stay where they are until they are asked for. */
export class ModelFiles implements ModelLayout {
  readonly metadata: Readonly<Record<string, string>>
  readonly tensors: ReadonlyMap<string, FileTensor>
  readonly files: readonly string[]
  readonly index?: string
  /** Of all files. */
  readonly byteLength: number
  readonly #open: readonly OpenFile[]

  private constructor(
    readonly path: string,
    open: readonly OpenFile[],
    shards?: {
      readonly index: string
      readonly names: readonly string[]
      readonly fileOf: ReadonlyMap<string, string>
    },
  ) {
    this.#open = open
    this.metadata = open[0]?.layout.metadata ?? {}
    this.byteLength = open.reduce((sum, { byteLength }) => sum + byteLength, 0)
    this.files = shards?.names ?? open.map((file) => file.path)
    if (shards) this.index = shards.index
    this.tensors = new Map(open.flatMap(({ layout }, file) => tensorsIn(layout, file)).map((one) => [one.name, one]))
  }

  /**
   * Opens `path`: a `.safetensors` file, the `.safetensors.index.json` of a sharded model, or a directory that holds one
   * of these. Reads nothing but headers.
   *
   * Throws: `FormatError` when a file is missing, unreadable or damaged; `ShapeError` when index and files disagree.
   */
  static open(path: string): ModelFiles {
    const file = fileOfModel(path)
    if (!file.endsWith(indexSuffix)) return new ModelFiles(path, [openFile(file)])
    const fileOf = parseShardIndex(readText(file), file)
    const names = [...new Set(fileOf.values())].sort()
    const open: OpenFile[] = []
    try {
      for (const name of names) open.push(openFile(join(dirname(file), name)))
      requireIndexed(file, names, open, fileOf)
      return new ModelFiles(path, open, { index: file, names, fileOf })
    } catch (error) {
      for (const { descriptor } of open) closeSync(descriptor)
      throw error
    }
  }

  /** Fills `bytes` from `position` of one of the files. */
  async read(file: number, bytes: Uint8Array, position: number): Promise<void> {
    const { descriptor, path } = this.#file(file)
    const { length } = bytes
    for (let filled = 0; filled < length; ) {
      const piece = Math.min(length - filled, pieceBytes)
      let count: number
      try {
        count = (await readInto(descriptor, bytes, filled, piece, position + filled)).bytesRead
      } catch (error) {
        throw refused(op, path, readProblem(error), error)
      }
      requireInPlace(op, bytes, length)
      if (count === 0) throw refused(op, path, 'it became shorter while it was read; wait for its writer to finish')
      filled += count
    }
  }

  /** Throws: `FormatError` when a file was written since it was opened, so that what was read of it may be a mixture. */
  requireUnchanged(): void {
    for (const { descriptor, path, byteLength, changed } of this.#open) {
      const { size, mtimeMs } = fstatSync(descriptor)
      if (size === byteLength && mtimeMs === changed) continue
      throw refused(op, path, 'it was written while it was read; wait for its writer to finish, then start again')
    }
  }

  close(): void {
    for (const { descriptor } of this.#open) closeSync(descriptor)
  }

  #file(file: number): OpenFile {
    const open = this.#open[file]
    if (open) return open
    throw new FormatError(`${this.path}: it has no file ${file}; ask for one of its ${this.#open.length}.`, { op })
  }
}

const tensorsIn = ({ entries, dataStart }: SafetensorsLayout, file: number): FileTensor[] =>
  entries.map(({ name, dtype, shape, begin, end }) => {
    return { name, dtype, shape, file, offset: dataStart + begin, byteLength: end - begin }
  })

/** The file that a path stands for: itself, or the only model in a directory. */
function fileOfModel(path: string): string {
  if (!statOf(path).isDirectory()) return path
  const names = readdirSync(path).sort()
  for (const suffix of [indexSuffix, '.safetensors']) {
    const found = names.filter((name) => name.endsWith(suffix) && !name.startsWith('.'))
    const [only] = found
    if (only !== undefined && found.length === 1) return join(path, only)
    if (found.length > 1)
      throw refused(op, path, `the directory holds several models (${found.slice(0, 4).join(', ')}…); name one of them`)
  }
  throw refused(op, path, 'the directory holds no .safetensors file; name one that does')
}

function statOf(path: string) {
  try {
    return statSync(path)
  } catch (error) {
    throw refused(op, path, readProblem(error), error)
  }
}

function readText(path: string): string {
  const { size } = statOf(path)
  if (size > mostIndexBytes)
    throw refused(op, path, `it has ${size} bytes, expected at most ${mostIndexBytes} of an index; it is another file`)
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw refused(op, path, readProblem(error), error)
  }
}

function openFile(path: string): OpenFile {
  // Looked at before it is opened: opening a pipe would wait for its other end.
  if (!statOf(path).isFile())
    throw refused(op, path, 'it is a device or pipe, expected a file; copy it to a file first')
  let descriptor: number
  try {
    descriptor = openSync(path, 'r')
  } catch (error) {
    throw refused(op, path, readProblem(error), error)
  }
  try {
    const { size, mtimeMs } = fstatSync(descriptor)
    const fail = malformed(op, 'safetensors', path)
    const prefix = readStart(descriptor, Math.min(prefixLength, size), path)
    const layout = parseLayout(readStart(descriptor, headerEnd(prefix, size, fail), path), size, fail)
    return { path, descriptor, byteLength: size, changed: mtimeMs, layout }
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

function readStart(descriptor: number, length: number, path: string): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let filled = 0; filled < length; ) {
    const count = readSync(descriptor, bytes, filled, length - filled, filled)
    if (count === 0) throw refused(op, path, 'it became shorter while it was read; wait for its writer to finish')
    filled += count
  }
  return bytes
}

/** The index must say of every tensor in which file it is, and be right. */
function requireIndexed(
  index: string,
  names: readonly string[],
  open: readonly OpenFile[],
  fileOf: ReadonlyMap<string, string>,
): void {
  const problems: string[] = []
  const found = new Set<string>()
  names.forEach((file, i) => {
    for (const { name } of open[i]?.layout.entries ?? []) {
      if (fileOf.get(name) === file) found.add(name)
      else if (!fileOf.has(name)) problems.push(`${file} has ${quoted(name)}, which the index does not know`)
      else problems.push(`${file} has ${quoted(name)}, which the index says is in ${fileOf.get(name)}`)
    }
  })
  for (const [name, file] of fileOf) if (!found.has(name)) problems.push(`${file} has no ${quoted(name)}`)
  if (problems.length === 0) return
  const more = problems.length > 20 ? `\n  and ${problems.length - 20} more` : ''
  const list = problems.slice(0, 20).join('\n  ')
  throw new ShapeError(`${index}: the index and its files disagree; fetch the model again:\n  ${list}${more}`, {
    op,
    path: index,
  })
}
