import { OptionError } from './errors.js'

/** What callers without types may get wrong: shown as they wrote it. */
export const written = (value: unknown): string => (typeof value === 'string' ? `"${value}"` : String(value))

/** Throws: `OptionError` for options that are no object, and for names that are none of those known. */
export function requireOptions(op: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null)
    throw new OptionError(`${op}: options are an object, got ${written(options)}.`, { op })
  const odd = Object.keys(options).find((name) => !known.includes(name))
  if (odd !== undefined)
    throw new OptionError(`${op}: there is no option "${odd}"; there are ${known.join(', ')}.`, { op })
}
