import type { CHILDREN, Module } from '../../model/module.js'
import type { Box, Shape } from '../../shapes/dim.js'
import type { Tape, Tensor } from '../../tensor/tensor.js'
import type { ACCEPTS, Apply, Fn, IN, Input, OUT, Result } from './apply.js'
import type { Elementwise } from './layers.js'

/** The output of the modules Ms one after another for input X, or `layer i: message`. */
export type Chain<Ms, X, I extends 0[] = []> = Ms extends [infer M, ...infer R]
  ? Apply<M, X> extends infer Y
    ? Y extends string
      ? `layer ${I['length']}: ${Y}`
      : Chain<R, Y, [...I, 0]>
    : never
  : X

/** The widest input that M accepts; unknown when it does not say. */
export type AcceptsOf<M> = M extends { readonly [ACCEPTS]: infer P }
  ? P
  : M extends { readonly [OUT]: unknown }
    ? unknown
    : M extends { forward(x: infer P): unknown }
      ? P
      : unknown

/**
 * The run at construction, with sizes unknown, from the first layer that states what it accepts. A message with a `?`
 * in it is not certain yet, so the run starts anew there and forward checks the rest. The result is the output with
 * unknown sizes, or which layer is wrong and why.
 */
type Dry<Ms, X = unknown> = Ms extends [infer M, ...infer R]
  ? unknown extends X
    ? Dry<R, Start<M>>
    : Apply<M, X> extends infer Y
      ? Y extends string
        ? Y extends `${string}?${string}`
          ? Dry<R, Start<M>>
          : { after: R; message: Y }
        : Dry<R, Y>
      : never
  : X
type Start<M> =
  AcceptsOf<M> extends infer P
    ? unknown extends P
      ? unknown
      : Apply<M, P> extends infer Y
        ? Y extends string
          ? unknown
          : Y
        : never
    : never

/** The argument at index K: the message when the dry run R stopped there, else the module itself. */
type LayerAt<R, K, Ms, M> = R extends { after: infer A extends unknown[]; message: infer E }
  ? Ms extends [...infer Before, unknown, ...A]
    ? K extends `${Before['length']}`
      ? NoInfer<E>
      : M
    : M
  : M

/** The arguments of `sequential`. */
export type CheckedLayers<Ms extends readonly unknown[]> = { [K in keyof Ms]: LayerAt<Dry<Ms>, K, Ms, Ms[K]> }

/** When every layer touches the last dimension only, forward is an ordinary generic method, also in generic code. */
type SequentialForward<Ms extends readonly unknown[]> =
  FirstAccepts<Ms> extends Tensor<infer SI, infer DI, infer _T>
    ? Dry<Ms> extends Tensor<infer SO, infer DO, infer _U>
      ? [SI, SO] extends [
          [...infer A extends number[], infer I extends number],
          [...infer B extends number[], infer O extends number],
        ]
        ? number extends A['length'] & B['length']
          ? <L extends Shape, K extends number, T extends Tape>(
              x: Box<K> extends Box<I> ? Tensor<[...L, K], DI, T> : Chain<Ms, Tensor<[...L, K], DI, T>>,
            ) => Tensor<[...L, O], DO, T>
          : ComputedForward<Ms>
        : ComputedForward<Ms>
      : ComputedForward<Ms>
    : ComputedForward<Ms>
type ComputedForward<Ms extends readonly unknown[]> = <X>(x: Input<Chain<Ms, X>, X>) => Result<Chain<Ms, X>>
type FirstAccepts<Ms> = Ms extends [infer M, ...infer R]
  ? M extends Elementwise
    ? FirstAccepts<R>
    : AcceptsOf<M>
  : unknown

/** Modules one after another; parameter paths begin with their index. */
export interface Sequential<out Ms extends readonly unknown[]> extends Fn {
  readonly layers: Ms
  readonly [CHILDREN]: Ms
  readonly [ACCEPTS]: FirstAccepts<Ms>
  readonly [OUT]: Chain<Ms, this[IN]>
  readonly forward: SequentialForward<Ms>
}
/** The type of `sequential`. A rest parameter needs no `const`, which would show `readonly` in every hover. */
export type SequentialFactory = <Ms extends readonly Module[]>(...layers: CheckedLayers<Ms>) => Sequential<Ms>
