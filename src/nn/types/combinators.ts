import type { CHILDREN, Module } from '../../model/module.js'
import type { ACCEPTS, Apply, IN, Layer, OUT, ShowTensor } from './apply.js'
import type { AcceptsOf } from './chain.js'

/** X when Y is the same type, else a message. */
type Same<Name extends string, X, Y> = Y extends string
  ? `${Name}: ${Y}`
  : [Y, X] extends [X, Y]
    ? X
    : `${Name}: block maps ${ShowTensor<X>} to ${ShowTensor<Y>}`

/** x + block(x). */
export interface Residual<out M> extends Layer {
  readonly block: M
  readonly [ACCEPTS]: AcceptsOf<M>
  readonly [OUT]: Same<'residual', this[IN], Apply<M, this[IN]>>
}
/** The type of `residual`. */
export type ResidualFactory = <M extends Module>(block: M) => Residual<M>

type AddIntoOut<Y, Z> = Y extends string
  ? `addInto a: ${Y}`
  : Z extends string
    ? `addInto b: ${Z}`
    : [Y, Z] extends [Z, Y]
      ? Y
      : `addInto: branches give ${ShowTensor<Y>} and ${ShowTensor<Z>}`
/** a(x) + b(x). */
export interface AddInto<out A, out B> extends Layer {
  readonly a: A
  readonly b: B
  readonly [ACCEPTS]: AcceptsOf<A>
  readonly [OUT]: AddIntoOut<Apply<A, this[IN]>, Apply<B, this[IN]>>
}
/** The type of `addInto`. */
export type AddIntoFactory = <A extends Module, B extends Module>(a: A, b: B) => AddInto<A, B>

type SplitIntoOut<Ms, X, O extends unknown[] = []> = Ms extends [infer M, ...infer R]
  ? Apply<M, X> extends infer Y
    ? Y extends string
      ? `splitInto ${O['length']}: ${Y}`
      : SplitIntoOut<R, X, [...O, Y]>
    : never
  : O
/** [branch(x), …]; parameter paths begin with the branch's index. */
export interface SplitInto<out Ms extends readonly unknown[]> extends Layer {
  readonly branches: Ms
  readonly [CHILDREN]: Ms
  readonly [ACCEPTS]: Ms extends [infer M, ...unknown[]] ? AcceptsOf<M> : unknown
  readonly [OUT]: SplitIntoOut<Ms, this[IN]>
}
/** The type of `splitInto`. */
export type SplitIntoFactory = <Ms extends readonly Module[]>(...branches: Ms) => SplitInto<Ms>

/** N blocks of one type one after another; parameter paths begin with the block's index. */
export interface Repeated<out N extends number, out M> extends Layer {
  readonly blocks: readonly M[]
  readonly [CHILDREN]: readonly M[]
  readonly count: N
  readonly [ACCEPTS]: AcceptsOf<M>
  readonly [OUT]: Same<'repeated', this[IN], Apply<M, this[IN]>>
}
/** The type of `repeated`. */
export type RepeatedFactory = <const N extends number, M extends Module>(
  count: N,
  block: (index: number) => M,
) => Repeated<N, M>
