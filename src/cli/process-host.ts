import type { Host } from './host.js'

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
      const onInt = () => listener(130)
      const onTerm = () => listener(143)
      process.on('SIGINT', onInt).on('SIGTERM', onTerm)
      return () => void process.off('SIGINT', onInt).off('SIGTERM', onTerm)
    },
    exit: (exitCode) => process.exit(exitCode),
  }
}
