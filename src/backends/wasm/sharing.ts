/**
 * One rule says which jobs, kernels or whole programs, the threads share, in Node and in pages: those of 0.1 ms and more,
 * as long as that is faster than one thread alone. A shorter one gains some 30 µs at best, and loses a hundred times that
 * when other work holds a helper's core for a time slice; what the host does between such jobs sends helpers to sleep.
 *
 * Which way is faster is measured, not guessed: the better one is taken, the other tried anew now and then. What counts is
 * the mean, in which a stall weighs what it costs, however rare it is. A trial is short and soon over where it goes badly.
 *
 * Simulated, 10 s of a program of 0.12 (1) ms in units of its time alone; shared, it takes 0.6 and has stalls of 4 ms that
 * make the mean as given (`never`: each run 50 ms longer, first 0.3 s):
 *
 * | version                                              | 0.6         | 0.8         | 1.2         | 2           | never      |
 * | ---------------------------------------------------- | ----------- | ----------- | ----------- | ----------- | ---------- |
 * | v2: means of logarithms, shared first and from 5 µs  | 0.61 (0.61) | 0.80 (0.80) | 1.21 (1.16) | 1.91 (1.04) | 420 (51)   |
 * | v3: this                                             | 0.61 (0.61) | 0.81 (0.81) | 1.04 (1.02) | 1.02 (1.01) | 1.2 (1.2)  |
 *
 * v1, resting after a late helper whatever the runs took, was 0.65 on quiet cores and 1.7-3.0 beside other work.
 */
import type { Entry } from './launch.js'

/** Work in ns from which jobs are shared. */
const worthSharing = 100_000
/** A trial lasts so many ms, or as long as so many runs the other way. */
const [trialTime, trialRuns] = [2, 3]
/** Part of the time that trials may cost in the long run, and at most. */
const [trialCost, mostCost] = [0.01, 0.1]
/** Shortest time in ms between trials. At first each pause is twice as long as the one before. */
const firstPause = 5
/** The other way is taken when it is faster by more than 3 %. */
const margin = 0.03
/** After so many ms and runs, what was measured counts half. */
const [memory, memoryRuns] = [100, 16]

/** How long jobs have taken lately for what they were expected to. */
class Pace {
  #time = 0
  #work = 0
  #runs = 0

  /** Not a number before the first run. */
  get mean(): number {
    return this.#time / this.#work
  }

  note(milliseconds: number, nanoseconds: number): void {
    if (this.#time > memory && this.#runs >= memoryRuns) this.fade()
    this.#time += milliseconds
    this.#work += nanoseconds
    this.#runs++
  }

  fade(): void {
    this.#time /= 2
    this.#work /= 2
    this.#runs /= 2
  }
}

/** What is known of one kernel or program at about one size. */
export class Choice {
  #better = new Pace()
  #other = new Pace()
  #sharedIsBetter = false
  /** Whether the other way is being tried. A trial comes first: it makes helpers start. */
  #trying = true
  /** Time in ms until the trial ends, or the next one begins. */
  #left = trialTime
  /** What this trial has cost, ms, and the time from it to the next. */
  #lost = 0
  #pause = 0

  /** Whether the next run should be shared. */
  get shared(): boolean {
    return this.#sharedIsBetter !== this.#trying
  }

  /** A run has taken this long, shared or not, for work expected to take `nanoseconds` on one thread. */
  note(shared: boolean, milliseconds: number, nanoseconds: number): void {
    // The clock may stand still.
    const time = Math.max(milliseconds, 1e-6)
    const isBetter = shared === this.#sharedIsBetter
    const pace = isBetter ? this.#better : this.#other
    pace.note(time, nanoseconds)
    // Not what was asked for: helpers are not there yet, or it was given before.
    if (isBetter === this.#trying) return
    this.#left -= time
    if (this.#trying) {
      // Nothing, where nothing is known yet to compare with.
      this.#lost += time - this.#better.mean * nanoseconds || 0
      if (this.#left > 0) return
      this.#pause = Math.max(firstPause, Math.min(2 * this.#pause, this.#lost / trialCost), this.#lost / mostCost)
    }
    const faster = this.#other.mean < (1 - margin) * this.#better.mean
    if (this.#trying || faster) {
      this.#trying = false
      this.#left = this.#pause
      if (faster) this.#swap()
    } else if (this.#left <= 0) this.#try(nanoseconds)
  }

  #try(nanoseconds: number): void {
    this.#trying = true
    this.#left = Math.max(trialTime, trialRuns * this.#better.mean * nanoseconds)
    this.#lost = 0
    this.#other.fade()
  }

  #swap(): void {
    const better = this.#other
    this.#other = this.#better
    this.#better = better
    this.#sharedIsBetter = !this.#sharedIsBetter
  }
}

/** The choices of one backend. */
export class Sharing {
  /** By the power of two of the expected time. */
  readonly #choices = new WeakMap<Entry, Choice[]>()

  /** `always`, for tests: whatever can be shared is, however small. */
  constructor(private readonly always = false) {}

  /** For a job of which threads can share so many ns of work; undefined where one thread does it. */
  of(entry: Entry, nanoseconds: number): Pick<Choice, 'shared' | 'note'> | undefined {
    if (this.always) return nanoseconds > 0 ? alwaysShared : undefined
    if (nanoseconds < worthSharing) return undefined
    let sizes = this.#choices.get(entry)
    if (!sizes) {
      sizes = []
      this.#choices.set(entry, sizes)
    }
    const size = Math.floor(Math.log2(nanoseconds))
    sizes[size] ??= new Choice()
    return sizes[size]
  }
}

const alwaysShared = { shared: true, note: () => {} } as const
