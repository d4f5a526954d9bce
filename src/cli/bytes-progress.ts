import { SingleBar } from 'cli-progress'
import type { FilesProgress } from '../io/streaming/files-progress.js'
import { clock } from '../train/wording.js'
import { bytesText } from './bytes.js'
import { type Host, isTerminal } from './host.js'
import { Pace } from './pace.js'

/** Shows how far passes over files are. */
export interface ShownProgress {
  readonly show: (progress: FilesProgress) => void
  /** Takes the bar off the screen. */
  readonly clear: () => void
}

/** A bar on stderr where a cursor can be moved; nothing elsewhere: a log has no use for it. */
export function filesProgress({ stderr, env }: Host): ShownProgress {
  if (!isTerminal(stderr, env)) return { show: () => undefined, clear: () => undefined }
  let pace = new Pace()
  let state: FilesProgress | undefined
  let rate = 0
  const bar = new SingleBar({
    ...{ stream: stderr, fps: 10, clearOnComplete: true, linewrap: true },
    format: (_, { maxWidth }) => bytesLine({ done: 0, total: 0, ...state, rate }, maxWidth),
  })
  const clear = () => {
    if (state) bar.stop()
    state = undefined
  }
  return {
    show: (progress) => {
      if (state && state.pass !== progress.pass) {
        clear()
        pace = new Pace()
      }
      const began = state !== undefined
      state = progress
      rate = pace.at(performance.now(), progress.done)
      if (began) bar.update(progress.done)
      else bar.start(progress.total, progress.done)
    },
    clear,
  }
}

/** `█████░░░  3.1 of 8.0 GB  640.2 MB/s  0:08 left`, shorter than `width`; a narrow terminal gives up the bar first. */
export function bytesLine(
  { done, total, rate }: { readonly done: number; readonly total: number; readonly rate: number },
  width: number,
): string {
  const share = total > 0 ? Math.min(1, done / total) : 1
  // The longest it can be, so that the bar keeps its length.
  const whole = bytesText(total)
  const count = `${bytesText(Math.min(done, total)).padStart(whole.length)} of ${whole}`
  const speed = rate > 0 ? `${bytesText(rate)}/s` : ''
  const left = rate > 0 ? `${clock(Math.ceil((total - Math.min(done, total)) / rate))} left` : ''
  const joined = (parts: readonly string[]) => parts.filter((part) => part !== '').join('  ')
  // Room for the ^C that a terminal shows when it is pressed, which must not wrap.
  const room = width - 3
  const size = Math.min(40, room - joined([count, speed, left]).length - 2)
  if (size >= 8) {
    const filled = Math.round(size * share)
    return joined(['█'.repeat(filled) + '░'.repeat(size - filled), count, speed, left])
  }
  const lines = [[count, speed, left], [count, left], [left]]
  return lines.map(joined).find((line) => line.length <= room) ?? ''
}
