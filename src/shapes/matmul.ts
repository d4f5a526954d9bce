import {
  type Box,
  type Dims,
  sameShape,
  type Shape,
  type Show,
  type ShowDim,
  showShape,
  type UnlessOpen,
} from './dim.js'
import { ShapeError } from './errors.js'

type Inner<A, B, K, K2> = `matmul: ${Show<A>} x ${Show<B>}: inner dimensions ${ShowDim<K>} and ${ShowDim<K2>} differ`

/**
 * The shape of a matrix product, or a message:
 * (K)x(K) -> [], (K)x(K,N) -> [N], (M,K)x(K) -> [M], (..batch,M,K)x(K,N) and (..batch,M,K)x(..batch,K,N) -> [..batch,M,N].
 * Batch dimensions must be equal: broadcast explicitly.
 */
export type Matmul<A, B> = A extends [infer M extends number, infer K]
  ? B extends [infer K2, infer N extends number]
    ? Box<K> extends Box<K2>
      ? [M, N]
      : Inner<A, B, K, K2>
    : B extends [infer K2]
      ? Box<K> extends Box<K2>
        ? [M]
        : Inner<A, B, K, K2>
      : NoRule<A, B>
  : A extends [infer K]
    ? B extends [infer K2, infer N extends number]
      ? Box<K> extends Box<K2>
        ? [N]
        : Inner<A, B, K, K2>
      : B extends [infer K2]
        ? Box<K> extends Box<K2>
          ? []
          : Inner<A, B, K, K2>
        : NoRule<A, B>
    : A extends [...infer L extends Shape, infer M extends number, infer K]
      ? B extends [infer K2, infer N extends number]
        ? Box<K> extends Box<K2>
          ? [...L, M, N]
          : Inner<A, B, K, K2>
        : B extends [...infer L2, infer K2, infer N extends number]
          ? Box<K> extends Box<K2>
            ? Box<L> extends Box<L2>
              ? [...L, M, N]
              : `matmul: batch dimensions ${Show<L>} and ${Show<L2>} differ`
            : Inner<A, B, K, K2>
          : NoRule<A, B>
      : NoRule<A, B>
type NoRule<A, B> = UnlessOpen<A, UnlessOpen<B, `matmul: ${Show<A>} x ${Show<B>}: ${Ranks<A, B>}`>>
type Ranks<A, B> = A extends []
  ? 'the left operand is a scalar'
  : B extends []
    ? 'the right operand is a scalar'
    : 'the ranks do not fit'

/**
 * The shape of a matrix product, like the type `Matmul`.
 * @throws ShapeError when the inner or the batch dimensions differ, or there is no rule for the two ranks
 */
export function matmulShape(a: Dims, b: Dims): number[] {
  const k = a.at(-1)
  const k2 = b.length === 1 ? b[0] : b.at(-2)
  if (k === undefined) throw noRule(a, b, 'the left operand is a scalar', 'multiply by a scalar with mul')
  if (k2 === undefined) throw noRule(a, b, 'the right operand is a scalar', 'multiply by a scalar with mul')
  const batched = b.length > 2
  if (batched ? a.length < 3 : a.length > 2 && b.length === 1) {
    throw noRule(
      a,
      b,
      'the ranks do not fit',
      'the right operand is a matrix, or has the batch dimensions of the left: use broadcastTo or reshape',
    )
  }
  if (k !== k2) {
    throw new ShapeError(
      `matmul: ${showShape(a)} x ${showShape(b)}: inner dimensions ${k} and ${k2} differ; ` +
        'the last size of the left operand must equal the last but one of the right: permute or reshape one of them',
      { op: 'matmul', shapes: [a, b] },
    )
  }
  if (batched && !sameShape(a.slice(0, -2), b.slice(0, -2))) {
    throw new ShapeError(
      `matmul: batch dimensions ${showShape(a.slice(0, -2))} and ${showShape(b.slice(0, -2))} differ; ` +
        'make them equal with broadcastTo',
      { op: 'matmul', shapes: [a, b] },
    )
  }
  return [...a.slice(0, -1), ...(b.length === 1 ? [] : b.slice(-1))]
}

function noRule(a: Dims, b: Dims, what: string, remedy: string): ShapeError {
  return new ShapeError(`matmul: ${showShape(a)} x ${showShape(b)}: ${what}; ${remedy}`, {
    op: 'matmul',
    shapes: [a, b],
  })
}
