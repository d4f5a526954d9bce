import { FormatError } from '../tensor/errors.js'

/** Builds the error of a reader: `problem` says what was expected, what came and the remedy; `offset` is in bytes. */
export type Malformed = (problem: string, offset: number, cause?: unknown) => FormatError

/** The errors of one reader `op`; messages begin with the file's path, or with the format's name when it has none. */
export function malformed(op: string, format: string, path: string | undefined): Malformed {
  return (problem, offset, cause) =>
    new FormatError(`${path ?? format}: ${problem}`, {
      op,
      offset,
      ...(path === undefined ? {} : { path }),
      ...(cause === undefined ? {} : { cause }),
    })
}

/** A name from a file, quoted and short enough to print, whatever the file holds. */
export function quoted(name: string): string {
  return JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name)
}
