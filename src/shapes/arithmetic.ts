/**
 * Exact arithmetic on non-negative integer literal types, as strings of digits. The working form is least significant
 * digit first, so that carries walk from left to right and every recursion is a tail call (limit 1000, not 50).
 */
import type { AddTable, DivTable, MulTable, SubTable } from './arithmetic-tables.js'
import type { Named } from './dim.js'

/** The digits of a literal; `?` for `number` and for named dimensions. */
type Digits<N> = number extends N ? '?' : N extends Named ? '?' : N extends number ? `${N}` : '?'
type Parse<S extends string> = S extends `${infer N extends number}` ? N : never

/** Reverses a string, three characters a step. */
type Reverse<S extends string, A extends string = ''> = S extends `${infer a}${infer b}${infer c}${infer r}`
  ? Reverse<r, `${c}${b}${a}${A}`>
  : S extends `${infer a}${infer b}`
    ? b extends ''
      ? `${a}${A}`
      : `${b}${a}${A}`
    : A
/** Reversed digits to a number literal: the zeros that then lead are dropped. */
type ParseReversed<S extends string> = Parse<DropLeadingZeros<Reverse<S>>>
type DropLeadingZeros<S extends string> = S extends `0${infer R}` ? (R extends '' ? '0' : DropLeadingZeros<R>) : S
type DropTrailingZeros<S extends string> = S extends `${infer H}0` ? DropTrailingZeros<H> : S extends '0' ? '' : S

/** Reversed digits plus reversed digits, result most significant first. */
type AddForward<
  A extends string,
  B extends string,
  C extends string = '0',
  O extends string = '',
> = A extends `${infer a}${infer ar}`
  ? B extends `${infer b}${infer br}`
    ? AddTable[`${C}${a}${b}`] extends `${infer c}${infer s}`
      ? AddForward<ar, br, c, `${s}${O}`>
      : never
    : C extends '0'
      ? `${Reverse<A>}${O}`
      : AddTable[`1${a}0`] extends `${infer c}${infer s}`
        ? AddForward<ar, '', c, `${s}${O}`>
        : never
  : B extends ''
    ? C extends '0'
      ? O
      : `1${O}`
    : AddForward<B, '', C, O>
/** The same, result least significant first. */
type AddReversed<
  A extends string,
  B extends string,
  C extends string = '0',
  O extends string = '',
> = A extends `${infer a}${infer ar}`
  ? B extends `${infer b}${infer br}`
    ? AddTable[`${C}${a}${b}`] extends `${infer c}${infer s}`
      ? AddReversed<ar, br, c, `${O}${s}`>
      : never
    : C extends '0'
      ? `${O}${A}`
      : AddTable[`1${a}0`] extends `${infer c}${infer s}`
        ? AddReversed<ar, '', c, `${O}${s}`>
        : never
  : B extends ''
    ? C extends '0'
      ? O
      : `${O}1`
    : AddReversed<B, '', C, O>
/** never when A < B. */
type SubReversed<
  A extends string,
  B extends string,
  C extends string = '0',
  O extends string = '',
> = A extends `${infer a}${infer ar}`
  ? B extends `${infer b}${infer br}`
    ? SubTable[`${C}${a}${b}`] extends `${infer c}${infer s}`
      ? SubReversed<ar, br, c, `${O}${s}`>
      : never
    : C extends '0'
      ? `${O}${A}`
      : SubTable[`1${a}0`] extends `${infer c}${infer s}`
        ? SubReversed<ar, '', c, `${O}${s}`>
        : never
  : C extends '0'
    ? DropTrailingZeros<B> extends ''
      ? O
      : never
    : never

type MulDigit<
  A extends string,
  D extends string,
  C extends string = '0',
  O extends string = '',
> = A extends `${infer a}${infer r}`
  ? MulTable[`${D}${a}${C}`] extends `${infer c}${infer s}`
    ? MulDigit<r, D, c, `${O}${s}`>
    : never
  : C extends '0'
    ? O
    : `${O}${C}`
/** B is consumed least significant digit first; each step emits one finished digit. */
type MulReversed<
  A extends string,
  B extends string,
  Acc extends string = '',
  O extends string = '',
> = B extends `${infer d}${infer r}`
  ? (d extends '0' ? Acc : AddReversed<Acc, d extends '1' ? A : MulDigit<A, d>>) extends infer X extends string
    ? X extends `${infer lo}${infer hi}`
      ? MulReversed<A, r, hi, `${O}${lo}`>
      : MulReversed<A, r, '', `${O}0`>
    : never
  : `${O}${Acc}`

type DivDigit<
  A extends string,
  D extends string,
  R extends string = '0',
  Q extends string = '',
> = A extends `${infer a}${infer r}`
  ? DivTable[`${D}${R}${a}`] extends `${infer q}${infer m}`
    ? DivDigit<r, D, m, `${Q}${q}`>
    : never
  : [Q, R]
interface Next {
  [digit: string]: string
  '0': '1'
  '1': '2'
  '2': '3'
  '3': '4'
  '4': '5'
  '5': '6'
  '6': '7'
  '7': '8'
  '8': '9'
}
/** How often B fits in R, and what remains; both reversed. */
type Fit<R extends string, B extends string, Q extends string = '0'> = [SubReversed<R, B>] extends [never]
  ? [Q, R]
  : SubReversed<R, B> extends infer X extends string
    ? Fit<DropTrailingZeros<X>, B, Next[Q]>
    : never
/** The dividend is consumed most significant digit first. */
type DivLong<
  A extends string,
  B extends string,
  R extends string = '',
  Q extends string = '',
> = A extends `${infer a}${infer r}`
  ? Fit<DropTrailingZeros<`${a}${R}`>, B> extends [infer q extends string, infer m extends string]
    ? DivLong<r, B, m, `${Q}${q}`>
    : never
  : [Q, Reverse<R>]
type DivMod<A extends string, B extends string> = B extends '0'
  ? never
  : B extends `${infer d}${infer r}`
    ? r extends ''
      ? DivDigit<A, d>
      : DivLong<A, Reverse<B>>
    : never

type Known<A extends string, B extends string> = A extends '?' ? false : B extends '?' ? false : true

/** A + B. Like every operation here: `number` when an operand is `number` or a named dimension. */
export type Add<A, B> = AddDigits<Digits<A>, Digits<B>>
type AddDigits<A extends string, B extends string> =
  Known<A, B> extends true
    ? B extends '0'
      ? Parse<A>
      : A extends '0'
        ? Parse<B>
        : Parse<AddForward<Reverse<A>, Reverse<B>>>
    : number

/** A - B; never when that is negative. */
export type Sub<A, B> = SubDigits<Digits<A>, Digits<B>>
type SubDigits<A extends string, B extends string> =
  Known<A, B> extends true
    ? B extends '0'
      ? Parse<A>
      : [SubReversed<Reverse<A>, Reverse<B>>] extends [never]
        ? never
        : ParseReversed<SubReversed<Reverse<A>, Reverse<B>>>
    : number

/** A * B. */
export type Mul<A, B> = MulDigits<Digits<A>, Digits<B>>
type MulDigits<A extends string, B extends string> = A extends '1'
  ? B extends '?'
    ? number
    : Parse<B>
  : B extends '1'
    ? A extends '?'
      ? number
      : Parse<A>
    : Known<A, B> extends true
      ? ParseReversed<MulReversed<Reverse<A>, Reverse<B>>>
      : number

/** floor(A / B); never when B is 0. */
export type Div<A, B> = DivDigits<Digits<A>, Digits<B>>
type DivDigits<A extends string, B extends string> =
  Known<A, B> extends true
    ? B extends '1'
      ? Parse<A>
      : DivMod<A, B> extends [infer Q extends string, unknown]
        ? Parse<DropLeadingZeros<Q>>
        : never
    : number

/** A mod B; never when B is 0. */
export type Mod<A, B> = ModDigits<Digits<A>, Digits<B>>
type ModDigits<A extends string, B extends string> =
  Known<A, B> extends true
    ? DivMod<A, B> extends [unknown, infer R extends string]
      ? R extends ''
        ? 0
        : Parse<DropLeadingZeros<R>>
      : never
    : number

/** A <= B; `boolean` when not known. */
export type Lte<A, B> = A extends B
  ? true
  : Known<Digits<A>, Digits<B>> extends true
    ? [SubReversed<Reverse<Digits<B>>, Reverse<Digits<A>>>] extends [never]
      ? false
      : true
    : boolean

/** The number of elements of a tensor of shape S. */
export type Product<S, Acc = 1> = S extends [infer H, ...infer R]
  ? Product<R, Mul<Acc, H>>
  : S extends []
    ? Acc
    : number
