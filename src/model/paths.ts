import type { Show } from '../shapes/dim.js'
import type { FloatDType } from '../shapes/dtype.js'
import type { Buffer, Parameter, Tensor } from '../tensor/tensor.js'
import type { Original } from './averaged.js'
import type { CHILDREN, Module } from './module.js'

// biome-ignore lint/suspicious/noExplicitAny: of any shape and dtype
type AnyParameter = Parameter<any, any>
// biome-ignore lint/suspicious/noExplicitAny: of any shape and dtype
type AnyBuffer = Buffer<any, any>
type Role = 'parameter' | 'buffer'

/** One tensor of a model: its path, type and role, the last segment of its path, and the patterns of its ancestors. */
interface Found {
  path: string
  value: unknown
  role: Role
  leaf: string
  under: string
}

/**
 * What is found in M, whose path begins with P and whose ancestors' patterns are D. Of `any`, which the compiler puts for
 * type parameters when it compares generic functions, the paths would have no end.
 */
type Entries<M, P extends string = '', D = never> = 0 extends 1 & M
  ? never
  : M extends { readonly [CHILDREN]: infer L extends readonly unknown[] }
    ? Items<L, P, D>
    : Fields<M, P, D, Exclude<keyof M & string, 'forward'>>
type Fields<M, P extends string, D, Ks extends keyof M & string> = { [K in Ks]: Entry<M[K], K, P, D> }[Ks]
type Items<L extends readonly unknown[], P extends string, D> = number extends L['length']
  ? Entry<L[number], `${number}`, P, D>
  : { [K in keyof L & `${number}`]: Entry<L[K], K, P, D> }[keyof L & `${number}`]
/**
 * Compared with whole types: asking for `role` alone would resolve every member of every parameter. Layers that say
 * that they hold nothing are passed over early, which saves the compiler 30 instantiations each.
 */
type Entry<V, K extends string, P extends string, D> = V extends AnyParameter
  ? { path: `${P}${K}`; value: V; role: 'parameter'; leaf: K; under: D }
  : V extends { readonly [CHILDREN]: readonly [] }
    ? never
    : V extends readonly unknown[]
      ? Items<V, `${P}${K}.`, D | `${P}${K}.*`>
      : V extends Module
        ? Entries<V, `${P}${K}.`, D | `${P}${K}.*`>
        : V extends AnyBuffer
          ? { path: `${P}${K}`; value: V; role: 'buffer'; leaf: K; under: D }
          : never

/** Every tensor of a model by path, parameters and buffers. */
export type State<M> = Entries<M> extends infer U extends Found ? { [E in U as E['path']]: E['value'] } : never

/** The trainable tensors of a model by path: `{ '0.weight': Parameter<[512, 784]>, … }`. */
export type Params<M> =
  Entries<M> extends infer U extends Found
    ? { [E in U as E extends { role: 'parameter' } ? E['path'] : never]: E['value'] }
    : never

/** The tensors of a model that are saved but not trained, by path. */
export type Buffers<M> =
  Entries<M> extends infer U extends Found
    ? { [E in U as E extends { role: 'buffer' } ? E['path'] : never]: E['value'] }
    : never

/** The float tensors of a model that are not of dtype D; never when all are. */
export type FloatsBesides<M, D extends FloatDType> =
  Entries<M> extends infer U extends Found ? Besides<Floats<U['value']>, D> : never
// biome-ignore lint/suspicious/noExplicitAny: of any shape
type Floats<V> = Extract<V, Parameter<any, FloatDType> | Buffer<any, FloatDType>>
// biome-ignore lint/suspicious/noExplicitAny: of any shape
type Besides<V, D extends FloatDType> = Exclude<V, Parameter<any, D> | Buffer<any, D>>

/** The paths of the trainable tensors of a model. */
export type ParamPath<M> =
  Entries<M> extends infer U ? (U extends { role: 'parameter'; path: infer P extends string } ? P : never) : never

/**
 * What selects tensors of a model: a full path, `encoder.*` (all below), `*.bias` (all of that name), `*` (all). Of a model
 * whose type names no tensors, any string: what matches nothing is found when it runs.
 */
export type PathPattern<M> =
  Entries<M> extends infer U extends Found
    ? [U] extends [never]
      ? string
      : U['path'] | U['under'] | `*.${U['leaf']}` | '*'
    : never

/**
 * 0 when two models have the same tensors, with the same paths, shapes and dtypes, else a message (a union of messages
 * when several differ).
 */
export type SameTree<A, B> = A extends B
  ? B extends A
    ? 0
    : SameState<State<Original<A>>, State<Original<B>>>
  : SameState<State<Original<A>>, State<Original<B>>>
/** The messages are not aliases of their own: the compiler would print the alias instead of the sentence. */
type SameState<A, B> = [keyof A] extends [keyof B]
  ? [keyof B] extends [keyof A]
    ? [Differing<A, B>] extends [never]
      ? 0
      : {
          [K in Differing<
            A,
            B
          >]: `${RoleOf<A[K & keyof A]>} "${K}" is ${ShowState<A[K & keyof A]>} in target but ${ShowState<B[K & keyof B]>} in source`
        }[Differing<A, B>]
    : { [K in Extra<B, A>]: `source has extra ${RoleOf<B[K & keyof B]>} "${K}"` }[Extra<B, A>]
  : { [K in Extra<A, B>]: `source has no ${RoleOf<A[K & keyof A]>} "${K}"` }[Extra<A, B>]
type Extra<A, B> = Exclude<keyof A, keyof B> & string
type Differing<A, B> = {
  [K in keyof A]: K extends keyof B ? ([A[K], B[K]] extends [B[K], A[K]] ? never : K) : K
}[keyof A] &
  string
type RoleOf<V> = V extends AnyBuffer ? 'buffer' : 'parameter'
type ShowState<V> = V extends Tensor<infer S, infer D, infer _T> ? `${Show<S>} ${D}` : '?'

/**
 * The type of the argument `source`: B when the comparison R found no difference, else the message. Asking for 0 and
 * not for a string keeps the compiler from resolving the constraint of every message while it infers B.
 */
export type SrcArg<R, B> = [R] extends [0] ? B : NoInfer<R>
