import { adam, adamw, rmsprop, sgd, sparseAdam } from 'dfdt/optim'

/** Every optimizer: a row here gives it its golden numbers (tools/golden/optim.py) and the tests that all share. */
export const optimizers = { sgd, adam, adamw, rmsprop, sparseAdam }

export type OptimizerName = keyof typeof optimizers

/** Options that give each a state to keep, and ones that it refuses, with what it says. */
export const rows: Record<
  OptimizerName,
  { stateful: object; wrong: readonly (readonly [options: object, message: string])[] }
> = {
  sgd: {
    stateful: { lr: 0.1, momentum: 0.9 },
    wrong: [
      [{ momentum: 1 }, 'momentum must be in [0, 1), got 1'],
      [{ momentum: -0.1 }, 'momentum must be in [0, 1), got -0.1'],
      [{ momentum: Number.NaN }, 'momentum must be in [0, 1), got NaN'],
      [{ nesterov: true, momentum: 0 }, 'nesterov needs a momentum and no dampening'],
      [{ nesterov: true, momentum: 0.9, dampening: 0.1 }, 'nesterov needs a momentum and no dampening'],
      [{ weightDecay: -1 }, 'weightDecay must be at least 0, got -1'],
      [{ dampening: Number.NaN }, 'dampening must be a finite number, got NaN'],
    ],
  },
  adam: {
    stateful: { lr: 0.01 },
    wrong: [
      [{ beta1: 1 }, 'beta1 must be in [0, 1), got 1'],
      [{ beta2: -0.1 }, 'beta2 must be in [0, 1), got -0.1'],
      [{ eps: -1 }, 'eps must be at least 0, got -1'],
      [{ weightDecay: -1 }, 'weightDecay must be at least 0, got -1'],
    ],
  },
  adamw: {
    stateful: { lr: 0.01 },
    wrong: [
      [{ beta1: 1.5 }, 'beta1 must be in [0, 1), got 1.5'],
      [{ eps: Number.NaN }, 'eps must be at least 0, got NaN'],
      [{ weightDecay: -1 }, 'weightDecay must be at least 0, got -1'],
    ],
  },
  sparseAdam: {
    stateful: { lr: 0.01 },
    wrong: [
      [{ beta1: 1 }, 'beta1 must be in [0, 1), got 1'],
      [{ beta2: 1.5 }, 'beta2 must be in [0, 1), got 1.5'],
      [{ eps: -1 }, 'eps must be at least 0, got -1'],
    ],
  },
  rmsprop: {
    stateful: { lr: 0.01, momentum: 0.9 },
    wrong: [
      [{ alpha: 1 }, 'alpha must be in [0, 1), got 1'],
      [{ momentum: -1 }, 'momentum must be at least 0, got -1'],
      [{ momentum: Number.NaN }, 'momentum must be at least 0, got NaN'],
      [{ eps: -1 }, 'eps must be at least 0, got -1'],
      [{ weightDecay: -1 }, 'weightDecay must be at least 0, got -1'],
    ],
  },
}
