import { type Expr, nodes } from '../../kernels/expr.js'
import type { DType } from '../../tensor/dtype.js'
import type { Generated } from './generated.js'
import type { Launch, PointerWord, ScalarWord } from './launch.js'

/** The scalars expressions read, by slot. A slot read as two dtypes takes a word for each. */
export function scalarsOf(exprs: readonly Expr[]): readonly { readonly slot: number; readonly dtype: DType }[] {
  const found = new Map<string, { slot: number; dtype: DType }>()
  for (const e of nodes(exprs))
    if (e.op === 'scalar') found.set(`${e.value}${e.dtype}`, { slot: e.value, dtype: e.dtype })
  return [...found.values()]
}

/** Writes an argument block of a generated kernel: `header` words, scalars, constants, then whatever is added. */
export class BlockWriter {
  readonly #words: number[]
  readonly #pointers: PointerWord[] = []
  readonly #scalars: ScalarWord[]

  constructor(
    private readonly entry: Generated,
    header: number,
    exprs: readonly Expr[],
  ) {
    const scalars = scalarsOf(exprs)
    this.#scalars = scalars.map((s, i) => ({ ...s, word: header + i }))
    this.#words = [...Array.from({ length: header + scalars.length }, () => 0), ...entry.constants]
  }

  /** Bytes written so far: where the next added word will be. */
  get length(): number {
    return this.#words.length
  }
  set(word: number, value: number): void {
    this.#words[word] = value
  }
  pointer(word: number, operand: number, bytes: number): void {
    this.#words[word] ??= 0
    this.#pointers.push({ word, operand, bytes })
  }
  launch(nanoseconds: number): Launch {
    return {
      entry: this.entry,
      block: Int32Array.from(this.#words),
      pointers: this.#pointers,
      scalars: this.#scalars,
      nanoseconds,
    }
  }
}

/** Rough cost of an element in ns on one thread: a few memory streams and the arithmetic. */
export function elementCost(exprs: readonly Expr[]): number {
  let cost = 0.05
  for (const { op } of nodes(exprs)) cost += costs[op] ?? 0.03
  return cost
}
const transcendental = 0.5
const costs: { readonly [op: string]: number } = {
  const: 0,
  scalar: 0,
  uniform: 0,
  bitcast: 0,
  input: 0.06,
  sqrt: 0.25,
  div: 0.25,
  exp: transcendental,
  expm1: transcendental,
  log: transcendental,
  log1p: transcendental,
  tanh: transcendental,
  sin: transcendental,
  cos: transcendental,
  erf: transcendental,
  pow: 3 * transcendental,
}
