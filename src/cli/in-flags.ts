import { DfdtError, OptionError } from '../shapes/errors.js'
import { UsageError } from './usage-error.js'

/** Options of the functions behind the commands that have a flag of their name. */
const flags = [
  ...['output', 'dtype', 'accumulate', 'force', 'integers', 'weights', 'alpha', 'slerp', 'decay', 'tau', 'halfLife'],
  ...['sigmaRel', 'step', 'sigmaRels', 'steps'],
]

/** `{ sigmaRels }` is `--sigma-rels` here, `{ integers: 'first' }` is `--integers first`, `{ force: true }` is `--force`. */
function flagged(message: string): string {
  return message.replace(/\{ (\w+)(?:: '?([\w.]+)'?)? \}/g, (whole, name: string, value: string | undefined) => {
    if (!flags.includes(name)) return whole
    const flag = `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    return value === undefined || value === 'true' ? flag : `${flag} ${value}`
  })
}

/** What a function for files says, in the words of its command. */
export const inFlags = (message: string): string =>
  flagged(message).replace(/^(average|ema|diff|inspect)Files?: /, '$1: ')

/** Runs a function for files; what it refuses is said in the words of the command, options as a matter of usage. */
export async function runInFlags<T>(op: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    if (!(error instanceof DfdtError)) throw error
    const message = inFlags(error.message).replace(/\.$/, '')
    if (error instanceof OptionError && error.op === op) throw new UsageError(message, { cause: error })
    error.message = inFlags(error.message)
    throw error
  }
}
