import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { DfdtError } from '../tensor/errors.js'
import { doctor } from './doctor.js'
import { evaluate } from './eval.js'
import type { Host } from './host.js'
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
  addDeviceFlags(program.command('doctor'))
    .description('say what computes on this machine, and why, and measure it')
    .action(async (flags: DeviceFlags) => ended(await doctor(host, flags)))
  return program
}

const examples = `
Without a command it trains, so these two are the same:
  $ dfdt --epochs 1 --limit 20000 --decay 0.99
  $ dfdt train --epochs 1 --limit 20000 --decay 0.99

Evaluate what a run saved:
  $ dfdt eval runs/2026-03-01-143005/teacher.safetensors

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
