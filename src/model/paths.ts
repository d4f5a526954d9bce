import type { Show } from '../shapes/dim.js'
import type { Buffer, Parameter, Tensor } from '../tensor/tensor.js'
import type { CHILDREN, Module } from './module.js'

/** A tensor that belongs to a model. */
// biome-ignore lint/suspicious/noExplicitAny: of any shape and dtype
type Role = Parameter<any, any>['role'] | Buffer<any, any>['role']

/** One tensor of a model: its path, type and role, the last segment of its path, and the patterns of its ancestors. */
interface Found {
  path: string
  value: unknown
  role: Role
  leaf: string
  under: string
}

/** The keys that can lead to tensors: indices of a list, the string keys of anything else. */
type Keys<M> = M extends readonly unknown[]
  ? number extends M['length'] ? `${number}` : Exclude<keyof M, keyof readonly unknown[]> & string
  : Exclude<keyof M, 'forward' | 'name'> & string
type At<M, K> = K extends keyof M ? M[K] : M extends readonly (infer E)[] ? E : never

/** What is found in M, whose path begins with P and whose ancestors' patterns are D. */
type Entries<M, P extends string = '', D = never> = M extends { readonly [CHILDREN]: infer L }
  ? Fields<L, P, D>
  : Fields<M, P, D>
type Fields<M, P extends string, D> = { [K in Keys<M>]: Entry<At<M, K>, K, P, D> }[Keys<M>]
type Entry<V, K extends string, P extends string, D> = V extends { readonly role: infer R extends Role }
  ? { path: `${P}${K}`; value: V; role: R; leaf: K; under: D }
  : V extends readonly unknown[]
    ? Fields<V, `${P}${K}.`, D | `${P}${K}.*`>
    : V extends Module ? Entries<V, `${P}${K}.`, D | `${P}${K}.*`> : never

/** Every tensor of a model by path, parameters and buffers. */
export type State<M> = Entries<M> extends infer U extends Found ? { [E in U as E['path']]: E['value'] } : never

/** The trainable tensors of a model by path: `{ '0.weight': Parameter<[512, 784]>, … }`. */
export type Params<M> = Entries<M> extends infer U extends Found
  ? { [E in U as E extends { role: 'parameter' } ? E['path'] : never]: E['value'] }
  : never

/** The tensors of a model that are saved but not trained, by path. */
export type Buffers<M> = Entries<M> extends infer U extends Found
  ? { [E in U as E extends { role: 'buffer' } ? E['path'] : never]: E['value'] }
  : never

/** The paths of the trainable tensors of a model. */
export type ParamPath<M> = Entries<M> extends infer U
  ? U extends { role: 'parameter'; path: infer P extends string } ? P : never
  : never

/** What selects tensors of a model: a full path, `encoder.*` (all below), `*.bias` (all of that name), `*` (all). */
export type PathPattern<M> = Entries<M> extends infer U extends Found
  ? U['path'] | U['under'] | `*.${U['leaf']}` | '*'
  : never

/**
 * 0 when two models have the same tensors, with the same paths, shapes and dtypes, else a message (a union of messages
 * when several differ).
 */
export type SameTree<A, B> = A extends B
  ? B extends A ? 0 : SameState<State<A>, State<B>>
  : SameState<State<A>, State<B>>
type SameState<A, B> = [keyof A] extends [keyof B]
  ? [keyof B] extends [keyof A]
    ? [Differing<A, B>] extends [never] ? 0 : Difference<A, B, Differing<A, B>>
    : Only<B, Exclude<keyof B, keyof A>, 'source has extra'>
  : Only<A, Exclude<keyof A, keyof B>, 'source has no'>
type Differing<A, B> = {
  [K in keyof A]: K extends keyof B ? ([A[K], B[K]] extends [B[K], A[K]] ? never : K) : K
}[keyof A] &
  string
type Difference<A, B, Ks extends string> = {
  [K in Ks]: `${RoleOf<A[K & keyof A]>} "${K}" is ${ShowState<A[K & keyof A]>} in target but ${ShowState<B[K & keyof B]>} in source`
}[Ks]
type Only<A, Ks, What extends string> = { [K in Ks & keyof A & string]: `${What} ${RoleOf<A[K]>} "${K}"` }[Ks & keyof A & string]
type RoleOf<V> = V extends { readonly role: infer R extends Role } ? R : 'tensor'
type ShowState<V> = V extends Tensor<infer S, infer D, infer _T> ? `${Show<S>} ${D}` : '?'

/** The type of the argument `source`: B when the comparison R found no difference, else the message. */
export type SrcArg<R, B> = [R] extends [string] ? NoInfer<R> : B
