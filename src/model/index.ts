export { assign, type Owned } from './assign.js'
export { clone } from './clone.js'
export { countParameters } from './count.js'
export { freeze, unfreeze } from './freeze.js'
export { mapTensors } from './map.js'
export type { Module } from './module.js'
export {
  type NamedBuffer,
  namedParameters,
  type NamedParameter,
  type NamedTensor,
  namedTensors,
  stateOf,
  type TensorPath,
} from './named.js'
export type { Buffers, Params, ParamPath, PathPattern, State } from './paths.js'
export { resetParameters } from './reset.js'
export type { SavedState, SavedTensor } from './saved.js'
export { type ForEach, type ZippedTensor, zipParameters, zipTensors } from './zip.js'
