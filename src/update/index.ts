export { copy } from './copy.js'
export type { BufferPolicy, UpdateRule } from './define.js'
export { type EmaOptions, ema } from './ema.js'
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
