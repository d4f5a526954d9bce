import type { CHILDREN } from '../../model/module.js'
import type { Box, Shape, Show, ShowDim } from '../../shapes/dim.js'
import type { FloatDType, IntDType } from '../../shapes/dtype.js'
import type { Flatten as FlattenShape } from '../../shapes/flatten.js'
import type { Buffer, Parameter, Tape, Tensor } from '../../tensor/tensor.js'
import type { ACCEPTS, Fn, IN, Layer, WithName, OUT } from './apply.js'

/** As Box, for two comparisons at once. */
interface Pair<out A, out B> {
  readonly values: [A, B]
}

type LinearMessage<I extends number, O extends number, K> = `linear(${I} -> ${O}) got last dimension ${ShowDim<K>}`

/** The output of linear(I, O) for X, or a message. */
export type LinearOut<X, I extends number, O extends number, D extends FloatDType> =
  X extends Tensor<infer S, infer DX, infer T>
    ? S extends [...infer L extends Shape, infer K]
      ? Pair<K, DX> extends Pair<I, D>
        ? Tensor<[...L, O], D, T>
        : Box<K> extends Box<I>
          ? `linear(${I} -> ${O}) is ${D}, got ${DX}`
          : LinearMessage<I, O, K>
      : `linear(${I} -> ${O}) got shape ${Show<S>}`
    : `linear(${I} -> ${O}) got a non-tensor`

/** y = x W^T + b over the last dimension, any leading ones. */
export interface Linear<out I extends number, out O extends number, out D extends FloatDType = 'f32'> extends Fn {
  readonly weight: Parameter<[O, I], D>
  readonly bias: Parameter<[O], D>
  readonly [ACCEPTS]: Tensor<[...number[], I], D>
  readonly [OUT]: LinearOut<this[IN], I, O, D>
  /** The condition looks at K alone, so it also resolves in generic code, for any leading dimensions L. */
  forward<L extends Shape, K extends number, T extends Tape>(
    x: Box<K> extends Box<I> ? Tensor<[...L, K], D, T> : LinearMessage<I, O, K>,
  ): Tensor<[...L, O], D, T>
}
/**
 * y = x W^T over the last dimension: what linear(I, O, { bias: false }) gives. Not the base of Linear, because
 * resolving a base type costs the compiler as much as the layer itself.
 */
export interface UnbiasedLinear<out I extends number, out O extends number, out D extends FloatDType = 'f32'>
  extends Fn {
  readonly weight: Parameter<[O, I], D>
  readonly bias?: never
  readonly [ACCEPTS]: Tensor<[...number[], I], D>
  readonly [OUT]: LinearOut<this[IN], I, O, D>
  forward<L extends Shape, K extends number, T extends Tape>(
    x: Box<K> extends Box<I> ? Tensor<[...L, K], D, T> : LinearMessage<I, O, K>,
  ): Tensor<[...L, O], D, T>
}
/** What linear() may be told. */
export interface LinearOptions<D extends FloatDType = FloatDType, B extends boolean = boolean> {
  readonly dtype?: D
  readonly bias?: B
}
/** The type of `linear`. */
export type LinearFactory = <
  const I extends number,
  const O extends number,
  D extends FloatDType = 'f32',
  B extends boolean = true,
>(
  inFeatures: I,
  outFeatures: O,
  options?: LinearOptions<D, B>,
) => [B] extends [false] ? UnbiasedLinear<I, O, D> : Linear<I, O, D>

/** A layer that changes values only: the output has the type of the input. */
export interface Elementwise<out N extends string = string> extends Fn {
  readonly name: N
  readonly [CHILDREN]: []
  readonly [OUT]: this[IN]
  forward<S extends Shape, D extends FloatDType, T extends Tape>(x: Tensor<S, D, T>): Tensor<S, D, T>
}
/** `max(x, 0)`; what `relu()` makes. */
export interface ReLU extends Elementwise<'relu'> {}
/** x where positive, else `negativeSlope · x`; what `leakyRelu()` makes. */
export interface LeakyReLU extends Elementwise<'leakyRelu'> {
  readonly negativeSlope: number
}
/** `x · Φ(x)` or its tanh approximation; what `gelu()` makes. */
export interface GELU extends Elementwise<'gelu'> {
  readonly approximate: 'none' | 'tanh'
}
/** The hyperbolic tangent; what `tanh()` makes. */
export interface Tanh extends Elementwise<'tanh'> {}
/** `1 / (1 + e^−x)`; what `sigmoid()` makes. */
export interface Sigmoid extends Elementwise<'sigmoid'> {}
/** `log(1 + e^x)`; what `softplus()` makes. */
export interface Softplus extends Elementwise<'softplus'> {}
/** Zeroes elements with probability p on a taped input, and passes others through: the tape decides. */
export interface Dropout extends Elementwise<'dropout'> {
  readonly p: number
}

type LayerNormMessage<I extends number, K> = `layerNorm(${I}) got last dimension ${ShowDim<K>}`
type LayerNormOut<X, I extends number, D extends FloatDType> =
  X extends Tensor<infer S, infer DX, infer _T>
    ? S extends [...unknown[], infer K]
      ? Box<K> extends Box<I>
        ? Box<DX> extends Box<D>
          ? X
          : `layerNorm(${I}) is ${D}, got ${DX}`
        : LayerNormMessage<I, K>
      : `layerNorm(${I}) got shape ${Show<S>}`
    : `layerNorm(${I}) got a non-tensor`
/** Normalizes the last dimension to mean 0 and variance 1, then scales and shifts it. */
export interface LayerNorm<out I extends number, out D extends FloatDType = 'f32'> extends Fn {
  readonly weight: Parameter<[I], D>
  readonly bias: Parameter<[I], D>
  readonly eps: number
  readonly [ACCEPTS]: Tensor<[...number[], I], D>
  readonly [OUT]: LayerNormOut<this[IN], I, D>
  forward<L extends Shape, K extends number, T extends Tape>(
    x: Box<K> extends Box<I> ? Tensor<[...L, K], D, T> : LayerNormMessage<I, K>,
  ): Tensor<[...L, I], D, T>
}
/** The type of `layerNorm`. */
export type LayerNormFactory = <const I extends number, D extends FloatDType = 'f32'>(
  features: I,
  options?: { readonly eps?: number; readonly dtype?: D },
) => LayerNorm<I, D>

/** [N, C] and [N, C, L] have their features at axis 1. When the rank is not known, [N, C] is assumed for the dry run. */
type BatchNorm1dOut<X, C extends number, D extends FloatDType> =
  X extends Tensor<infer S, infer DX, infer T>
    ? Box<DX> extends Box<D>
      ? S extends [unknown, infer K] | [unknown, infer K, unknown]
        ? Box<K> extends Box<C>
          ? X
          : `batchNorm1d(${C}) got ${ShowDim<K>} features`
        : number extends S['length']
          ? Tensor<[number, C], DX, T>
          : `batchNorm1d(${C}) got shape ${Show<S>}, needs [N, ${C}] or [N, ${C}, L]`
      : `batchNorm1d(${C}) is ${D}, got ${DX}`
    : `batchNorm1d(${C}) got a non-tensor`
/** Normalizes each feature over the batch on a taped input, by the running statistics on others. */
// @ts-ignore TS2636: forward is computed by a conditional type, which the compiler cannot prove covariant
export interface BatchNorm1d<out C extends number, out D extends FloatDType = 'f32'> extends Layer {
  readonly weight: Parameter<[C], D>
  readonly bias: Parameter<[C], D>
  readonly running_mean: Buffer<[C], D>
  readonly running_var: Buffer<[C], D>
  readonly num_batches_tracked: Buffer<[], 'i32'>
  readonly eps: number
  readonly momentum: number
  readonly [ACCEPTS]: Tensor<[number, C], D>
  readonly [OUT]: BatchNorm1dOut<this[IN], C, D>
}
/** The type of `batchNorm1d`. */
export type BatchNorm1dFactory = <const C extends number, D extends FloatDType = 'f32'>(
  features: C,
  options?: { readonly eps?: number; readonly momentum?: number; readonly dtype?: D },
) => BatchNorm1d<C, D>

/** Merges all dimensions but the first. */
export interface Flatten extends Layer {
  readonly name: 'flatten'
  readonly [OUT]: this[IN] extends Tensor<infer S, infer D, infer T>
    ? WithName<FlattenShape<S>, 'flatten', D, T>
    : never
}

/** A row of the table for each index. */
export interface Embedding<out V extends number, out E extends number, out D extends FloatDType = 'f32'> extends Fn {
  readonly weight: Parameter<[V, E], D>
  readonly [ACCEPTS]: Tensor<number[], 'i32'>
  readonly [OUT]: EmbeddingOut<this[IN], V, E, D>
  forward<S extends Shape, DI extends IntDType, T extends Tape>(x: Tensor<S, DI, T>): Tensor<[...S, E], D, T>
}
type EmbeddingOut<X, V extends number, E extends number, D extends FloatDType> =
  X extends Tensor<infer S, infer DX, infer T>
    ? DX extends IntDType
      ? Tensor<[...S, E], D, T>
      : `embedding(${V}, ${E}) needs i32 or u32 indices, got ${DX}`
    : `embedding(${V}, ${E}) got a non-tensor`
/** The type of `embedding`. */
export type EmbeddingFactory = <const V extends number, const E extends number, D extends FloatDType = 'f32'>(
  count: V,
  features: E,
  options?: { readonly dtype?: D },
) => Embedding<V, E, D>
