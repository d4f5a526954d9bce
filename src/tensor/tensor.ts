import type { Ax } from '../shapes/axes.js'
import type { BroadcastTo } from '../shapes/broadcast.js'
import type { Concat } from '../shapes/concat.js'
import type { Arg, Dims, Named, Shape, Show, UnlessOpen } from '../shapes/dim.js'
import type { DType, FloatDType, IntDType } from '../shapes/dtype.js'
import type { Flatten } from '../shapes/flatten.js'
import type { Gather } from '../shapes/gather.js'
import type { Matmul } from '../shapes/matmul.js'
import type { DTypeOf, Nested, NestedOf, Rect, ShapeOf } from '../shapes/nested.js'
import type { Permute } from '../shapes/permute.js'
import type { Reduce } from '../shapes/reduce.js'
import type { Reshape } from '../shapes/reshape.js'
import type { Leading } from '../shapes/select.js'
import type { Range, Slice } from '../shapes/slice.js'
import type { Device } from './device.js'

export type { Arg, Dims, Shape }

/** The tape state of a tensor that records. `never` records nothing; two states merge by the plain union `T | T2`. */
export type Tape = 'taped'

/** The result of an operation of shape R, or a permissive tensor after an error, so one mistake gives one diagnostic. */
export type Res<R, D extends DType, T extends Tape> = [R] extends [string]
  ? // biome-ignore lint/suspicious/noExplicitAny: after an error every use is accepted
    Tensor<any, D, T>
  : // @ts-ignore R is a Shape here; asking `R extends Shape` would stay unresolved for [B, 10] with B generic
    Tensor<R, D, T>

/** Axes to reduce: one, a list, or none for all. As a constraint it lets editors complete them. */
export type Axes<S extends Shape> = Ax<S> | readonly Ax<S>[]

/**
 * What sum, mean, max and min give over the axes A of S. NoInfer here and in the methods: in `a.sum().add(b.sum())` A
 * would be guessed from what `add` takes.
 */
export type ReduceResult<S extends Shape, A, D extends DType, T extends Tape> = Res<Reduce<S, NoInfer<A>>, D, T>

/** The `this` of operations that are defined for floats only. */
export interface FloatTensor {
  readonly dtype: FloatDType
}

/**
 * A tensor of shape S, dtype D and tape state T. Variance is declared, so that assigning one tensor to another compares
 * three arguments instead of all members; tests/types keeps assignability honest.
 */
// @ts-ignore TS2636: the results are conditional types, which the compiler cannot prove covariant
export interface Tensor<out S extends Shape = Shape, out D extends DType = 'f32', in out T extends Tape = never> {
  /** The sizes, outermost first. */
  readonly shape: S
  readonly dtype: D
  readonly device: Device
  /** `taped` when operations on this tensor are recorded for backward(). */
  readonly tape: [T] extends [never] ? 'none' : 'taped'
  /** The number of dimensions. */
  readonly rank: S['length']
  /** The number of elements. */
  readonly size: number

  /** The only element as a number (bool: 0 or 1). */
  item(this: SingleThis<S>): Promise<number>
  itemSync(this: SingleThis<S>): number
  /** A copy of the elements in row-major order. */
  data(): Promise<DataOf<D>>
  dataSync(): DataOf<D>
  /** The elements as nested arrays. */
  array(): Promise<NestedOf<S, number>>
  arraySync(): NestedOf<S, number>
  /** Shape, dtype, tape state and shortened values. */
  toString(): string

  /** The same values at the start of a tape: what is computed from them can be differentiated. */
  trace(): Tensor<S, D, 'taped'>
  /** The same values without the tape. */
  detach(): Tensor<S, D>
  /** The gradients of this scalar for every trainable tensor that took part in it. */
  backward(this: BackwardThis<S, D, T>, options?: BackwardOptions): Gradients
  /** Frees the memory now; reading the tensor later is a DisposedError. */
  dispose(): void

  /** Elementwise, with a number or a tensor of the same shape: broadcast explicitly with broadcastTo. */
  add<T2 extends Tape = never>(b: Tensor<S, D, T2> | number): Tensor<S, D, T | T2>
  sub<T2 extends Tape = never>(b: Tensor<S, D, T2> | number): Tensor<S, D, T | T2>
  mul<T2 extends Tape = never>(b: Tensor<S, D, T2> | number): Tensor<S, D, T | T2>
  div<T2 extends Tape = never>(this: FloatTensor, b: Tensor<S, D, T2> | number): Tensor<S, D, T | T2>
  neg(): Tensor<S, D, T>
  pow(this: FloatTensor, exponent: number): Tensor<S, D, T>
  square(): Tensor<S, D, T>
  sqrt(this: FloatTensor): Tensor<S, D, T>
  exp(this: FloatTensor): Tensor<S, D, T>
  log(this: FloatTensor): Tensor<S, D, T>
  abs(): Tensor<S, D, T>
  relu(): Tensor<S, D, T>
  tanh(this: FloatTensor): Tensor<S, D, T>
  sigmoid(this: FloatTensor): Tensor<S, D, T>

  /** Matrix product: vectors, matrices and equal batch dimensions. */
  matmul<S2 extends Shape, T2 extends Tape>(b: Arg<Matmul<S, S2>, Tensor<S2, D, T2>>): Res<Matmul<S, S2>, D, T | T2>

  /** Over the given axes, which are removed; over all of them when none are given. */
  sum<const A extends Axes<S> = never>(axes?: A): Res<Reduce<S, NoInfer<A>>, D, T>
  mean<const A extends Axes<S> = never>(this: FloatTensor, axes?: A): Res<Reduce<S, NoInfer<A>>, D, T>
  max<const A extends Axes<S> = never>(axes?: A): Res<Reduce<S, NoInfer<A>>, D, T>
  min<const A extends Axes<S> = never>(axes?: A): Res<Reduce<S, NoInfer<A>>, D, T>
  /** The index of the first largest element along the axis, which is removed. */
  argmax<const A extends Ax<S>>(axis: A): Res<Reduce<S, A>, 'i32', never>
  softmax(this: FloatTensor, axis: Ax<S>): Tensor<S, D, T>
  logSoftmax(this: FloatTensor, axis: Ax<S>): Tensor<S, D, T>

  /** Comparisons give 1 or 0 as bool, and are never taped. */
  eq<T2 extends Tape = never>(b: Tensor<S, D, T2> | number): Tensor<S, 'bool'>
  ne<T2 extends Tape = never>(b: Tensor<S, D, T2> | number): Tensor<S, 'bool'>
  lt<T2 extends Tape = never>(b: Tensor<S, D, T2> | number): Tensor<S, 'bool'>
  le<T2 extends Tape = never>(b: Tensor<S, D, T2> | number): Tensor<S, 'bool'>
  gt<T2 extends Tape = never>(b: Tensor<S, D, T2> | number): Tensor<S, 'bool'>
  ge<T2 extends Tape = never>(b: Tensor<S, D, T2> | number): Tensor<S, 'bool'>

  /** The same elements in another shape; one size may be -1. */
  reshape<const N extends Dims>(shape: Arg<Reshape<S, [...N]>, N>): Res<Reshape<S, [...N]>, D, T>
  /** The dimensions in the given order. */
  permute<const P extends Dims>(...axes: Arg<Permute<S, [...P]>, P>): Res<Permute<S, [...P]>, D, T>
  /** Repeats along dimensions of size 1 and along new leading dimensions. */
  broadcastTo<const N extends Dims>(shape: Arg<BroadcastTo<S, [...N]>, N>): Res<BroadcastTo<S, [...N]>, D, T>
  /** Merges the dimensions from number `from` (default 1) on; the ones before, usually the batch, are kept. */
  flatten<const A extends number = 1>(from?: A): Res<Flatten<S, A>, D, T>
  /** Cuts to [start, end] per leading dimension; null keeps a dimension. */
  slice<const R extends readonly Range[]>(ranges: Arg<Slice<S, [...R]>, R>): Res<Slice<S, [...R]>, D, T>
  /** The part at one index of an axis, which is removed; with a tensor, at one for each position of the axes before. */
  select<const A extends Ax<S>>(
    axis: A,
    index: number | Tensor<Leading<S, A>, 'i32'> | Tensor<Leading<S, A>, 'u32'>,
  ): Res<Reduce<S, A>, D, T>
  /** Followed by b along the axis. */
  concat<S2 extends Shape, T2 extends Tape, const A extends Ax<S>>(
    b: Arg<Concat<S, S2, A>, Tensor<S2, D, T2>>,
    axis: A,
  ): Res<Concat<S, S2, A>, D, T | T2>
  /** The parts at the given indices of an axis, which is replaced by the shape of the indices. */
  gather<const A extends Ax<S>, SI extends Shape, DI extends IntDType>(
    axis: A,
    index: Tensor<SI, DI>,
  ): Res<Gather<S, A, SI>, D, T>

  /** The values as another dtype; only floats stay on the tape. */
  to<D2 extends DType>(dtype: D2): Tensor<S, D2, [D2] extends [FloatDType] ? T : never>
  /** The same tensor with sizes that are known from now on, checked at run time. */
  realize<const N extends Dims>(shape: N): Tensor<[...N], D, T>
  /** fn(this), for functions that are not methods. */
  pipe<R>(fn: (x: Tensor<S, D, T>) => R): R
}

type BackwardThis<S extends Shape, D extends DType, T extends Tape> = S extends []
  ? TapedThis<S, D, T>
  : UnlessOpen<S, `backward() needs a scalar, got shape ${Show<S>}: reduce with .mean() or .sum()`> extends infer E
    ? E extends string
      ? E
      : TapedThis<S, D, T>
    : never
type TapedThis<S extends Shape, D extends DType, T extends Tape> = [T] extends [never]
  ? 'backward() needs a taped tensor: call .trace() on the input first; what compiled functions return is on no tape'
  : Tensor<S, D, T>

type SingleThis<S extends Shape> = [S[number]] extends [1]
  ? unknown
  : [Literals<S[number]>] extends [never]
    ? unknown
    : `item() needs one element, got shape ${Show<S>}: reduce with .mean() or .sum(), or read all with .data()`
/** The sizes other than 1 that are known for certain. */
type Literals<N> = N extends 1 ? never : number extends N ? never : N extends Named ? never : N

interface DataTypes {
  f64: Float64Array
  f32: Float32Array
  f16: Float32Array
  bf16: Float32Array
  i32: Int32Array
  u32: Uint32Array
  bool: Uint8Array
}
/** The typed array that holds elements of dtype D; bool has a byte an element, f16 and bf16 come as f32, which is exact. */
export type DataOf<D extends DType> = DataTypes[D]

/** What backward() may be told. */
export interface BackwardOptions {
  /** Keeps the intermediate results of the tape readable; otherwise backward() frees them. */
  readonly retain?: boolean
  /** Gradients of an earlier backward() to add to. */
  readonly accumulate?: Gradients
}

declare const GRADIENTS: unique symbol
/** The result of backward(): a gradient for each trainable tensor. */
export interface Gradients {
  readonly [GRADIENTS]: true
  /** The gradient for t, of t's shape and dtype. Buffers, and the weights of averages, have none. */
  get<S extends Shape, D extends DType, T extends Tape = never>(
    t: Tensor<S, D, T> & { readonly role?: 'parameter' },
  ): Tensor<S, D>
  /** Frees all of them; an optimizer step does this by itself. */
  dispose(): void
}

/** A trainable tensor of a model. A taped tensor cannot be one: its history would be kept alive with the model. */
// @ts-ignore TS2636: as Tensor
export interface Parameter<out S extends Shape = Shape, out D extends DType = 'f32'> extends Tensor<S, D> {
  readonly role: 'parameter'
}

/** A tensor that belongs to a model and is saved with it but not trained, such as running statistics. */
// @ts-ignore TS2636: as Tensor
export interface Buffer<out S extends Shape = Shape, out D extends DType = 'f32'> extends Tensor<S, D> {
  readonly role: 'buffer'
}

/** Any tensor. T is invariant, and `any` does not match `never`, hence the union. */
// biome-ignore lint/suspicious/noExplicitAny: any shape and dtype
export type AnyTensor = Tensor<any, any> | Tensor<any, any, Tape>

/** The tape state of X, a tensor or a union of tensors. */
export type TapeOf<X> = X extends Tensor<infer _S, infer _D, infer T> ? T : never

/** The shapes of a tuple of tensors. */
export type ShapesOf<Xs, O extends Shape[] = []> = Xs extends readonly [Tensor<infer S, infer _D, infer _T>, ...infer R]
  ? ShapesOf<R, [...O, S]>
  : Xs extends readonly []
    ? O
    : Shape[]

/** What every function that makes tensors may be told. */
export interface CreateOptions<D extends DType = DType> {
  readonly dtype?: D
  readonly device?: Device
}

/** The type of `zeros`, `ones` and other functions that make a tensor from a shape. */
export type ShapedFactory = <const S extends Dims, D extends DType = 'f32'>(
  shape: S,
  options?: CreateOptions<D>,
  // NoInfer: else `const x: Tensor<[2], 'i32'> = zeros([2])` would take the dtype from the annotation, not the options
) => Tensor<[...S], NoInfer<D>>

/** The type of `tensor`: the shape is that of the literal, the dtype f32, or bool for booleans, unless stated. */
export type LiteralFactory = <const A extends Nested, D extends DType = DTypeOf<A>>(
  data: Arg<Rect<A>, A>,
  options?: CreateOptions<D>,
) => Tensor<ShapeOf<A>, NoInfer<D>>

/** The type of functions that make a tensor of a stated shape from a typed array; of its dtype unless one is stated. */
export type DataFactory = <const S extends Dims, X extends DataTypes[DType], D extends DType = DTypeOfData<X>>(
  data: X,
  shape: S,
  options?: CreateOptions<D>,
) => Tensor<[...S], NoInfer<D>>
/** The dtype of a typed array. */
export type DTypeOfData<X> = X extends Float64Array
  ? 'f64'
  : X extends Float32Array
    ? 'f32'
    : X extends Int32Array
      ? 'i32'
      : X extends Uint32Array
        ? 'u32'
        : 'bool'
