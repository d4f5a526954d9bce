import {
  closeSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { FormatError } from '../tensor/errors.js'
import { destinationOf, flushDirectory } from './node-destination.js'
import { readProblem, reason, refused, systemCode, writeProblem } from './node-problems.js'

/** Nothing larger fits a device's memory. */
const maxFileBytes = 2 ** 32

/** One system call moves at most 2 GiB; smaller pieces cost nothing. */
const pieceBytes = 2 ** 28

/**
 * A whole file's bytes, unpacked if it is gzip by its first bytes.
 *
 * @param limit most bytes the file may have, packed or not; beyond it nothing is unpacked
 * @throws FormatError with the path if the file is missing, a directory, not readable, larger than `limit`, called `.gz`
 * without being gzip, or damaged gzip
 *
 * @example
 * const { tensors } = parseSafetensors(readBytes('teacher.safetensors'), 'teacher.safetensors')
 */
export function readBytes(path: string, limit: number = maxFileBytes): Uint8Array {
  const bytes = readWhole(path, limit)
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return unpacked(bytes, path, limit)
  if (path.endsWith('.gz')) {
    throw refused(
      'readBytes',
      path,
      'its name ends in .gz, but it is not gzip; rename it without .gz or download it again',
    )
  }
  return bytes
}

/**
 * Writes a file so that a reader, or a crash at any moment, finds either the previous file or the new one, whole: a
 * temporary file in the same directory, flushed to the disk, then renamed over `path`. A symbolic link is followed; an
 * existing file keeps its permissions.
 *
 * @throws FormatError with the path; the previous file is then untouched and the temporary one removed
 *
 * @example
 * writeFileAtomic('teacher.safetensors', writeSafetensors(tensors))
 */
export function writeFileAtomic(path: string, bytes: Uint8Array): void {
  const { target, directory, temporary, mode } = destinationOf('writeFileAtomic', path)
  try {
    writeFlushed(temporary, bytes, mode)
    renameSync(temporary, target)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw refused('writeFileAtomic', path, `it could not be written: ${writeProblem(error, directory)}`, error)
  }
  flushDirectory('writeFileAtomic', directory, path)
}

function readWhole(path: string, limit: number): Uint8Array {
  let file: number | undefined
  try {
    // Looked at before it is opened: opening a pipe would wait for its other end.
    const stat = statSync(path)
    if (stat.isDirectory()) throw refused('readBytes', path, 'it is a directory, expected a file; name a file in it')
    if (!stat.isFile())
      throw refused('readBytes', path, 'it is a device or pipe, expected a file; copy it to a file first')
    file = openSync(path, 'r')
    return readOpen(file, path, limit)
  } catch (error) {
    if (error instanceof FormatError) throw error
    throw refused('readBytes', path, readProblem(error), error)
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

function readOpen(file: number, path: string, limit: number): Uint8Array {
  const { size } = fstatSync(file)
  if (size > limit) {
    throw refused(
      'readBytes',
      path,
      `it has ${size} bytes, expected at most ${limit}; it is another file or must be split`,
    )
  }
  const bytes = new Uint8Array(size)
  for (let filled = 0; filled < size; ) {
    const count = readSync(file, bytes, filled, Math.min(size - filled, pieceBytes), filled)
    if (count === 0)
      throw refused('readBytes', path, 'it became shorter while it was read; wait for its writer to finish')
    filled += count
  }
  return bytes
}

function unpacked(bytes: Uint8Array, path: string, limit: number): Uint8Array {
  try {
    const out = gunzipSync(bytes, { maxOutputLength: limit })
    return new Uint8Array(out.buffer, out.byteOffset, out.byteLength)
  } catch (error) {
    const problem =
      systemCode(error) === 'ERR_BUFFER_TOO_LARGE'
        ? `it unpacks to more than the ${limit} bytes allowed; unpack it yourself if it is what you expect`
        : `its gzip data is damaged or cut short (${reason(error)}); download it again`
    throw refused('readBytes', path, problem, error)
  }
}

function writeFlushed(path: string, bytes: Uint8Array, mode: number | undefined): void {
  const file = openSync(path, 'wx')
  try {
    if (mode !== undefined) fchmodSync(file, mode)
    for (let written = 0; written < bytes.length; ) {
      written += writeSync(file, bytes, written, Math.min(bytes.length - written, pieceBytes))
    }
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
