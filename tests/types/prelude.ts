/**
 * Everything the type tests use: the library as users import it, its shape rules, and words to state a type with. The
 * imports are the only lines that name a place, so that the same tests run against the sources and against the
 * declarations of the built library.
 */
import type { Params } from '../../src/entry/nn.js'

export { bool, compile, crossEntropy, dim, f32, i32, ones, tensor, zeros } from '../../src/entry/index.js'
export {
  avgPool2d as avgPool2dOp,
  avgPoolGlobal as avgPoolGlobalOp,
  conv2d as conv2dOp,
  flatten2d as flatten2dOp,
  maxPool2d as maxPool2dOp,
} from '../../src/entry/index.js'
export {
  addInto,
  assign,
  avgPool2d,
  avgPoolGlobal,
  batchNorm1d,
  batchNorm2d,
  clone,
  conv2d,
  convert,
  dropout,
  embedding,
  flatten,
  flatten2d,
  freeze,
  inference,
  layerNorm,
  linear,
  mapTensors,
  maxPool2d,
  maxPoolGlobal,
  namedParameters,
  namedTensors,
  parameter,
  relu,
  repeated,
  resetParameters,
  residual,
  sequential,
  splitInto,
  stateOf,
  tanh,
  zipParameters,
  zipTensors,
} from '../../src/entry/nn.js'
export { adam, sgd } from '../../src/entry/optim.js'
export { averageFiles, emaFiles } from '../../src/entry/files.js'
export { type Averaged, copy, ema, follow, postHocEma, schedules, swa, update } from '../../src/entry/update.js'

export type * from '../../src/model/paths.js'
export type * from '../../src/nn/module.js'
export type * from '../../src/shapes/arithmetic.js'
export type * from '../../src/shapes/axes.js'
export type * from '../../src/shapes/broadcast.js'
export type * from '../../src/shapes/concat.js'
export type { ConvDim } from '../../src/shapes/conv.js'
export type * from '../../src/shapes/dim.js'
export type * from '../../src/shapes/dtype.js'
export type { Flatten as FlattenShape } from '../../src/shapes/flatten.js'
export type * from '../../src/shapes/gather.js'
export type * from '../../src/shapes/matmul.js'
export type * from '../../src/shapes/nested.js'
export type * from '../../src/shapes/permute.js'
export type * from '../../src/shapes/reduce.js'
export type * from '../../src/shapes/reshape.js'
export type * from '../../src/shapes/slice.js'
export type * from '../../src/tensor/tensor.js'

/** The parameters of a model by path, of which only the type is looked at. */
export declare function paramsOf<M>(model: M): Params<M>
/** Whether two types are the same, `any` and `never` included. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
/** Compiles when A is true. */
export declare function check<A extends true>(): void
/** `is<Expected>()(value, true)` compiles when the type of value is Expected exactly. */
export declare function is<B>(): <A>(a: A, same: Equal<A, B>) => void
