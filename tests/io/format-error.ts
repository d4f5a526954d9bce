import { expect } from 'vitest'
import { DTypeError, FormatError } from '../../src/tensor/errors.js'

/** Runs a reader that must refuse, and checks that its error is a FormatError that points into the file. */
export function formatErrorOf(read: () => unknown, fileLength: number): FormatError {
  const error = thrownBy(read)
  expect(error).toBeInstanceOf(FormatError)
  if (!(error instanceof FormatError)) throw error
  expect(error.offset).toBeGreaterThanOrEqual(0)
  expect(error.offset).toBeLessThanOrEqual(fileLength)
  return error
}

/** Runs a reader on bytes that may or may not be valid: it returns, or throws a FormatError that points into the file. */
export function readsOrRefuses<T>(read: () => T, fileLength: number): T | undefined {
  let result: T | undefined
  const error = thrownBy(() => {
    result = read()
  })
  if (error !== undefined) formatErrorOf(() => throws(error), fileLength)
  return result
}

/** As `readsOrRefuses`, where a type without a dtype is a fair answer too. */
export function decodesOrRefuses(decode: () => unknown): void {
  try {
    decode()
  } catch (error) {
    if (!(error instanceof FormatError) && !(error instanceof DTypeError)) throw error
  }
}

export function thrownBy(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  return undefined
}

function throws(error: unknown): never {
  throw error
}
