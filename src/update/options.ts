import { OptionError } from '../shapes/errors.js'
import { written } from '../shapes/options.js'

export { requireOptions, written } from '../shapes/options.js'

/** Throws: `OptionError` unless the value is not given, or one of those known. */
export function requireOneOf(op: string, name: string, value: unknown, known: readonly string[]): void {
  if (value === undefined || known.some((one) => one === value)) return
  const list = known.map((one) => `'${one}'`).join(', ')
  throw new OptionError(`${op}: ${name} is one of ${list}, got ${written(value)}.`, { op })
}

/** Throws: `OptionError` unless the value is not given, or a function. */
export function requireFunction(op: string, name: string, value: unknown): void {
  if (value === undefined || typeof value === 'function') return
  throw new OptionError(`${op}: ${name} is a function, got ${written(value)}.`, { op })
}
