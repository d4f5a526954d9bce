import type { Add, Div, Lte, Mod, Mul, Product, Sub } from './arithmetic.js'
import { type Box, type Dims, type Shape, type Show, type ShowDim, showShape, type UnlessOpen } from './dim.js'
import { OptionError, ShapeError } from './errors.js'

/**
 * Windows over images: `[…, channels, height, width]`, any leading sizes. One number serves height and width alike.
 */

/** How a window moves over an image, and what surrounds it. */
export interface WindowOptions {
  /** From one window to the next. */
  readonly stride?: number
  /** Rows and columns put on each side of the image. */
  readonly padding?: number
}

/** What `avgPool2d` may be told. */
export interface AvgPoolOptions extends WindowOptions {
  /** Whether zeros of the padding count as elements of a window. Default: true. */
  readonly countIncludePad?: boolean
}

/** What a convolution may be told. */
export interface ConvOptions extends WindowOptions {
  /** From one element of the window to the next. Default: 1. */
  readonly dilation?: number
  /** Channels are parted into so many groups that do not see each other. Default: 1. */
  readonly groups?: number
}

/**
 * Beside options whose type is inferred: a message for a name that Known has not, which the compiler lets pass when
 * there is another one that it has.
 */
export type Only<O, Known> = [Exclude<keyof O, keyof Known>] extends [never]
  ? unknown
  : `there is no option "${Exclude<keyof O, keyof Known> & string}"`

export const windowOptionNames: readonly string[] = ['stride', 'padding']
export const avgPoolOptionNames: readonly string[] = [...windowOptionNames, 'countIncludePad']
export const convOptionNames: readonly string[] = [...windowOptionNames, 'dilation', 'groups']

/** Option K of O, or D where it is not given. */
export type Option<O, K, D extends number> = K extends keyof O ? (O[K] extends number ? O[K] : D) : D

/** Whether N can certainly not be parted into G groups. */
type Uneven<N, G> = Box<Mod<N, G>> extends Box<0> ? false : number extends Mod<N, G> ? false : true
/** Whether a padding of P is certainly over half a window of K. */
type Overhangs<P, K> =
  Box<Lte<Mul<2, P>, K>> extends Box<true> ? false : boolean extends Lte<Mul<2, P>, K> ? false : true

/**
 * Beside the options C of a convolution: a message when N channels cannot be parted into its groups. `C &` keeps the answer
 * open until C is known, and no longer: sizes that are type parameters then count as fitting.
 */
export type Parted<Which extends string, N, C, Otherwise = unknown> = C extends { readonly groups: infer G }
  ? C & Box<Uneven<N, G>> extends Box<true>
    ? `${ShowDim<N>} ${Which} channels cannot be parted into ${ShowDim<G>} groups: use a divisor`
    : Otherwise
  : unknown
/** Beside the options C of a pooling: a message when the padding is over half the window of K. */
export type Padded<K, C> = C extends { readonly padding: infer P }
  ? C & Box<Overhangs<P, K>> extends Box<true>
    ? `padding must be at most half the window of ${ShowDim<K>}, got ${ShowDim<P>}`
    : unknown
  : unknown

/**
 * floor((H + 2P - Di(K - 1) - 1) / St) + 1, or never when the window does not fit. Written as
 * floor((H + (2P + St) - (Di(K - 1) + 1)) / St): what is in brackets is the same for every call with that window.
 */
export type ConvDim<H, K, St, P, Di> = ConvStep<H, Add<Mul<2, P>, St>, Add<Mul<Di, Sub<K, 1>>, 1>, St>
type ConvStep<H, Up, Down, St> =
  Pair<Up, Down> extends Pair<Down, Up>
    ? NonZero<Div<H, St>>
    : [Sub<Up, Down>] extends [never]
      ? NonZero<Div<Sub<H, Sub<Down, Up>>, St>>
      : NonZero<Div<Add<H, Sub<Up, Down>>, St>>
interface Pair<out A, out B> {
  readonly values: [A, B]
}
type NonZero<N> = N extends 0 ? never : N

/** Images of I channels S to images of O channels, or a message. */
export type Conv2dShape<S, I, O extends number, KH, KW, St, P, Di> = S extends [
  ...infer L extends Shape,
  infer C,
  infer H,
  infer W,
]
  ? Box<C> extends Box<I>
    ? [ConvDim<H, KH, St, P, Di>, ConvDim<W, KW, St, P, Di>] extends [infer H2 extends number, infer W2 extends number]
      ? [H2] extends [never]
        ? `the window of ${ShowDim<KH>} is larger than height ${ShowDim<H>} of ${Show<S>}`
        : [W2] extends [never]
          ? `the window of ${ShowDim<KW>} is larger than width ${ShowDim<W>} of ${Show<S>}`
          : [...L, O, H2, W2]
      : never
    : `got ${ShowDim<C>} channels, needs ${ShowDim<I>}`
  : UnlessOpen<S, `got shape ${Show<S>}, needs [..., channels, height, width]`>

/** The shape of a convolution of S with weights W, `[out, in / groups, height, width]`, or a message. */
export type Convolve<S, W, O> = W extends [infer F extends number, infer C, infer KH, infer KW]
  ? Named<
      'conv2d',
      Conv2dShape<
        S,
        Mul<C, Option<O, 'groups', 1>>,
        F,
        KH,
        KW,
        Option<O, 'stride', 1>,
        Option<O, 'padding', 0>,
        Option<O, 'dilation', 1>
      >
    >
  : `conv2d: the weight must have shape [out, in / groups, height, width]`
type Named<Name extends string, R> = R extends string ? `${Name}: ${R}` : R

/** The shape of windows of K x K over S, with their own size as stride unless stated, or a message. */
// biome-ignore lint/suspicious/noExplicitAny: a pattern that also resolves when a leading size is a type parameter
export type PoolShape<S, K extends number, O> = S extends [...any, infer C extends number, any, any]
  ? Conv2dShape<S, C, C, K, K, Option<O, 'stride', K>, Option<O, 'padding', 0>, 1>
  : UnlessOpen<S, `got shape ${Show<S>}, needs [..., channels, height, width]`>
/** The same as the result of an op. */
export type Pool<Name extends string, S, K extends number, O> = Named<Name, PoolShape<S, K, O>>

/** S without its last two sizes, or a message. */
export type GlobalPool<Name extends string, S> = S extends [...infer L extends Shape, unknown, unknown]
  ? L
  : UnlessOpen<S, `${Name}: got shape ${Show<S>}, needs [..., height, width]`>

/** S with its last three sizes merged, or a message. */
export type Flatten2d<S> = S extends [...infer L extends Shape, infer C, infer H, infer W]
  ? Product<[C, H, W]> extends infer P extends number
    ? [...L, P]
    : never
  : UnlessOpen<S, `flatten2d: got shape ${Show<S>}, needs [..., channels, height, width]`>

/** Options of a convolution with nothing left out. */
export type Convolution = Required<ConvOptions>

/** The options with their defaults. @throws OptionError naming one that is not a whole number in its range */
export function convolutionOf(options: ConvOptions, op = 'conv2d'): Convolution {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options
  requireWhole(op, 'stride', stride, 1)
  requireWhole(op, 'padding', padding, 0)
  requireWhole(op, 'dilation', dilation, 1)
  requireWhole(op, 'groups', groups, 1)
  return { stride, padding, dilation, groups }
}

/** Throws `OptionError` unless `value` is a whole number from `least` on. */
export function requireWhole(op: string, name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return
  throw new OptionError(`${op}: ${name} must be a whole number from ${least} on, got ${value}.`, { op })
}

/** Like the type `ConvDim`; 0 when the window does not fit. */
function convDim(size: number, kernel: number, stride: number, padding: number, dilation: number): number {
  const room = size + 2 * padding - dilation * (kernel - 1) - 1
  return room < 0 ? 0 : Math.floor(room / stride) + 1
}

/** Height and width of what windows give. @throws ShapeError when they do not fit */
function outSizeOf(
  op: string,
  shape: Dims,
  window: readonly [number, number],
  of: Convolution,
  name = op,
): [number, number] {
  const sizes = (['height', 'width'] as const).map((axis, i) => {
    const size = shape.at(i - 2) ?? 0
    const kernel = window[i] ?? 0
    const out = convDim(size, kernel, of.stride, of.padding, of.dilation)
    if (out > 0) return out
    const remedy = 'use a smaller window or stride less before it, or more padding'
    const message = `${name}: the window of ${kernel} is larger than ${axis} ${size} of ${showShape(shape)}; ${remedy}.`
    throw new ShapeError(message, { op, shapes: [shape] })
  })
  return [sizes[0] ?? 0, sizes[1] ?? 0]
}

/** Throws `ShapeError` unless the shape is that of images. */
function requireImages(op: string, shape: Dims, name = op): void {
  if (shape.length >= 3) return
  const message = `${name}: got shape ${showShape(shape)}, needs [..., channels, height, width]; reshape it.`
  throw new ShapeError(message, { op, shapes: [shape] })
}

/**
 * The shape of a convolution, like the type `Convolve`.
 * @throws ShapeError when channels, groups or window do not fit
 */
export function conv2dShape(shape: Dims, weight: Dims, of: Convolution, op = 'conv2d'): number[] {
  const [filters = 0, perGroup = 0, height = 0, width = 0] = weight
  const shapes = [shape, weight]
  if (weight.length !== 4 || height < 1 || width < 1) {
    const message = `${op}: the weight must have shape [out, in / groups, height, width], got ${showShape(weight)}; reshape it.`
    throw new ShapeError(message, { op, shapes })
  }
  if (filters % of.groups !== 0) {
    const message = `${op}: ${filters} output channels cannot be parted into ${of.groups} groups; use a divisor.`
    throw new ShapeError(message, { op, shapes })
  }
  const channels = perGroup * of.groups
  const layer = `${op}(${channels} -> ${filters}, ${height}x${width})`
  requireImages(op, shape, layer)
  if (shape.at(-3) !== channels) {
    const remedy = 'check the layer before, or permute the axes to [..., channels, height, width]'
    const message = `${layer}: got ${shape.at(-3)} channels in ${showShape(shape)}, needs ${channels}; ${remedy}.`
    throw new ShapeError(message, { op, shapes })
  }
  return [...shape.slice(0, -3), filters, ...outSizeOf(op, shape, [height, width], of, layer)]
}

/**
 * The shape of windows over images, like the type `PoolShape`.
 * @throws ShapeError when the window does not fit, OptionError for options out of range
 */
export function poolShape(op: string, shape: Dims, kernel: number, stride: number, padding: number): number[] {
  requireWhole(op, 'the window', kernel, 1)
  const of = convolutionOf({ stride, padding }, op)
  if (2 * padding > kernel) {
    const message = `${op}: padding must be at most half the window of ${kernel}, got ${padding}: a window would see nothing else.`
    throw new OptionError(message, { op })
  }
  requireImages(op, shape)
  return [...shape.slice(0, -2), ...outSizeOf(op, shape, [kernel, kernel], of)]
}

/** The shape without its last two sizes, like the type `GlobalPool`. @throws ShapeError when there are none */
export function globalPoolShape(op: string, shape: Dims): number[] {
  if (shape.length >= 2) return shape.slice(0, -2)
  const message = `${op}: got shape ${showShape(shape)}, needs [..., height, width]; reshape it.`
  throw new ShapeError(message, { op, shapes: [shape] })
}

/** The shape with its last three sizes merged, like the type `Flatten2d`. @throws ShapeError when there are fewer */
export function flatten2dShape(shape: Dims): number[] {
  requireImages('flatten2d', shape)
  return [...shape.slice(0, -3), shape.slice(-3).reduce((product, size) => product * size, 1)]
}
