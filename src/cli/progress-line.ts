import { clock } from '../train/wording.js'

/** What one line of progress says. */
export interface ProgressState {
  readonly step: number
  readonly steps: number
  readonly epoch: number
  readonly epochs: number
  readonly loss: number
  /** Steps a second lately, 0 while unknown. */
  readonly rate: number
}

/** Progress in plain words, for logs: `epoch 2/3  2310/5625  loss 0.0712  712 steps/s  0:05 left`. */
export function plainLine(state: ProgressState): string {
  const { epoch, count, loss, rate, left } = wording(state)
  return joined([epoch, count, loss, rate, left])
}

/**
 * One line of progress with a bar, shorter than `width`. A narrow terminal gives up the bar first, then the steps a
 * second, the count and the epoch; the time left stays longest.
 */
export function barLine(state: ProgressState, width: number): string {
  const { epoch, count, loss, rate, left } = wording(state)
  // Room for the ^C that a terminal shows when it is pressed, which must not wrap: the line could not be cleared.
  const room = width - 3
  const size = Math.min(40, room - joined([epoch, count, loss, rate, left]).length - 2)
  if (size >= 8) {
    const filled = Math.round((size * state.step) / Math.max(1, state.steps))
    return joined([epoch, '█'.repeat(filled) + '░'.repeat(size - filled), count, loss, rate, left])
  }
  const lines = [
    [epoch, count, loss, rate, left],
    [epoch, count, loss, left],
    [epoch, loss, left],
    [loss, left],
    [left],
  ]
  return lines.map(joined).find((line) => line.length <= room) ?? ''
}

function wording({ step, steps, epoch, epochs, loss, rate }: ProgressState) {
  return {
    epoch: `epoch ${epoch}/${epochs}`,
    count: `${String(step).padStart(String(steps).length)}/${steps}`,
    loss: `loss ${Number.isFinite(loss) ? loss.toFixed(4) : loss}`,
    rate: rate > 0 ? `${rate < 10 ? rate.toFixed(1) : Math.round(rate)} steps/s` : '',
    left: rate > 0 ? `${clock(Math.ceil((steps - step) / rate))} left` : '',
  }
}

function joined(parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join('  ')
}
