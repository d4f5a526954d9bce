import type { AverageOf } from '../model/averaged.js'
import type { Module } from '../model/module.js'
import type { FloatsBesides } from '../model/paths.js'
import type { ACCEPTS, Apply, Fn, IN, OUT } from '../nn/types/apply.js'
import type { Converted } from '../nn/types/convert.js'
import type { FloatDType } from '../shapes/dtype.js'
import type { Buffer, Parameter } from '../tensor/tensor.js'

/**
 * The model of a shadow: M with parameters that take no gradient. It runs, saves and compares as M does, and no
 * optimizer accepts it.
 */
export type Averaged<M> = AverageOf<M> & Fields<M> & (M extends Fn ? Run<M> : unknown)

type Fields<M> = { readonly [K in Exclude<keyof M, IN | OUT | ACCEPTS>]: Field<M[K]> }
type Field<V> =
  V extends Parameter<infer S, infer D>
    ? Buffer<S, D>
    : V extends readonly unknown[]
      ? { readonly [I in keyof V]: Field<V[I]> }
      : V extends Module
        ? Averaged<V>
        : V

/** What M says of its inputs and outputs. */
interface Run<M> extends Fn {
  readonly [OUT]: Apply<M, this[IN]>
}

/** M in the dtype D; without one, floats of two bytes are widened to f32. A model that has it already is left as it is. */
export type InDType<M, D extends FloatDType> = [D] extends [never]
  ? [FloatsBesides<M, 'f32' | 'f64'>] extends [never]
    ? M
    : Converted<M, 'widened'>
  : [FloatsBesides<M, D>] extends [never]
    ? M
    : Converted<M, D>
