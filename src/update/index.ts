export { average, type AverageOperands, type AverageOptions } from './average.js'
export { copy } from './rules/copy.js'
export {
  defineRule,
  type Measure,
  type RuleDefinition,
  type RuleKind,
  type Schedule,
  type Start,
  type StatefulRule,
  type Treatment,
  type UpdateRule,
  type UpdateTime,
} from './define.js'
export { ema } from './rules/ema.js'
export type { ConstantRate, CurrentRate, UpdateRate } from './rate.js'
export type { BufferPolicy, Selection, TensorInfo } from './treatment.js'
export { follow } from './follow.js'
export type { Averaged } from './averaged.js'
export type { NonFinitePolicy, Precision } from './blend.js'
export type { Progress, Timing, TrainingState, Unit } from './clock.js'
export type { Drift } from './drift.js'
export { reseed } from './reseed.js'
export type { Shadow, ShadowOptions } from './shadow.js'
export type { Observed, ShadowState } from './shadow-state.js'
export {
  gammaOf,
  type PostHoc,
  type PowerProfile,
  type PowerSnapshot,
  postHocWeights,
  sigmaRelOf,
  snapshotMetadata,
} from './post-hoc.js'
export { type ModelSnapshot, postHocEma, type PostHocTarget } from './post-hoc-ema.js'
export { type UpdateOptions, type UpdatePair, update } from './update.js'
export { elastic } from './rules/elastic.js'
export { lerp } from './rules/lerp.js'
export { lookahead } from './rules/lookahead.js'
export { outerNesterov } from './rules/outer-nesterov.js'
export { powerEma } from './rules/power-ema.js'
export { slerp } from './rules/slerp.js'
export { greedySoup, modelStock, type Score, type Soup, wiseFt, type WiseFtPoint } from './soups.js'
export { swa } from './rules/swa.js'
export { switchEma } from './rules/switch-ema.js'
export { schedules } from './schedule.js'
