import { atLeastZero, defineOptimizer, type LearningRate } from './define.js'

/** What `sgd` may be told. */
export interface SgdOptions {
  /** Step size. Default 1e-2. */
  readonly lr: LearningRate
  /** Weight of the previous velocity. Default 0: none is kept. */
  readonly momentum: number
  /** Part of the gradient that does not enter the velocity. Default 0. */
  readonly dampening: number
  /** L2 penalty added to the gradient. Default 0. */
  readonly weightDecay: number
  /** Looks ahead by the momentum (Nesterov). Default false. */
  readonly nesterov: boolean
}

const defaults: SgdOptions = { lr: 1e-2, momentum: 0, dampening: 0, weightDecay: 0, nesterov: false }

/**
 * Stochastic gradient descent: `g ← g + weightDecay·p`, `v ← momentum·v + (1 − dampening)·g`,
 * `p ← p − lr·v`, or with Nesterov `p ← p − lr·(g + momentum·v)`.
 *
 * Without momentum and weight decay only the rows of an embedding that were looked up are read and written, if they are few.
 *
 * Throws: `OptionError` for values out of range.
 * Torch: `torch.optim.SGD`; as there, the first velocity is `g` without dampening. `lr` defaults to 1e-3 there.
 * Paper: Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum", 2013.
 * @example const optimizer = sgd(model, { lr: 0.1, momentum: 0.9 })
 */
export const sgd = defineOptimizer({
  name: 'sgd',
  defaults,
  state: ({ momentum }) => (momentum === 0 ? [] : ['v']),
  untouched: ({ momentum, weightDecay }) => (momentum === 0 && weightDecay === 0 ? 'same' : undefined),
  check: ({ momentum, dampening, weightDecay, nesterov }) => {
    if (!(momentum >= 0 && momentum < 1)) return `momentum must be in [0, 1), got ${momentum}`
    if (!Number.isFinite(dampening)) return `dampening must be a finite number, got ${dampening}`
    if (nesterov && (momentum === 0 || dampening !== 0)) return 'nesterov needs a momentum and no dampening'
    return atLeastZero({ weightDecay })
  },
  scalars: ({ lr, momentum, dampening, weightDecay }, step) => ({
    lr,
    momentum,
    take: step === 1 ? 1 : 1 - dampening,
    weightDecay,
  }),
  update: ({ p, g, v }, s, { momentum, weightDecay, nesterov }) => {
    const gradient = weightDecay === 0 ? g : g.add(p.mul(s.weightDecay))
    if (momentum === 0) return { p: p.sub(gradient.mul(s.lr)) }
    const velocity = v.mul(s.momentum).add(gradient.mul(s.take))
    const direction = nesterov ? gradient.add(velocity.mul(s.momentum)) : velocity
    return { p: p.sub(direction.mul(s.lr)), v: velocity }
  },
})
