import { FormatError } from '../tensor/errors.js'

/** Why a file could not be read, and what to do. */
export function readProblem(error: unknown): string {
  switch (systemCode(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'there is no such file; check the path'
    case 'EACCES':
    case 'EPERM':
      return 'there is no permission to read it; change its permissions or copy it'
    default:
      return `it could not be read (${reason(error)}); check the path and the disk`
  }
}

/** Why nothing could be written in a directory, and what to do. */
export function writeProblem(error: unknown, directory: string): string {
  switch (systemCode(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return `the directory ${directory} does not exist; create it first`
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return `there is no permission to write in ${directory}; change its permissions or choose another directory`
    case 'ENOSPC':
    case 'EDQUOT':
      return `there is no space left in ${directory}; free some or choose another disk`
    default:
      return `${reason(error)}; check the path and the disk`
  }
}

/** The error of a function `op` that reads or writes the file at `path`. */
export function refused(op: string, path: string, problem: string, cause?: unknown): FormatError {
  return new FormatError(`${path}: ${problem}`, { op, path, ...(cause === undefined ? {} : { cause }) })
}

/** `ENOENT` and its like; empty for other errors. */
export function systemCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
