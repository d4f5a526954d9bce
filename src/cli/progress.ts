import { type Options, type Params, SingleBar } from 'cli-progress'
import type { StepEvent } from '../train/events.js'
import { type Host, isTerminal, type Output } from './host.js'
import { Pace } from './pace.js'
import { barLine, type ProgressState, plainLine } from './progress-line.js'

/** Shows how far a run is. */
export interface Progress {
  step(event: StepEvent): void
  /** Takes the bar off the screen, so that a line can be written in its place; the next step brings it back. */
  clear(): void
}

/** How long the whole run is. */
interface Length {
  readonly steps: number
  readonly epochs: number
}

/** On stderr: a bar where a cursor can be moved, a plain line now and then where it cannot. */
export function createProgress({ stderr, env }: Host, length: Length): Progress {
  return isTerminal(stderr, env) ? new BarProgress(stderr, length) : new LineProgress(stderr, length)
}

class BarProgress implements Progress {
  readonly #length: Length
  readonly #pace = new Pace()
  readonly #bar: SingleBar
  #state: ProgressState
  #shown = false

  constructor(stream: Output, length: Length) {
    this.#length = length
    this.#state = { ...length, step: 0, epoch: 1, loss: 0, rate: 0 }
    const format = (_: Options, { maxWidth }: Params) => barLine(this.#state, maxWidth)
    // Line wrapping stays on, for our lines are never too long: a killed process leaves the terminal as it was.
    this.#bar = new SingleBar({ stream, format, fps: 10, clearOnComplete: true, linewrap: true })
  }

  step(event: StepEvent): void {
    this.#state = { ...this.#length, ...event, rate: this.#pace.at(performance.now(), event.step) }
    if (this.#shown) this.#bar.update(event.step)
    else this.#bar.start(this.#length.steps, event.step)
    this.#shown = true
  }

  clear(): void {
    this.#pace.pause()
    if (this.#shown) this.#bar.stop()
    this.#shown = false
  }
}

const millisecondsBetweenLines = 10_000

class LineProgress implements Progress {
  readonly #stream: Output
  readonly #length: Length
  readonly #pace = new Pace()
  #written = performance.now()

  constructor(stream: Output, length: Length) {
    this.#stream = stream
    this.#length = length
  }

  step(event: StepEvent): void {
    const now = performance.now()
    const rate = this.#pace.at(now, event.step)
    if (now - this.#written < millisecondsBetweenLines) return
    this.#written = now
    this.#stream.write(`${plainLine({ ...this.#length, ...event, rate })}\n`)
  }

  clear(): void {
    this.#pace.pause()
  }
}
