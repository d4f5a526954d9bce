import { isLoaded, watch } from './machine.js'
import { median } from './median.js'
import { type Command, Player } from './play.js'
import type { Hello, Round } from './protocol.js'

/** One line of a table to be: who plays what. */
export interface Entrant {
  readonly workload: string
  readonly command: Command
  /** Every round is a new process. */
  readonly fresh: boolean
}

export interface Pace {
  readonly rounds: number
  /** Milliseconds of a round, at least. */
  readonly budget: number
}

export interface Timed extends Hello {
  readonly workload: string
  /** Median of the counted rounds' medians, in ms. */
  readonly ms: number
  readonly best: number
  /** Cores that other work kept busy, median of the counted rounds. */
  readonly others: number
}

export interface Failed {
  readonly workload: string
  readonly failure: string
}

/** The rounds that count: those in which the machine was ours, when there are at least three of them, else all. */
export function quietOnes<R extends { readonly others: number }>(rounds: readonly R[]): readonly R[] {
  const quiet = rounds.filter(({ others }) => !isLoaded(others))
  return quiet.length >= 3 ? quiet : rounds
}

/** Rounds thrown away at the start, while the engine still compiles. */
const warmUp = 4

/**
 * Times all entrants in the same minutes: a round of each, then the next round of each, so that whatever else happens on
 * the machine falls on all of them. Every entrant has a process of its own, which sleeps between its rounds.
 */
export async function interleave(
  entrants: readonly Entrant[],
  { rounds, budget }: Pace,
  progress: (text: string) => void,
): Promise<(Timed | Failed)[]> {
  const tables = await inTurn(entrants, async (entrant) => {
    progress(`warming up: ${entrant.workload}`)
    return Seat.take(entrant, budget)
  })
  for (let round = 1; round <= rounds; round++) {
    progress(`round ${round} of ${rounds}`)
    // Backwards every other time: nobody always follows the same neighbour.
    await inTurn(round % 2 === 0 ? [...tables].reverse() : tables, (seat) => seat.play(budget))
  }
  return inTurn(tables, (seat) => seat.leave())
}

async function inTurn<A, B>(items: readonly A[], work: (item: A) => Promise<B>): Promise<B[]> {
  const done: B[] = []
  for (const item of items) done.push(await work(item))
  return done
}

/** An entrant with its process and what it has done so far. */
class Seat {
  readonly #entrant: Entrant
  readonly #rounds: (Round & { others: number })[] = []
  #player: Player | undefined
  #hello: Hello | undefined
  #failure: string | undefined

  private constructor(entrant: Entrant) {
    this.#entrant = entrant
  }

  static async take(entrant: Entrant, budget: number): Promise<Seat> {
    const seat = new Seat(entrant)
    if (!entrant.fresh) {
      await seat.#safely(async () => {
        await (await seat.#start()).round(warmUp * budget)
      })
    }
    return seat
  }

  async play(budget: number): Promise<void> {
    await this.#safely(async () => {
      const others = watch()
      const player = this.#player ?? (await this.#start())
      const round = await player.round(budget)
      this.#rounds.push({ ...round, others: others(round.cpu) })
      if (this.#entrant.fresh) await this.#stop()
    })
  }

  async leave(): Promise<Timed | Failed> {
    await this.#stop()
    const { workload } = this.#entrant
    if (this.#failure !== undefined || !this.#hello) return { workload, failure: this.#failure ?? 'it never started' }
    const counted = quietOnes(this.#rounds)
    return {
      workload,
      ...this.#hello,
      ms: median(counted.map(({ ms }) => ms)),
      best: Math.min(...this.#rounds.map(({ best }) => best)),
      others: median(counted.map(({ others }) => others)),
    }
  }

  async #start(): Promise<Player> {
    this.#player = await Player.start(this.#entrant.command)
    this.#hello = this.#player.hello
    return this.#player
  }

  async #stop(): Promise<void> {
    const player = this.#player
    this.#player = undefined
    await player?.end()
  }

  /** A failure ends this entrant's play and nobody else's. */
  async #safely(work: () => Promise<void>): Promise<void> {
    if (this.#failure !== undefined) return
    try {
      await work()
    } catch (error) {
      this.#failure = error instanceof Error ? error.message : String(error)
    }
  }
}
