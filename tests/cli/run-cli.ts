import { wasmDevice } from 'dfdt'
import { Writable } from 'node:stream'
import type { Host, Output } from '../../src/cli/host.js'
import { runProgram } from '../../src/cli/program.js'
import type { MnistJob } from '../../src/train/events.js'
import { fakeJob } from './fake-job.js'

/** Collects what is written to it. */
class Collector extends Writable {
  text = ''
  constructor(
    readonly isTTY: boolean,
    readonly columns: number | undefined,
  ) {
    super({
      write: (chunk, _encoding, done) => {
        this.text += String(chunk)
        done()
      },
    })
  }
}

export interface Outcome {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
  readonly jobsLoaded: number
  /** What `--threads` asked for. */
  readonly threads: number | undefined
}

export interface Circumstances {
  readonly job?: MnistJob
  readonly terminal?: boolean
  readonly columns?: number
  readonly env?: Record<string, string>
}

/** Runs the command line in this process, with a fake job unless one is given. */
export async function runCli(argv: readonly string[], circumstances: Circumstances = {}): Promise<Outcome> {
  const { job = fakeJob(), terminal = false, columns, env = {} } = circumstances
  const stdout = new Collector(terminal, columns)
  const stderr = new Collector(terminal, columns)
  let jobsLoaded = 0
  let threads: number | undefined
  const host: Host = {
    stdout: stdout satisfies Output,
    stderr: stderr satisfies Output,
    env,
    loadJob: async (device) => {
      jobsLoaded++
      threads = device.threads
      return job
    },
    openDevice: async (options) => wasmDevice(options.threads === undefined ? {} : { threads: options.threads }),
    onInterrupt: () => () => undefined,
    exit: () => undefined,
  }
  const exitCode = await runProgram(argv, host)
  return { exitCode, stdout: stdout.text, stderr: stderr.text, jobsLoaded, threads }
}
