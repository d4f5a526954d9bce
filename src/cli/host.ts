import type { Device } from '../tensor/device.js'
import type { MnistJob } from '../train/events.js'

/** Where text goes: a terminal, a file or a pipe. */
export type Output = NodeJS.WritableStream & {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
}

/** Everything the command line takes from outside, so that tests can stand in for it. */
export interface Host {
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
  /** Loads the job and what it computes on; called by commands that need it, so that `--help` stays instant. */
  readonly loadJob: (device: { readonly threads?: number | undefined }) => Promise<MnistJob>
  /** Makes a device for one command, which closes it. */
  readonly openDevice: (device: { readonly threads?: number | undefined }) => Promise<Device>
  /**
   * Calls `listener` with 130 on Ctrl-C and 143 on a request to terminate, the exit codes a shell expects for them.
   * Returns a function that ends the listening.
   */
  readonly onInterrupt: (listener: (exitCode: number) => void) => () => void
  /** Ends the process at once. */
  readonly exit: (exitCode: number) => void
}

/** Whether cursor movement and colours are welcome on this output. */
export function isTerminal(output: Output, env: Host['env']): boolean {
  return output.isTTY === true && env.TERM !== 'dumb'
}
