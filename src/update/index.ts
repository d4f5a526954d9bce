export { copy } from './copy.js'
export type { BufferPolicy, UpdateRule } from './define.js'
export { type EmaOptions, ema } from './ema.js'
export { type UpdateOptions, type UpdatePair, update } from './update.js'
