/**
 * Whether a run gains from the other threads is measured, not guessed: next to a busy program a helper may come by a
 * whole time slice late, again and again or hardly ever. Both ways are timed, the faster one is taken, and the other is
 * tried anew now and then. The batch-32 step of the benches on two cores, 256-bit mode, mean times in ms, v1 and v2 in turn:
 *
 * | version                                                      | quiet cores | beside other work |
 * | ------------------------------------------------------------ | ----------- | ----------------- |
 * | one thread                                                   | 1.0         | 1.1-1.8           |
 * | always shared                                                | 0.68        | 1.2-4.8           |
 * | v1: after a late helper 16 to 1024 runs alone, whatever they took | 0.65   | 1.7-3.0           |
 * | v2: this                                                     | 0.68        | 1.0-1.6           |
 */

import type { Entry } from './launch.js'

/** How much the newest time counts for, in the long run. */
const newest = 1 / 32
/** Runs of a trial. The first, with cold caches and sleeping helpers, does not count. */
const trialRuns = 3
/** Runs before the first trial, which last at least so many ms. */
const [firstPause, firstTime] = [16, 5]
/** Part of the time that trials may cost. Until then, each pause is twice as long as the one before. */
const trialCost = 0.01
/** The other way is taken when its times are shorter by more than 3 %. */
const margin = 0.03
/** What is known of one kernel or program at about one size. */
export class Choice {
  /**
   * Means of the logarithms of the times, by estimated time: between the usual time and the mean one. A helper who is twice
   * as fast half of the time and half as fast the other half is no gain; a suspended process says nothing about helpers.
   */
  readonly #means = { alone: Number.NaN, shared: Number.NaN }
  readonly #counts = { alone: 0, shared: 0 }
  #better: 'alone' | 'shared' = 'shared'
  #trial = 0
  /** Time between trials, ms. */
  #pause = 0
  #untilTrial = firstTime
  #lost = 0

  get shared(): boolean {
    return (this.#better === 'shared') === (this.#trial === 0)
  }

  note(shared: boolean, milliseconds: number, nanoseconds: number): void {
    const way = shared ? 'shared' : 'alone'
    // Not what was asked for: helpers slept.
    if (shared !== this.shared) return
    const trial = this.#trial
    // The clock may stand still.
    const time = Math.max(milliseconds, 1e-6)
    if (trial !== trialRuns) this.#average(way, Math.log(time / nanoseconds))
    if (trial > 0) {
      this.#trial--
      this.#lost += time - Math.exp(this.#means[this.#better]) * nanoseconds
      if (trial > 1) return
    }
    const other = this.#better === 'shared' ? 'alone' : 'shared'
    if (this.#means[other] < this.#means[this.#better] - margin) {
      this.#better = other
      this.#untilTrial = this.#pause
    } else if (trial > 0) {
      this.#pause = Math.min(2 * this.#pause, Math.max(firstTime, this.#lost / trialCost))
      this.#untilTrial = this.#pause
    } else {
      this.#untilTrial -= time
      if (this.#untilTrial > 0 || this.#counts[way] < firstPause) return
      if (this.#pause === 0) this.#pause = Math.max(firstTime, firstPause * time)
      this.#trial = trialRuns
      this.#lost = 0
      // What was known of the other way counts half.
      this.#counts[other] = Math.min(this.#counts[other], trialRuns - 1)
    }
  }

  #average(way: 'alone' | 'shared', time: number): void {
    const count = ++this.#counts[way]
    const mean = count === 1 ? 0 : this.#means[way]
    this.#means[way] = mean + Math.max(newest, 1 / count) * (time - mean)
  }
}

/** The choices of one backend. */
export class Sharing {
  /** By the power of two of the estimated time. */
  readonly #choices = new WeakMap<Entry, Choice[]>()

  of(entry: Entry, nanoseconds: number): Choice {
    let sizes = this.#choices.get(entry)
    if (!sizes) {
      sizes = []
      this.#choices.set(entry, sizes)
    }
    const size = 31 - Math.clz32(nanoseconds)
    sizes[size] ??= new Choice()
    return sizes[size]
  }
}
