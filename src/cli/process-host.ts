import type { Host } from './host.js'

/** How long after a signal npm's copy of it may come. */
const echoMilliseconds = 200

/** The command line's surroundings in a real process. */
export function processHost({ loadJob, openDevice }: Pick<Host, 'loadJob' | 'openDevice'>): Host {
  // `dfdt … | head` closes the pipe early; the run goes on, for its files are what it is for.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
    })
  }
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    loadJob,
    openDevice,
    onInterrupt(listener) {
      let interrupted = false
      const on = (exitCode: number) => () => {
        interrupted = true
        listener(exitCode)
      }
      const [onInt, onTerm] = [on(130), on(143)]
      process.on('SIGINT', onInt).on('SIGTERM', onTerm)
      return () => {
        if (!interrupted) process.off('SIGINT', onInt).off('SIGTERM', onTerm)
        // Under npm one Ctrl-C comes twice. The second would kill a process that the first is ending, so that one waits.
        else setTimeout(() => undefined, echoMilliseconds)
      }
    },
    exit: (exitCode) => process.exit(exitCode),
  }
}
