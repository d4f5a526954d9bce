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

/** What a condition has said. Throws: `OptionError` unless that is true or false: a promise would count as true. */
export function answered(op: string, answer: unknown): boolean {
  if (typeof answer === 'boolean') return answer
  throw new OptionError(`${op}: when gives true or false, got ${written(answer)}.`, { op })
}
