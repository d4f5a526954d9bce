import { type Command, InvalidArgumentError, Option } from 'commander'
import type { WriteFilesOptions } from '../io/streaming/node-combine-files.js'
import type { ConstantRate } from '../update/rate.js'
import { jsonFlag, number, threadsFlag } from './options.js'

type FloatDType = NonNullable<WriteFilesOptions['dtype']>

/** What all commands that write a model take. */
export interface OutputFlags {
  readonly output: string
  readonly dtype?: FloatDType
  readonly accumulate: 'f32' | 'f64'
  readonly force?: true
  readonly threads?: number
  readonly json?: true
}

/** The rate of an exponential average: one of the three. */
export interface RateFlags {
  readonly decay?: number
  readonly tau?: number
  readonly halfLife?: number
}

/** The flags of `dfdt average`. */
export interface AverageFlags extends OutputFlags, RateFlags {
  readonly weights?: readonly number[]
  readonly alpha?: number
  readonly slerp?: number
  readonly sigmaRel?: number
  readonly step?: number
  readonly sigmaRels?: readonly number[]
  readonly steps?: readonly number[]
  readonly integers: 'equal' | 'first' | 'last'
}

/** The flags of `dfdt ema`. */
export interface EmaFlags extends OutputFlags, RateFlags {
  readonly target: string
  readonly source: string
}

/** The rate among the flags, as rules take it; undefined when there is none. */
export function rateOf({ decay, tau, halfLife }: RateFlags): ConstantRate | undefined {
  if (decay !== undefined) return { decay }
  if (tau !== undefined) return { tau }
  return halfLife === undefined ? undefined : { halfLife }
}

const ways = ['weights', 'alpha', 'slerp', 'decay', 'tau', 'halfLife', 'sigmaRel']

/** Declares the flags of `dfdt average`. */
export function addAverageFlags(command: Command): Command {
  const way = (flags: string, about: string, parse: (text: string) => unknown) => {
    const option = new Option(flags, about).argParser(parse).helpGroup('How (the plain mean without any of these):')
    return option.conflicts(ways.filter((name) => name !== option.attributeName()))
  }
  const postHoc = (flags: string, about: string, parse: (text: string) => unknown) =>
    new Option(flags, about).argParser(parse).helpGroup('With --sigma-rel:')
  command
    .addOption(
      way(
        '--weights <list>',
        'weighted mean, one number for each file: 3,1 is 3/4 and 1/4; below 0 it extrapolates',
        numbers,
      ),
    )
    .addOption(way('--alpha <share>', '(1 - alpha) first + alpha second: WiSE-FT, of two files', share))
    .addOption(way('--slerp <share>', 'the same along the arc between two files, tensor by tensor', share))
    .addOption(way('--decay <share>', 'exponential average over the files in their order: kept at each', share))
    .addOption(way('--tau <share>', 'the same by what each file adds, 1 - decay', share))
    .addOption(way('--half-life <files>', 'the same by the files after which half is left', positive))
    .addOption(way('--sigma-rel <width>', 'the power EMA of this width, from snapshots of others (EDM2)', positive))
    .addOption(postHoc('--step <number>', "the step it ends at (default: the snapshots' last)", positive))
    .addOption(postHoc('--sigma-rels <list>', "widths of the snapshots (default: from the files' metadata)", numbers))
    .addOption(postHoc('--steps <list>', "steps of the snapshots (default: from the files' metadata)", numbers))
  const integers = new Option('--integers <which>', 'whose integers and bools the result takes; equal: they must agree')
  return addOutputFlags(command, integers.choices(['equal', 'first', 'last']).default('equal'))
}

/** Declares the flags of `dfdt ema`. */
export function addEmaFlags(command: Command): Command {
  const rate = (flags: string, about: string, parse: (text: string) => number) => {
    const option = new Option(flags, about).argParser(parse).helpGroup('The rate, exactly one of:')
    return option.conflicts(['decay', 'tau', 'halfLife'].filter((name) => name !== option.attributeName()))
  }
  command
    .addOption(new Option('--target <file>', 'the average so far').makeOptionMandatory())
    .addOption(new Option('--source <file>', 'the model it learns from').makeOptionMandatory())
    .addOption(rate('--decay <share>', 'weight of the target', share))
    .addOption(rate('--tau <share>', 'weight of the source, 1 - decay', share))
    .addOption(rate('--half-life <updates>', 'updates after which half of the target is left', positive))
  return addOutputFlags(command)
}

/** Declares the flag of commands that only look. */
export function addLookFlags(command: Command): Command {
  return command.addOption(jsonFlag())
}

function addOutputFlags(command: Command, ...more: readonly Option[]): Command {
  const dtype = new Option('--dtype <type>', "floats of the result: f32, f16, bf16 or f64 (default: the first file's)")
  const output = '-o, --output <path>'
  const options = [
    new Option(output, 'the .safetensors file to write, or a directory: same file names').makeOptionMandatory(),
    dtype.argParser(floatDType),
    new Option('--accumulate <type>', 'what sums are kept in; F64 tensors always in f64')
      .choices(['f32', 'f64'])
      .default('f32'),
    ...more,
    new Option('--force', 'replace a file that exists'),
    threadsFlag(),
    jsonFlag(),
  ]
  for (const option of options) command.addOption(option.helpGroup('Result:'))
  return command
}

const dtypes: readonly FloatDType[] = ['f32', 'f16', 'bf16', 'f64']

function floatDType(text: string): FloatDType {
  const found = dtypes.find((dtype) => dtype === text.toLowerCase())
  if (found) return found
  throw new InvalidArgumentError(`It must be one of ${dtypes.join(', ')}.`)
}

function share(text: string): number {
  const value = number(text)
  if (value >= 0 && value <= 1) return value
  throw new InvalidArgumentError('It must be a number from 0 to 1, such as 0.5.')
}

function positive(text: string): number {
  const value = number(text)
  if (value > 0 && value < Number.POSITIVE_INFINITY) return value
  throw new InvalidArgumentError('It must be a number above 0.')
}

function numbers(text: string): readonly number[] {
  const values = text.split(',').map((part) => number(part.trim()))
  if (values.every(Number.isFinite)) return values
  throw new InvalidArgumentError('It must be numbers with commas between them, such as 3,1.')
}
