import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { DfdtError } from '../tensor/errors.js'
import { average } from './average.js'
import { diff } from './diff.js'
import { ema } from './ema.js'
import { evaluate } from './eval.js'
import { type AverageFlags, addAverageFlags, addEmaFlags, addLookFlags, type EmaFlags } from './file-options.js'
import type { Host } from './host.js'
import { inspect } from './inspect.js'
import {
  addDeviceFlags,
  addEvalFlags,
  addTrainFlags,
  type DeviceFlags,
  type EvalFlags,
  type TrainFlags,
} from './options.js'
import { train } from './train.js'
import { UsageError } from './usage-error.js'

/**
 * Runs the command line `dfdt <argv>` and returns its exit code: 0 when it did what was asked, 1 when the run failed,
 * 2 when the command was typed wrongly, 130 or 143 when it was interrupted. Never throws.
 */
export async function runProgram(argv: readonly string[], host: Host): Promise<number> {
  let exitCode = 0
  const program = buildProgram(host, (code) => {
    exitCode = code
  })
  try {
    checkCommand(argv, program)
    await program.parseAsync(argv, { from: 'user' })
    return exitCode
  } catch (error) {
    return report(error, host)
  }
}

function buildProgram(host: Host, ended: (exitCode: number) => void): Command {
  const program = new Command('dfdt')
    .description('Trains and evaluates shape-checked networks; a student learns while its EMA teacher follows.')
    .version(version(), '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => host.stdout.write(text),
      writeErr: (text) => host.stderr.write(text),
      getOutHelpWidth: () => host.stdout.columns ?? 100,
      getOutHasColors: () => false,
      // Said by `report`, in one place and one form.
      outputError: () => undefined,
    })
    .addHelpText('after', examples)
  addTrainFlags(program.command('train', { isDefault: true }))
    .description('train a network on MNIST while its EMA teacher follows (the default)')
    .action(async (flags: TrainFlags) => ended(await train(flags, host)))
  addEvalFlags(program.command('eval'))
    .description('evaluate a saved model on the MNIST test images')
    .argument('<file>', 'a .safetensors file that train wrote')
    .action(async (file: string, flags: EvalFlags) => ended(await evaluate(file, flags, host)))
  const models = 'a .safetensors file, a .safetensors.index.json, or a directory that holds one of these'
  addAverageFlags(program.command('average'))
    .description('average saved models of one structure into one')
    .argument('<files...>', `${models}; one alone is copied, which --dtype converts`)
    .addHelpText('after', averageExamples)
    .action(async (files: string[], flags: AverageFlags) => ended(await average(files, flags, host)))
  addEmaFlags(program.command('ema'))
    .description('update a saved average from a saved model')
    .addHelpText('after', emaExamples)
    .action(async (flags: EmaFlags) => ended(await ema(flags, host)))
  addLookFlags(program.command('diff'))
    .description('measure how far two saved models are apart')
    .argument('<a>', models)
    .argument('<b>', 'the other one')
    .action(async (a: string, b: string, flags: { json?: true }) => ended(await diff([a, b], flags, host)))
  addLookFlags(program.command('inspect'))
    .description('list tensors and metadata of a saved model')
    .argument('<file>', models)
    .action((file: string, flags: { json?: true }) => ended(inspect(file, flags, host)))
  addDeviceFlags(program.command('doctor'))
    .description('say what computes on this machine, and why, and measure it')
    .action(async (flags: DeviceFlags) => {
      // The one command that needs the whole library, which takes longer to load than most commands to run.
      const { doctor } = await import('./doctor.js')
      ended(await doctor(host, flags))
    })
  return program
}

const averageExamples = `
The files are read once, a piece at a time: memory stays the same however large they are. Integers and bools are copied;
running variances of a mean are those of all the data together. The metadata is the first file's, with a note under
"dfdt". The result appears whole or not at all, so it may take the place of a file it is made from (--force).

  $ dfdt average run-*.safetensors -o soup.safetensors
  $ dfdt average zeroshot.safetensors tuned.safetensors --alpha 0.3 -o both.safetensors
  $ dfdt average llama-a/ llama-b/ --slerp 0.5 --dtype bf16 -o merged/
  $ dfdt average snapshots/*.safetensors --sigma-rel 0.075 -o posthoc.safetensors
`

const emaExamples = `
The result is decay · target + (1 - decay) · source, by the arithmetic of update(…, ema(…)) bit for bit. The files are
read once, a piece at a time. Floats are averaged, buffers included; integers and bools are the source's. The
result appears whole or not at all, so it may take the place of the target:

  $ dfdt ema --target average.safetensors --source step-9000.safetensors --decay 0.99 -o average.safetensors
`

const examples = `
Without a command it trains, so these two are the same:
  $ dfdt --epochs 1 --limit 20000 --decay 0.99
  $ dfdt train --epochs 1 --limit 20000 --decay 0.99

Evaluate what a run saved:
  $ dfdt eval runs/2026-03-01-143005/teacher.safetensors

Average models in files, wherever they come from:
  $ dfdt average a.safetensors b.safetensors c.safetensors -o mean.safetensors

dfdt <command> --help shows the flags of a command.
`

/** Because train is the default command, a mistyped command would otherwise be called an argument too many. */
function checkCommand([first]: readonly string[], program: Command): void {
  if (first === undefined || first.startsWith('-') || first === 'help') return
  const names = program.commands.map((command) => command.name())
  if (!names.includes(first))
    throw new UsageError(`there is no command '${first}'; the commands are ${names.join(', ')}`)
}

/** Says on stderr what went wrong, in one line where the person can do something about it. Returns the exit code. */
function report(error: unknown, { stderr }: Host): number {
  if (error instanceof CommanderError) {
    // Help and version were asked for and are printed.
    if (error.exitCode === 0) return 0
    const sentence = error.message
      .replace(/^error: /, '')
      .replaceAll(/\s*\n\s*/g, ' ')
      .trim()
    stderr.write(`dfdt: ${sentence.replace(/\.$/, '')}; see dfdt --help\n`)
    return 2
  }
  if (error instanceof DfdtError) {
    stderr.write(`dfdt: ${error.message}\n`)
    return error instanceof UsageError ? 2 : 1
  }
  // A defect of ours: the stack is what its report needs.
  stderr.write(`dfdt: unexpected error\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  return 1
}

function version(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : ''
}
