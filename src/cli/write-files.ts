import type { WriteFilesOptions, WrittenFiles } from '../io/streaming/node-combine-files.js'
import { plural } from '../io/wording.js'
import { duration } from '../train/wording.js'
import { bytesText } from './bytes.js'
import { filesProgress } from './bytes-progress.js'
import type { OutputFlags } from './file-options.js'
import type { Host } from './host.js'
import { inFlags, runInFlags } from './in-flags.js'

/** A command that writes a model. */
export interface WriteCommand<W extends WrittenFiles> {
  /** The function behind it. */
  readonly op: string
  readonly flags: OutputFlags
  readonly run: (options: WriteFilesOptions) => Promise<W>
  /** More for people to read. */
  readonly details?: (written: W) => readonly string[]
  /** More for programs to read. */
  readonly facts?: (written: W) => Readonly<Record<string, unknown>>
}

/** Writes a model and says what was done. Returns the exit code. */
export async function writeFiles<W extends WrittenFiles>(command: WriteCommand<W>, host: Host): Promise<number> {
  const { dtype, accumulate, force, threads } = command.flags
  const abort = new AbortController()
  let exitCode = 0
  const stopListening = host.onInterrupt((code) => {
    exitCode = code
    abort.abort()
  })
  const device = await host.openDevice({ threads })
  const progress = filesProgress(host)
  try {
    const how = { ...(dtype && { dtype }), accumulate, ...(force && { force }) }
    const options = { ...how, device, onProgress: progress.show, signal: abort.signal }
    const written = await runInFlags(command.op, () => command.run(options)).finally(progress.clear)
    tell(command, written, host)
    return 0
  } catch (error) {
    if (!abort.signal.aborted || error !== abort.signal.reason) throw error
    host.stderr.write('Stopped; nothing was written.\n')
    return exitCode
  } finally {
    await device.close()
    stopListening()
  }
}

function tell<W extends WrittenFiles>({ flags, details, facts }: WriteCommand<W>, written: W, host: Host): void {
  const { title, files, tensors, dtypes, bytes, seconds, warnings } = written
  const people = flags.json ? host.stderr : host.stdout
  const shards = files.length > 1 ? `${plural(files.length, 'shard')}, ` : ''
  // Of small files it would tell how long the process takes to start.
  const speed = seconds > 0.5 ? `, ${bytesText(bytes / seconds)}/s` : ''
  const lines = [
    title,
    ...(details?.(written) ?? []),
    `${flags.output}: ${shards}${[plural(tensors, 'tensor'), ...dtypes].join(' ')}, ${bytesText(bytes)} ` +
      `in ${duration(seconds)}${speed}`,
  ]
  people.write(`${lines.join('\n')}\n`)
  for (const warning of warnings) host.stderr.write(`warning: ${inFlags(warning)}\n`)
  if (!flags.json) return
  host.stdout.write(
    `${JSON.stringify({ output: flags.output, title, ...facts?.(written), tensors, bytes, seconds })}\n`,
  )
}
