import type { Module } from '../../model/module.js'
import type { Box, Shape, Show } from '../../shapes/dim.js'
import type { DType } from '../../shapes/dtype.js'
import type { Tape, Tensor } from '../../tensor/tensor.js'

/** The key of a module's input type, which `[OUT]` refers to as `this[IN]`. */
export const IN: unique symbol = Symbol('dfdt.in')
export type IN = typeof IN
/** The key of a module's output type, a function of `this[IN]`; a string is a message. */
export const OUT: unique symbol = Symbol('dfdt.out')
export type OUT = typeof OUT
/** The key of the widest input type that a module accepts: where the check of a new `sequential` starts. */
export const ACCEPTS: unique symbol = Symbol('dfdt.accepts')
export type ACCEPTS = typeof ACCEPTS

/** A module whose output type is computed: a function on types. These fields exist in the type only. */
export interface Fn {
  readonly [IN]: unknown
  readonly [OUT]: unknown
}

/** The output type of module M for an input of type X, or a message. */
export type Apply<M, X> = M extends { readonly [OUT]: unknown }
  ? (M & { readonly [IN]: X })[OUT]
  : M extends Module
    ? Plain<M, X>
    : 'not a module'

/** The type of a module's input: X when its output R is fine, otherwise the message R. */
export type Input<R, X> = [R] extends [object] ? X : NoInfer<R>

/** The output R, or a permissive tensor after a message, so one mistake gives one diagnostic. */
// biome-ignore lint/suspicious/noExplicitAny: after an error every use is accepted
export type Result<R> = [R] extends [string] ? Tensor<any, any, any> : R

/** A tensor of shape R, or the message R with the name of the layer. */
export type WithName<R, Name extends string, D extends DType, T extends Tape> = R extends string
  ? `${Name}: ${R}`
  : // @ts-ignore R is a shape here; asking would stay unresolved in generic code
    Tensor<R, D, T>

/** A module whose forward is computed from [OUT]. */
export interface Layer extends Fn {
  forward<X>(x: Input<Apply<this, X>, X>): Result<Apply<this, X>>
}

/** X as messages print it. */
export type ShowTensor<X> = X extends Tensor<infer S, infer _D, infer _T> ? Show<S> : 'a non-tensor'

/**
 * The output of a plain class. `infer` sees a generic forward with its parameters replaced by their constraints:
 * [number, 784] -> [number, 10]. So we guess that leading unknown dimensions pass through, and let assignability, which
 * does instantiate generics, confirm the guess; when it does not hold, the sound [number, 10] is used.
 */
type Plain<M extends Module, X> = M extends { forward(x: infer P): infer O }
  ? P extends Tensor<infer SP, infer DP, infer TP>
    ? X extends Tensor<infer SX, infer DX, infer TX>
      ? Box<DX> extends Box<DP>
        ? Box<TX> extends Box<TP>
          ? SX extends SP
            ? O extends Tensor<infer SO, infer DO, infer _T>
              ? Confirm<M, X, Tensor<Carry<SP, SX, SO>, DO, TX>, O>
              : O
            : `got ${Show<SX>}, needs ${Show<SP>}`
          : 'got a taped tensor: declare forward<T extends Tape>(x: Tensor<S, D, T>)'
        : `got dtype ${DX}, needs ${DP}`
      : 'input is not a tensor'
    : X extends P
      ? O
      : 'input does not match forward()'
  : never
type Confirm<M extends Module, X, Guess, O> = M['forward'] extends (x: X) => Guess ? Guess : O

/**
 * SO with its leading unknown dimensions replaced by those that SX has where SP is open. Accumulators on purpose:
 * spreading a recursive conditional at the front, `[...F<A>, Z]`, overflows the compiler's stack.
 */
type Carry<SP, SX, SO extends Shape, A extends Shape = []> = SP extends [infer P, ...infer PR]
  ? number extends P
    ? [SO, SX] extends [[infer Q, ...infer QR extends Shape], [infer X extends number, ...infer XR]]
      ? number extends Q
        ? Carry<PR, XR, QR, [...A, X]>
        : [...A, ...SO]
      : [...A, ...SO]
    : [...A, ...SO]
  : SP extends []
    ? [...A, ...SO]
    : Join<Lead<SP, SX>, Tail<SO>>
type Lead<SP, SX> = [SP, SX] extends [[...infer PI, unknown], [...infer XI, unknown]] ? Lead<PI, XI> : SX
type Tail<SO, Z extends Shape = []> = SO extends [...infer I, infer D extends number] ? Tail<I, [D, ...Z]> : Z
type Join<L, T> = L extends Shape ? (T extends Shape ? [...L, ...T] : never) : never
