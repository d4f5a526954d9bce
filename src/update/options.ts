import { OptionError } from '../shapes/errors.js'

/** What callers without types may get wrong: shown as they wrote it. */
export const written = (value: unknown): string => (typeof value === 'string' ? `"${value}"` : String(value))

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

/** Throws: `OptionError` for options that are no object, and for names that are none of those known. */
export function requireOptions(op: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null)
    throw new OptionError(`${op}: options are an object, got ${written(options)}.`, { op })
  const odd = Object.keys(options).find((name) => !known.includes(name))
  if (odd !== undefined)
    throw new OptionError(`${op}: there is no option "${odd}"; there are ${known.join(', ')}.`, { op })
}
