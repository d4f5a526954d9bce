// Q-learning moves a network towards a goal that the network itself computes: each step moves the goal as well. A target
// network that follows slowly keeps it still. The same DQN with and without one (Lillicrap and others, 2016, tau).
import { compile, f32, i32, manualSeed, mse, select } from 'dfdt'
import { linear, relu, sequential } from 'dfdt/nn'
import { adam } from 'dfdt/optim'
import { ema, follow } from 'dfdt/update'
import { CartPole } from './cart-pole.js'
import { compare, randomFrom, small, stepsOr } from './compare.js'

const [usual, warmup, episodes] = small ? [8_000, 500, 10] : [50_000, 1_000, 100]
const steps = stepsOr(usual)
const [batch, capacity, discount] = [64, 20_000, 0.99] as const

function train(seed: number, withTarget: boolean): number {
  manualSeed(seed)
  const random = randomFrom(seed)
  const online = sequential(linear(4, 64), relu(), linear(64, 64), relu(), linear(64, 2))
  const target = withTarget ? follow(online, ema({ tau: 0.01 })) : undefined
  const judge = target?.model ?? online
  const optimizer = adam(online, { lr: (step) => 2e-3 * (1 - step / (steps + 1)) })

  const scores = compile([f32(1, 4)], (state) => online.forward(state).argmax(1))
  const greedy = (state: readonly number[]): number => {
    const action = scores(Float32Array.from(state))
    const [best = 0] = action.dataSync()
    action.dispose()
    return best
  }
  const learn = compile([f32(batch, 4), i32(batch), f32(batch, 4), f32(batch)], (state, action, next, standing) => {
    const goal = judge.forward(next).max(1).mul(standing).mul(discount).add(1)
    // The squared error: Huber's would let many small errors outvote the one large error of a fall.
    const loss = mse(select(online.forward(state.trace()), 1, action), goal)
    optimizer.step(loss.backward())
    target?.update()
    return loss
  })

  // What was seen lately, as columns of a ring; batches are drawn from it at random.
  const seen = columns(capacity)
  const drawn = columns(batch)
  const world = new CartPole(random)
  let state = world.reset()
  for (let step = 0; step < steps; step++) {
    const exploring = Math.max(0.05, 1 - step / (0.2 * steps))
    const action = random() < exploring ? Math.floor(random() * 2) : greedy(state)
    const { next, fallen, over } = world.step(action)
    const at = step % capacity
    seen.state.set(state, at * 4)
    seen.action[at] = action
    seen.next.set(next, at * 4)
    // An episode cut off at 500 has not ended: its future still counts.
    seen.standing[at] = fallen ? 0 : 1
    state = over ? world.reset() : next
    if (step < warmup) continue
    for (let i = 0; i < batch; i++) {
      const from = Math.floor(random() * Math.min(step + 1, capacity))
      drawn.state.set(seen.state.subarray(from * 4, from * 4 + 4), i * 4)
      drawn.action[i] = seen.action[from] ?? 0
      drawn.next.set(seen.next.subarray(from * 4, from * 4 + 4), i * 4)
      drawn.standing[i] = seen.standing[from] ?? 0
    }
    learn(drawn.state, drawn.action, drawn.next, drawn.standing).dispose()
  }

  const trial = new CartPole(randomFrom(1_000_000 + seed))
  let survived = 0
  for (let episode = 0; episode < episodes; episode++) {
    let { next, over } = { next: trial.reset(), over: false }
    for (; !over; survived++) ({ next, over } = trial.step(greedy(next)))
  }
  scores.dispose()
  learn.dispose()
  return survived / episodes
}

const columns = (rows: number) => ({
  state: new Float32Array(rows * 4),
  action: new Int32Array(rows),
  next: new Float32Array(rows * 4),
  standing: new Float32Array(rows),
})

export const results = compare(
  `CartPole-v1, return of the greedy policy, mean of ${episodes} episodes; 500 is the most`,
  (seed) => ({ 'with a target network': train(seed, true), without: train(seed, false) }),
  (score) => score.toFixed(1),
)
