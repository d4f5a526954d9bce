export { type AdamOptions, adam, adamw } from './adam.js'
export {
  defineOptimizer,
  type LearningRate,
  type Optimizer,
  type OptimizerDefinition,
  type OptimizerOptions,
  type OptimizerState,
} from './define.js'
export { type RmspropOptions, rmsprop } from './rmsprop.js'
export { type SgdOptions, sgd } from './sgd.js'
export { type SparseAdamOptions, sparseAdam } from './sparse-adam.js'
