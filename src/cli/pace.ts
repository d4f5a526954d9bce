/** Steps a second over the last few seconds, so that a machine that slows down shows it. */
export class Pace {
  readonly #samples: { readonly time: number; readonly step: number }[] = []
  #rate = 0

  /** Takes note that `step` steps were done at `time` (milliseconds). Returns the rate, 0 while unknown. */
  at(time: number, step: number): number {
    const newest = this.#samples.at(-1)
    if (!newest || time - newest.time >= 100) this.#samples.push({ time, step })
    if (this.#samples.length > 30) this.#samples.shift()
    const oldest = this.#samples[0]
    if (oldest && time - oldest.time >= 200) this.#rate = (1000 * (step - oldest.step)) / (time - oldest.time)
    return this.#rate
  }

  /** A pause begins: its time must not count. The rate stays until there is a new one. */
  pause(): void {
    this.#samples.length = 0
  }
}
