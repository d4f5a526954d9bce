/**
 * What a player, the process that runs one workload, says and hears on its standard streams: one JSON object a line.
 * It says `Hello` when all is built, then answers every `Ask` with a `Round`, and ends with its input.
 */
export interface Hello {
  readonly threads: number
  /** The mode of our kernels, or a peer's version. */
  readonly mode: string
  /** The language's version: v26.1.0, Python 3.12.3. */
  readonly runtime: string
}

export interface Ask {
  /** How long to run, at least. */
  readonly milliseconds: number
}

export interface Round {
  /** Median time of a run in ms. */
  readonly ms: number
  /** The shortest run. */
  readonly best: number
  /** Processor time of all its threads in this round, in seconds; since it started where the round is its only one. */
  readonly cpu: number
}
