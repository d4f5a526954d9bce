import type { DType } from '../shapes/dtype.js'
import type { Owned } from './assign.js'
import { zipAll } from './compare.js'
import { named, type NamedParameter, type NamedTensor, type TensorPath } from './named.js'
import type { SameTree, SrcArg } from './paths.js'
import type { ModelTensor } from './walk.js'

/** One model's tensor in a walk over several: parameter or buffer, whichever the path has. */
export interface ZippedTensor<P extends string = string> extends Pick<NamedTensor<P>, 'path' | 'frozen' | 'role'> {
  readonly tensor: Owned<number[], DType>
}

/** For each of the models Ms an X, in their order. */
export type ForEach<Ms extends readonly unknown[], X> = { readonly [I in keyof Ms]: X }

/** Models of the structure of A. */
type Alike<A, Bs extends readonly unknown[]> = { readonly [I in keyof Bs]: SrcArg<SameTree<A, Bs[I]>, Bs[I]> }

/**
 * The walk over several models of one structure together: for each path the tensors of all of them, tied ones once. The
 * structures are compared when compiling, and again here, before anything is returned. What updates, averages and soups
 * are made of; write to the tensors with `assign`.
 *
 * Throws: `ShapeError` listing everything that differs: missing and extra tensors, roles, shapes, dtypes, devices, ties.
 * Torch: `zip(a.state_dict().items(), b.state_dict().items())`, which stops at the shorter one and compares nothing.
 * @example for (const [a, b] of zipTensors(best, model)) assign(a.tensor, b.tensor)
 */
export function zipTensors<A extends object, Bs extends readonly object[]>(
  first: A,
  ...others: Alike<A, Bs>
): ForEach<readonly [A, ...Bs], ZippedTensor<TensorPath<A>>>[] {
  return zipped('zipTensors', first, others).map((at) => at.map((entry) => named(entry))) as never
}

/**
 * As `zipTensors`, of the parameters alone.
 *
 * Throws: `ShapeError`, as `zipTensors`.
 * Torch: `zip(a.parameters(), b.parameters())`, which stops at the shorter one and compares nothing.
 * @example const drift = zipParameters(teacher, student).map(([t, s]) => t.tensor.sub(s.tensor).square().sum())
 */
export function zipParameters<A extends object, Bs extends readonly object[]>(
  first: A,
  ...others: Alike<A, Bs>
): ForEach<readonly [A, ...Bs], NamedParameter<TensorPath<A>>>[] {
  const parameters = zipped('zipParameters', first, others).filter(([entry]) => entry?.role === 'parameter')
  return parameters.map((at) => at.map((entry) => named(entry))) as never
}

const zipped = (op: string, first: object, others: readonly unknown[]): ModelTensor[][] =>
  zipAll(op, first, others as readonly object[], (i) => ({ memory: 'shared', names: ['model 1', `model ${i + 2}`] }))
