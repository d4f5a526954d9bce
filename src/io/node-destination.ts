import { randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, openSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { reason, refused, systemCode, writeProblem } from './node-problems.js'

/** Where a file that is written goes. */
export interface Destination {
  /** The path asked for, links followed. */
  readonly target: string
  readonly directory: string
  /** A new name in the same directory, for the file while it is not whole. */
  readonly temporary: string
  /** Permissions of the file that is there; undefined when there is none. */
  readonly mode: number | undefined
}

/**
 * Where the bytes of `path` go: through links, and with the permissions of what is there.
 *
 * @throws FormatError if it is no file, or cannot be looked at
 */
export function destinationOf(op: string, path: string): Destination {
  const { target, mode } = existing(op, path)
  const directory = dirname(target)
  const temporary = join(directory, `.${basename(target).slice(0, 100)}.${randomBytes(6).toString('hex')}.tmp`)
  return { target, directory, temporary, mode }
}

function existing(op: string, path: string): { target: string; mode: number | undefined } {
  let stat: ReturnType<typeof statSync>
  try {
    stat = statSync(path)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return { target: path, mode: undefined }
    throw refused(op, path, `it could not be written: ${writeProblem(error, dirname(path))}`, error)
  }
  if (!stat.isFile()) {
    const found = stat.isDirectory() ? 'a directory' : 'a device or pipe'
    throw refused(op, path, `it is ${found}, expected a file's path; choose another name`)
  }
  return { target: realpathSync(path), mode: stat.mode & 0o7777 }
}

/** Makes the new name itself survive a power failure. Windows and some network disks cannot and need not do it. */
export function flushDirectory(op: string, directory: string, path: string): void {
  let handle: number | undefined
  try {
    handle = openSync(directory, 'r')
    fsyncSync(handle)
  } catch (error) {
    if (['EISDIR', 'EPERM', 'EACCES', 'EINVAL', 'ENOTSUP', 'EBADF'].includes(systemCode(error))) return
    const problem = `it is written, but its directory could not be flushed to the disk (${reason(error)}); check the disk`
    throw refused(op, path, problem, error)
  } finally {
    if (handle !== undefined) closeSync(handle)
  }
}
