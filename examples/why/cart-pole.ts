// CartPole-v1 with the constants of gym: a pole on a cart that is pushed left or right 50 times a second.
const [gravity, cart, pole, half, force, dt] = [9.8, 1.0, 0.1, 0.5, 10, 0.02]
const [farthest, steepest, longest] = [2.4, (12 * 2 * Math.PI) / 360, 500]

/** What a push leads to: it has fallen, or the episode is over, which it also is after 500 steps. */
export interface Move {
  readonly next: readonly number[]
  readonly fallen: boolean
  readonly over: boolean
}

/** The state is the cart's place and speed, the pole's angle and speed; each step that it stands earns 1. */
export class CartPole {
  #state: readonly number[] = []
  #steps = 0

  constructor(readonly random: () => number) {}

  reset(): readonly number[] {
    this.#steps = 0
    this.#state = [0, 0, 0, 0].map(() => this.random() * 0.1 - 0.05)
    return this.#state
  }

  /** Pushes to the left with action 0, to the right with 1; Euler's step, in gym's order. */
  step(action: number): Move {
    const [x = 0, speed = 0, angle = 0, turning = 0] = this.#state
    const [sin, cos, mass] = [Math.sin(angle), Math.cos(angle), cart + pole]
    const push = ((action === 1 ? force : -force) + pole * half * turning ** 2 * sin) / mass
    const turn = (gravity * sin - cos * push) / (half * (4 / 3 - (pole * cos ** 2) / mass))
    const pull = push - (pole * half * turn * cos) / mass
    const next = [x + dt * speed, speed + dt * pull, angle + dt * turning, turning + dt * turn] as const
    this.#state = next
    const fallen = Math.abs(next[0]) > farthest || Math.abs(next[2]) > steepest
    return { next, fallen, over: fallen || ++this.#steps === longest }
  }
}
