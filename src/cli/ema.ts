import { emaFiles } from '../io/streaming/node-ema-files.js'
import { type EmaFlags, rateOf } from './file-options.js'
import type { Host } from './host.js'
import { UsageError } from './usage-error.js'
import { writeFiles } from './write-files.js'

/** `dfdt ema`: one step of an exponential moving average, from file to file. Returns the exit code. */
export async function ema(flags: EmaFlags, host: Host): Promise<number> {
  const rate = rateOf(flags)
  if (!rate) throw new UsageError('give the rate: one of --decay, --tau and --half-life')
  const { target, source, output } = flags
  const run = (options: object) => emaFiles({ target, source, output }, { ...rate, ...options })
  return writeFiles({ op: 'emaFiles', flags, run }, host)
}
