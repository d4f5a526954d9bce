import { ulpDistance } from '../close.js'
import type { Contents } from './case.js'

const smallestNormalF32 = 2 ** -126

/** A tolerance with its magnitudes computed. */
export type Allowance =
  | { readonly kind: 'exact' | 'equal' }
  | { readonly kind: 'ulp'; readonly ulp: number }
  | { readonly kind: 'sum'; readonly terms: number; readonly magnitudes: readonly Contents[] }

/** The first element of one of the buffers that differs by more than it may, in words; nothing if none does. */
export function firstDifference(
  actual: readonly Contents[],
  expected: readonly Contents[],
  allowance: Allowance,
): string | undefined {
  for (const [at, want] of expected.entries()) {
    const got = actual[at] ?? want
    const scale = allowance.kind === 'sum' ? allowance.magnitudes[at] : undefined
    for (let i = 0; i < want.length; i++) {
      const a = got[i] ?? Number.NaN
      const b = want[i] ?? Number.NaN
      if (Object.is(a, b) || isAllowed(a, b, want, allowance, scale?.[i] ?? 0)) continue
      return `element ${i} of buffer ${at} is ${show(a)}, expected ${show(b)}${distance(a, b, want)}`
    }
  }
  return undefined
}

function isAllowed(
  a: number,
  b: number,
  { BYTES_PER_ELEMENT }: Contents,
  allowance: Allowance,
  scale: number,
): boolean {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) && Number.isNaN(b)
  const wide = BYTES_PER_ELEMENT === 8
  // A hair above the smallest normal number is allowed for: the function's own error may take it below.
  const mayFlush = !wide && b !== 0 && Math.abs(b) < smallestNormalF32 * (1 + 2 ** -20)
  if (a === 0 && mayFlush && (allowance.kind !== 'exact' || Math.abs(b) < smallestNormalF32)) return true
  switch (allowance.kind) {
    case 'exact':
      return false
    case 'equal':
      return a === b
    case 'ulp':
      return wide ? Math.abs(a - b) <= allowance.ulp * 2 ** -52 * Math.abs(b) : ulpDistance(a, b) <= allowance.ulp
    case 'sum':
      return a === b || Math.abs(a - b) <= allowance.terms * (wide ? 2 ** -53 : 2 ** -24) * scale
  }
}

const show = (x: number) => (Object.is(x, -0) ? '-0' : String(x))

function distance(a: number, b: number, want: Contents): string {
  const isNumber = Number.isFinite(a) && Number.isFinite(b) && a !== b
  return isNumber && want instanceof Float32Array ? ` (${ulpDistance(a, b)} ulp)` : ''
}
