import { closeSync, fchmodSync, fdatasync, fsync, openSync, renameSync, rmSync, statfsSync, write } from 'node:fs'
import { promisify } from 'node:util'
import { DeviceError, FormatError } from '../../shapes/errors.js'
import { type Destination, destinationOf, flushDirectory } from '../node-destination.js'
import { refused, writeProblem } from '../node-problems.js'
import { requireInPlace } from './in-place.js'

const writeFrom = promisify(write)
const flush = promisify(fsync)
const flushData = promisify(fdatasync)
const op = 'writeModel'
/** One system call moves at most 2 GiB. */
const pieceBytes = 2 ** 28
/** What is written is sent on to the disk in portions of this size while the next is made. */
const portionBytes = 2 ** 26

interface OpenOutput extends Destination {
  readonly path: string
  readonly descriptor: number
  /** Bytes not yet sent on to the disk. */
  waiting: number
  flushing: Promise<void> | undefined
}

/**
 * Files that come into being together: until `commit` they have temporary names beside their destinations, and `discard`
 * leaves nothing behind. A reader, or a crash at any moment, finds each previous file or the new one, whole; a reader of
 * an input that is replaced goes on reading the previous one.
 */
export class OutputFiles {
  readonly #open: OpenOutput[] = []

  /**
   * Makes room for files of these lengths.
   *
   * Throws: `FormatError` when a path cannot be written, or the disk has no space for all of them.
   */
  static create(files: readonly { readonly path: string; readonly byteLength: number }[]): OutputFiles {
    const output = new OutputFiles()
    try {
      for (const { path } of files) output.#open.push(openOutput(path))
      output.#requireSpace(files.reduce((sum, { byteLength }) => sum + byteLength, 0))
      return output
    } catch (error) {
      void output.discard()
      throw error
    }
  }

  async write(file: number, bytes: Uint8Array, position: number): Promise<void> {
    const output = this.#open[file]
    if (!output) throw new FormatError(`there is no output ${file}; write to one of ${this.#open.length}.`, { op })
    const { descriptor } = output
    const { length } = bytes
    try {
      for (let written = 0; written < length; ) {
        const piece = Math.min(length - written, pieceBytes)
        written += (await writeFrom(descriptor, bytes, written, piece, position + written)).bytesWritten
        if (written < length) requireInPlace(op, bytes, length)
      }
    } catch (error) {
      throw error instanceof DeviceError ? error : notWritten(output, error)
    }
    output.waiting += length
    if (output.waiting >= portionBytes && !output.flushing) {
      output.waiting = 0
      // Its failure, if any, is found by the flush of `commit`.
      output.flushing = flushData(descriptor)
        .catch(() => undefined)
        .then(() => {
          output.flushing = undefined
        })
    }
  }

  /** Flushes the files to the disk and gives them their names, in their order, unless the signal aborts before. */
  async commit(signal?: AbortSignal): Promise<void> {
    for (const output of this.#open) {
      try {
        await output.flushing
        await flush(output.descriptor)
      } catch (error) {
        throw notWritten(output, error)
      }
    }
    signal?.throwIfAborted()
    for (const output of this.#open) {
      try {
        renameSync(output.temporary, output.target)
      } catch (error) {
        throw notWritten(output, error)
      }
    }
    const outputs = this.#open.splice(0)
    for (const { descriptor } of outputs) closeSync(descriptor)
    for (const directory of new Set(outputs.map((one) => one.directory))) flushDirectory(op, directory, directory)
  }

  /** Removes what is not committed; nothing when all is. */
  async discard(): Promise<void> {
    const outputs = this.#open.splice(0)
    for (const { temporary } of outputs) rmSync(temporary, { force: true })
    // A descriptor is closed only when nothing uses it any more: its number may be given to another file at once.
    for (const { flushing, descriptor } of outputs) {
      await flushing
      closeSync(descriptor)
    }
  }

  #requireSpace(needed: number): void {
    const [first] = this.#open
    if (!first) return
    const free = freeBytes(first.directory)
    if (free === undefined || needed <= free) return
    const [need, room] = [needed, free].map((bytes) => bytes.toLocaleString('en-US'))
    const problem = `${need} bytes are needed, and ${room} are free in ${first.directory}; free some or choose another disk`
    throw refused(op, first.path, problem)
  }
}

function openOutput(path: string): OpenOutput {
  const destination = destinationOf(op, path)
  try {
    const descriptor = openSync(destination.temporary, 'wx')
    if (destination.mode !== undefined) fchmodSync(descriptor, destination.mode)
    return { ...destination, path, descriptor, waiting: 0, flushing: undefined }
  } catch (error) {
    rmSync(destination.temporary, { force: true })
    throw notWritten({ ...destination, path }, error)
  }
}

function notWritten({ path, directory }: { path: string; directory: string }, error: unknown): FormatError {
  return refused(op, path, `it could not be written: ${writeProblem(error, directory)}`, error)
}

/** Undefined where the system does not say. */
function freeBytes(directory: string): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(directory)
    return bavail * bsize
  } catch {
    return undefined
  }
}
