import type { CHILDREN, Module } from '../../model/module.js'
import type { FloatDType, HalfDType } from '../../shapes/dtype.js'
import type { Buffer, Parameter } from '../../tensor/tensor.js'
import type { Sequential } from './chain.js'
import type { AddInto, Repeated, Residual, SplitInto } from './combinators.js'
import type { BatchNorm2d, Conv2d, UnbiasedConv2d } from './images.js'
import type { BatchNorm1d, Embedding, LayerNorm, Linear, UnbiasedLinear } from './layers.js'

/** What becomes of floats: all have one dtype, or those of two bytes take f32 and others stay. */
export type Conversion = FloatDType | 'widened'
type To<D extends Conversion, Own extends FloatDType> = D extends FloatDType ? D : Own extends HalfDType ? 'f32' : Own

/**
 * The model M with floats of dtype D: built-in modules as if made so, tensors and lists likewise. Of other classes every
 * field is converted; what their forward takes then is not known.
 */
export type Converted<M, D extends Conversion> = M extends { readonly [CHILDREN]: readonly [] }
  ? M
  : M extends Parameter<infer S, infer Own extends FloatDType>
    ? Parameter<S, To<D, Own>>
    : M extends Buffer<infer S, infer Own extends FloatDType>
      ? Buffer<S, To<D, Own>>
      : M extends readonly unknown[]
        ? { [K in keyof M]: Converted<M[K], D> }
        : M extends Module
          ? ConvertedModule<M, D>
          : M

type ConvertedModule<M, D extends Conversion> =
  M extends Sequential<infer Ms>
    ? Sequential<Converted<Ms, D>>
    : M extends Linear<infer I, infer O, infer Own extends FloatDType>
      ? Linear<I, O, To<D, Own>>
      : M extends UnbiasedLinear<infer I, infer O, infer Own extends FloatDType>
        ? UnbiasedLinear<I, O, To<D, Own>>
        : M extends Conv2d<
              infer I,
              infer O,
              infer K,
              infer St,
              infer P,
              infer Di,
              infer G,
              infer Own extends FloatDType
            >
          ? Conv2d<I, O, K, St, P, Di, G, To<D, Own>>
          : M extends UnbiasedConv2d<
                infer I,
                infer O,
                infer K,
                infer St,
                infer P,
                infer Di,
                infer G,
                infer Own extends FloatDType
              >
            ? UnbiasedConv2d<I, O, K, St, P, Di, G, To<D, Own>>
            : M extends LayerNorm<infer I, infer Own extends FloatDType>
              ? LayerNorm<I, To<D, Own>>
              : M extends BatchNorm1d<infer C, infer Own extends FloatDType>
                ? BatchNorm1d<C, To<D, Own>>
                : M extends BatchNorm2d<infer C, infer Own extends FloatDType>
                  ? BatchNorm2d<C, To<D, Own>>
                  : M extends Embedding<infer V, infer E, infer Own extends FloatDType>
                    ? Embedding<V, E, To<D, Own>>
                    : ConvertedCombinator<M, D>

type ConvertedCombinator<M, D extends Conversion> =
  M extends Residual<infer B>
    ? Residual<Converted<B, D>>
    : M extends AddInto<infer A, infer B>
      ? AddInto<Converted<A, D>, Converted<B, D>>
      : M extends SplitInto<infer Ms>
        ? SplitInto<Converted<Ms, D>>
        : M extends Repeated<infer N, infer B>
          ? Repeated<N, Converted<B, D>>
          : // biome-ignore lint/suspicious/noExplicitAny: only the class itself could say what its forward takes then
            { [K in keyof M]: K extends 'forward' ? (x: any) => any : Converted<M[K], D> }
