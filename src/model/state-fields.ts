import { FormatError } from '../shapes/errors.js'

/** One field of a saved state: its name, what is there, whether that can be, and what can. */
export type StateField = readonly [name: string, value: unknown, sound: boolean, expected: string]

export const hasFields = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The fields of what should be an object; none if it is none. */
export const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> => (hasFields(value) ? { ...value } : {})

export const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

/** A whole number from 0. */
export const countField = (name: string, value: unknown): StateField => [
  name,
  value,
  isCount(value),
  'a whole number from 0',
]

/** Texts by name. */
export function textsField(name: string, value: unknown): StateField {
  const sound = hasFields(value) && Object.values(value).every((text) => typeof text === 'string')
  return [name, value, sound, 'texts by name']
}

const mostShown = 60

function shown(value: unknown): string {
  const text = typeof value === 'object' && value !== null ? (JSON.stringify(value) ?? '') : String(value)
  const cut = text.length > mostShown ? `${text.slice(0, mostShown)}…` : text
  return typeof value === 'string' ? JSON.stringify(cut) : cut
}

/**
 * Refuses a state that was edited or damaged, which would be found out much later, if ever.
 *
 * Throws: `FormatError` listing every field that cannot be.
 */
export function requireSound(kind: string, fields: readonly StateField[]): void {
  const problems = fields.flatMap(([name, value, sound, expected]) =>
    sound ? [] : [`${name} is ${shown(value)}, expected ${expected}`],
  )
  if (problems.length === 0) return
  const list = problems.join('\n  ')
  throw new FormatError(
    `load: this state of the kind "${kind}" was damaged or edited; nothing was written, load another:\n  ${list}`,
    { op: 'load' },
  )
}
