/** One point of a smoothed curve: the mean of the steps since the point before it, up to and including `step`. */
export interface CurvePoint {
  readonly step: number
  readonly loss: number
}

/** A training-loss curve smoothed as it grows: means over equal runs of steps, about 200 points for the whole run. */
export class LossCurve {
  /** Steps a point stands for: 1, 2, 5, 10, 20, 50, … */
  readonly window: number
  readonly #points: CurvePoint[] = []
  #sum = 0
  #counted = 0
  #last = 0

  /** @param steps steps of the whole run. */
  constructor(steps: number) {
    this.window = roundUp(steps / 200)
  }

  /** Adds `loss`, the mean over the steps after the last one added up to and including `step`. */
  add(step: number, loss: number): void {
    const weight = step - this.#last
    if (weight <= 0) return
    this.#sum += loss * weight
    this.#counted += weight
    this.#last = step
    if (this.#counted >= this.window) this.#close()
  }

  /** The points so far, the unfinished one included. */
  points(): readonly CurvePoint[] {
    if (this.#counted === 0) return this.#points
    return [...this.#points, { step: this.#last, loss: this.#sum / this.#counted }]
  }

  #close(): void {
    this.#points.push({ step: this.#last, loss: this.#sum / this.#counted })
    this.#sum = 0
    this.#counted = 0
  }
}

/** The least of 1, 2, 5, 10, 20, 50, … that is not below `value`. */
function roundUp(value: number): number {
  let power = 1
  while (power * 10 < value) power *= 10
  return [1, 2, 5, 10].map((digit) => digit * power).find((round) => round >= value) ?? power * 10
}
