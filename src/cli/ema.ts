import { sequenceOf } from '../io/streaming/recipes.js'
import { ema } from '../update/rules/ema.js'
import { weightsOf } from '../update/rate.js'
import { combineFiles } from './combine-files.js'
import { type EmaFlags, rateOf } from './file-options.js'
import type { Host } from './host.js'
import { rateText } from './rate-text.js'
import { UsageError } from './usage-error.js'

/** `dfdt ema`: one step of an exponential moving average, from file to file. Returns the exit code. */
export async function emaFiles(flags: EmaFlags, host: Host): Promise<number> {
  const rate = rateOf(flags)
  if (!rate) throw new UsageError('give the rate: one of --decay, --tau and --half-life')
  const rule = ema(rate)
  const recipe = sequenceOf(rule, 2)
  const small = weightsOf('ema', rate).tau < 0.1
  const method = async () => ({ title: `ema, ${rateText(rate)}`, recipe: () => recipe, integersFrom: 1, small })
  return combineFiles({ op: 'ema', paths: [flags.target, flags.source], flags, inPlace: true, method }, host)
}
