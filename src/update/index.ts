export { copy } from './copy.js'
export {
  defineRule,
  type Measure,
  type RuleDefinition,
  type RuleKind,
  type Schedule,
  type Start,
  type Treatment,
  type UpdateRule,
  type UpdateTime,
} from './define.js'
export { ema } from './ema.js'
export type { ConstantRate, UpdateRate } from './rate.js'
export type { BufferPolicy, Selection, TensorInfo } from './treatment.js'
export { follow } from './follow.js'
export type { Averaged } from './averaged.js'
export type { NonFinitePolicy, Precision } from './blend.js'
export type { Progress, Timing, TrainingState, Unit } from './clock.js'
export type { Drift } from './drift.js'
export type { Shadow, ShadowOptions } from './shadow.js'
export type { Observed, SavedTensor, ShadowState } from './shadow-state.js'
export {
  gammaOf,
  type PostHoc,
  type PowerProfile,
  type PowerSnapshot,
  postHocWeights,
  sigmaRelOf,
  snapshotMetadata,
} from './post-hoc.js'
export { type UpdateOptions, type UpdatePair, update } from './update.js'
