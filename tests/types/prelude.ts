/**
 * Everything the type tests use. The imports are the only lines that name a place, so that the same tests run against
 * the sources and against the built declarations.
 */
import type { PathPattern, Params, SameTree, SrcArg } from '../../src/model/paths.js'
import type { Rate } from '../../src/model/rate.js'
import type * as nn from '../../src/nn/module.js'
import type { Dim } from '../../src/shapes/dim.js'
import type * as tensors from '../../src/tensor/tensor.js'

export type * from '../../src/model/paths.js'
export type * from '../../src/nn/module.js'
export type * from '../../src/shapes/arithmetic.js'
export type * from '../../src/shapes/axes.js'
export type * from '../../src/shapes/broadcast.js'
export type * from '../../src/shapes/concat.js'
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

export declare const zeros: tensors.ShapedFactory
export declare const tensor: tensors.LiteralFactory
export declare function dim<const N extends string>(name: N, size: number): Dim<N>

export declare const linear: nn.LinearFactory
export declare const relu: () => nn.ReLU
export declare const tanh: () => nn.Tanh
export declare const dropout: (p?: number) => nn.Dropout
export declare const flatten: () => nn.Flatten
export declare const layerNorm: nn.LayerNormFactory
export declare const batchNorm1d: nn.BatchNorm1dFactory
export declare const embedding: nn.EmbeddingFactory
export declare const sequential: nn.SequentialFactory
export declare const residual: nn.ResidualFactory
export declare const addInto: nn.AddIntoFactory
export declare const splitInto: nn.SplitIntoFactory
export declare const repeated: nn.RepeatedFactory

export declare const RULE: unique symbol
export declare function ema(rate: Rate): { readonly [RULE]: true }
export declare function update<A extends nn.Module, B extends nn.Module>(
  models: { target: A; source: SrcArg<SameTree<A, B>, B> },
  rule: { readonly [RULE]: true },
  options?: { only?: readonly PathPattern<A>[] },
): void
export declare function stateDict<M extends nn.Module>(model: M): Params<M>

/** Whether two types are the same, `any` and `never` included. */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
/** Compiles when A is true. */
export declare function check<A extends true>(): void
/** `is<Expected>()(value, true)` compiles when the type of value is Expected exactly. */
export declare function is<B>(): <A>(a: A, same: Equal<A, B>) => void
