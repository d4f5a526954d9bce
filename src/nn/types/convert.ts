import type { CHILDREN, Module } from '../../model/module.js'
import type { FloatDType } from '../../shapes/dtype.js'
import type { Buffer, Parameter } from '../../tensor/tensor.js'
import type { Sequential } from './chain.js'
import type { AddInto, Repeated, Residual, SplitInto } from './combinators.js'
import type { BatchNorm2d, Conv2d, UnbiasedConv2d } from './images.js'
import type { BatchNorm1d, Embedding, LayerNorm, Linear, UnbiasedLinear } from './layers.js'

/**
 * The model M with floats of dtype D: built-in modules as if made so, tensors and lists likewise. Of other classes every
 * field is converted; what their forward takes then is not known.
 */
export type Converted<M, D extends FloatDType> = M extends { readonly [CHILDREN]: readonly [] }
  ? M
  : M extends Parameter<infer S, FloatDType>
    ? Parameter<S, D>
    : M extends Buffer<infer S, FloatDType>
      ? Buffer<S, D>
      : M extends readonly unknown[]
        ? { [K in keyof M]: Converted<M[K], D> }
        : M extends Module
          ? ConvertedModule<M, D>
          : M

type ConvertedModule<M, D extends FloatDType> =
  M extends Sequential<infer Ms>
    ? Sequential<Converted<Ms, D>>
    : M extends Linear<infer I, infer O, FloatDType>
      ? Linear<I, O, D>
      : M extends UnbiasedLinear<infer I, infer O, FloatDType>
        ? UnbiasedLinear<I, O, D>
        : M extends Conv2d<infer I, infer O, infer K, infer St, infer P, infer Di, infer G, FloatDType>
          ? Conv2d<I, O, K, St, P, Di, G, D>
          : M extends UnbiasedConv2d<infer I, infer O, infer K, infer St, infer P, infer Di, infer G, FloatDType>
            ? UnbiasedConv2d<I, O, K, St, P, Di, G, D>
            : M extends LayerNorm<infer I, FloatDType>
              ? LayerNorm<I, D>
              : M extends BatchNorm1d<infer C, FloatDType>
                ? BatchNorm1d<C, D>
                : M extends BatchNorm2d<infer C, FloatDType>
                  ? BatchNorm2d<C, D>
                  : M extends Embedding<infer V, infer E, FloatDType>
                    ? Embedding<V, E, D>
                    : ConvertedCombinator<M, D>

type ConvertedCombinator<M, D extends FloatDType> =
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
