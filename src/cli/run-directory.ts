import { existsSync, mkdirSync, rmdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { FormatError } from '../tensor/errors.js'

/**
 * Makes the directory a run writes to: `out`, which may exist, or else a new one named after the time,
 * `runs/2026-03-01-143005`.
 *
 * @throws FormatError with the path when it cannot be made
 */
export function makeRunDirectory(out: string | undefined, now = new Date()): string {
  if (out !== undefined) return makeWithParents(out)
  const name = join('runs', timestamp(now))
  makeWithParents(dirname(name))
  // Runs begun in the same second do not share a directory.
  for (let attempt = 1; ; attempt++) {
    const path = attempt === 1 ? name : `${name}-${attempt}`
    try {
      return make(path)
    } catch (error) {
      if (!(error instanceof FormatError) || codeOf(error.cause) !== 'EEXIST') throw error
    }
  }
}

/** Not mkdir's own `recursive`, which never returns where directories cannot be made, such as below /proc (Node 20). */
function makeWithParents(path: string): string {
  if (existsSync(path) && statSync(path).isDirectory()) return path
  const parent = dirname(path)
  if (!existsSync(parent)) makeWithParents(parent)
  return make(path)
}

function make(path: string): string {
  try {
    mkdirSync(path)
    return path
  } catch (cause) {
    const code = codeOf(cause)
    const why =
      code === 'EEXIST' || code === 'ENOTDIR'
        ? 'a file is in the way; choose another --out'
        : `${cause instanceof Error ? cause.message : cause}; choose another --out`
    throw new FormatError(`${path}: the directory for the run's files cannot be made: ${why}`, {
      op: 'train',
      path,
      cause,
    })
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

/** Local time, in an order that sorts. */
function timestamp(now: Date): string {
  const two = (value: number) => String(value).padStart(2, '0')
  const day = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join('-')
  return `${day}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`
}

/** Takes away a run directory in which nothing was written. */
export function removeIfEmpty(path: string): void {
  try {
    rmdirSync(path)
  } catch {
    // It holds something, which then stays.
  }
}
