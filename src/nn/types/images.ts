import type { CHILDREN } from '../../model/module.js'
import type { Div } from '../../shapes/arithmetic.js'
import type {
  AvgPoolOptions,
  Conv2dShape,
  ConvOptions,
  Flatten2d as Flatten2dShape,
  GlobalPool,
  Only,
  Option,
  Padded,
  Parted,
  PoolShape,
  WindowOptions,
} from '../../shapes/conv.js'
import type { Box, Show, ShowDim } from '../../shapes/dim.js'
import type { FloatDType } from '../../shapes/dtype.js'
import type { Buffer, Parameter, Tensor } from '../../tensor/tensor.js'
import type { ACCEPTS, IN, Layer, OUT, WithName } from './apply.js'

/** The output of a convolution of I to O channels for X, or a message. */
export type Conv2dOut<X, I extends number, O extends number, K extends number, St, P, Di, D extends FloatDType> =
  X extends Tensor<infer S, infer DX, infer T>
    ? Box<DX> extends Box<D>
      ? WithName<Conv2dShape<S, I, O, K, K, St, P, Di>, `conv2d(${I} -> ${O}, ${K}x${K})`, D, T>
      : `conv2d(${I} -> ${O}, ${K}x${K}) is ${D}, got ${DX}`
    : `conv2d(${I} -> ${O}, ${K}x${K}) got a non-tensor`

/** Convolution of images of I channels with O windows of K x K, stride St, padding P, dilation Di, in G groups. */
export interface Conv2d<
  // @ts-ignore TS2636: forward and weight are computed by conditional types, which the compiler cannot prove covariant
  out I extends number,
  out O extends number,
  out K extends number,
  out St extends number = 1,
  out P extends number = 0,
  out Di extends number = 1,
  // @ts-ignore TS2636: as I
  out G extends number = 1,
  // @ts-ignore TS2636: as I
  out D extends FloatDType = 'f32',
> extends Layer {
  readonly weight: Parameter<[O, Div<I, G>, K, K], D>
  readonly bias: Parameter<[O], D>
  readonly stride: St
  readonly padding: P
  readonly dilation: Di
  readonly groups: G
  readonly [ACCEPTS]: Tensor<[number, I, number, number], D>
  readonly [OUT]: Conv2dOut<this[IN], I, O, K, St, P, Di, D>
}
/** What conv2d(I, O, K, { bias: false }) gives. */
export interface UnbiasedConv2d<
  // @ts-ignore TS2636: as Conv2d
  out I extends number,
  out O extends number,
  out K extends number,
  out St extends number = 1,
  out P extends number = 0,
  out Di extends number = 1,
  // @ts-ignore TS2636: as I
  out G extends number = 1,
  // @ts-ignore TS2636: as I
  out D extends FloatDType = 'f32',
> extends Layer {
  readonly weight: Parameter<[O, Div<I, G>, K, K], D>
  readonly bias?: never
  readonly stride: St
  readonly padding: P
  readonly dilation: Di
  readonly groups: G
  readonly [ACCEPTS]: Tensor<[number, I, number, number], D>
  readonly [OUT]: Conv2dOut<this[IN], I, O, K, St, P, Di, D>
}
/** What conv2d() may be told. */
export interface Conv2dOptions<D extends FloatDType = FloatDType> extends ConvOptions {
  readonly bias?: boolean
  readonly dtype?: D
}
/** The type of `conv2d`. */
export type Conv2dFactory = <
  const I extends number,
  const O extends number,
  const K extends number,
  const C extends Conv2dOptions<D> = Record<never, never>,
  D extends FloatDType = 'f32',
>(
  inChannels: I,
  outChannels: O,
  kernel: K,
  options?: C & { readonly dtype?: D } & Only<C, Conv2dOptions> & Parted<'input', I, C, Parted<'output', O, C>>,
) => C extends { readonly bias: false }
  ? UnbiasedConv2d<
      I,
      O,
      K,
      Option<C, 'stride', 1>,
      Option<C, 'padding', 0>,
      Option<C, 'dilation', 1>,
      Option<C, 'groups', 1>,
      D
    >
  : Conv2d<
      I,
      O,
      K,
      Option<C, 'stride', 1>,
      Option<C, 'padding', 0>,
      Option<C, 'dilation', 1>,
      Option<C, 'groups', 1>,
      D
    >

/** The largest element of each window of K x K. */
export interface MaxPool2d<out K extends number, out St extends number = K, out P extends number = 0> extends Layer {
  readonly kernel: K
  readonly stride: St
  readonly padding: P
  readonly [CHILDREN]: []
  readonly [OUT]: this[IN] extends Tensor<infer S, infer D, infer T>
    ? WithName<PoolShape<S, K, { stride: St; padding: P }>, `maxPool2d(${K})`, D, T>
    : `maxPool2d(${K}) got a non-tensor`
}
/** The type of `maxPool2d`. */
export type MaxPool2dFactory = <const K extends number, const C extends WindowOptions = Record<never, never>>(
  kernel: K,
  options?: C & Only<C, WindowOptions> & Padded<K, C>,
) => MaxPool2d<K, Option<C, 'stride', K>, Option<C, 'padding', 0>>

/** The mean of each window of K x K. */
export interface AvgPool2d<out K extends number, out St extends number = K, out P extends number = 0> extends Layer {
  readonly kernel: K
  readonly stride: St
  readonly padding: P
  readonly countIncludePad: boolean
  readonly [CHILDREN]: []
  readonly [OUT]: this[IN] extends Tensor<infer S, infer D, infer T>
    ? WithName<PoolShape<S, K, { stride: St; padding: P }>, `avgPool2d(${K})`, D, T>
    : `avgPool2d(${K}) got a non-tensor`
}
/** The type of `avgPool2d`. */
export type AvgPool2dFactory = <const K extends number, const C extends AvgPoolOptions = Record<never, never>>(
  kernel: K,
  options?: C & Only<C, AvgPoolOptions> & Padded<K, C>,
) => AvgPool2d<K, Option<C, 'stride', K>, Option<C, 'padding', 0>>

/** One number for each channel: the mean or the largest element of its image. */
interface PoolGlobal<out N extends string> extends Layer {
  readonly name: N
  readonly [CHILDREN]: []
  readonly [OUT]: this[IN] extends Tensor<infer S, infer D, infer T>
    ? Global<GlobalPool<N, S>, D, T>
    : `${N} got a non-tensor`
}
type Global<R, D extends FloatDType | 'i32' | 'u32' | 'bool', T extends 'taped'> = R extends string
  ? R
  : // @ts-ignore R is a shape here; asking would stay unresolved in generic code
    Tensor<R, D, T>
/** The mean of each channel. */
export interface AvgPoolGlobal extends PoolGlobal<'avgPoolGlobal'> {}
/** The largest element of each channel. */
export interface MaxPoolGlobal extends PoolGlobal<'maxPoolGlobal'> {}

/** Merges channels, height and width. */
export interface Flatten2d extends Layer {
  readonly name: 'flatten2d'
  readonly [CHILDREN]: []
  readonly [OUT]: this[IN] extends Tensor<infer S, infer D, infer T>
    ? Global<Flatten2dShape<S>, D, T>
    : 'flatten2d got a non-tensor'
}

type BatchNorm2dOut<X, C extends number, D extends FloatDType> =
  X extends Tensor<infer S, infer DX, infer T>
    ? Box<DX> extends Box<D>
      ? S extends [unknown, infer K, unknown, unknown]
        ? Box<K> extends Box<C>
          ? X
          : `batchNorm2d(${C}) got ${ShowDim<K>} channels`
        : number extends S['length']
          ? Tensor<[number, C, number, number], DX, T>
          : `batchNorm2d(${C}) got shape ${Show<S>}, needs [N, ${C}, H, W]`
      : `batchNorm2d(${C}) is ${D}, got ${DX}`
    : `batchNorm2d(${C}) got a non-tensor`
/** Normalizes each channel over batch and image on a taped input, by the running statistics on others. */
// @ts-ignore TS2636: as Conv2d
export interface BatchNorm2d<out C extends number, out D extends FloatDType = 'f32'> extends Layer {
  readonly weight: Parameter<[C], D>
  readonly bias: Parameter<[C], D>
  readonly running_mean: Buffer<[C], D>
  readonly running_var: Buffer<[C], D>
  readonly num_batches_tracked: Buffer<[], 'i32'>
  readonly eps: number
  readonly momentum: number
  readonly [ACCEPTS]: Tensor<[number, C, number, number], D>
  readonly [OUT]: BatchNorm2dOut<this[IN], C, D>
}
/** The type of `batchNorm2d`. */
export type BatchNorm2dFactory = <const C extends number, D extends FloatDType = 'f32'>(
  channels: C,
  options?: { readonly eps?: number; readonly momentum?: number; readonly dtype?: D },
) => BatchNorm2d<C, D>
