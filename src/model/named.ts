import type { DType, FloatDType } from '../shapes/dtype.js'
import { typed } from '../tensor/record.js'
import type { Buffer, Parameter } from '../tensor/tensor.js'
import type { State } from './paths.js'
import { type ModelTensor, tensorsOf, untied } from './walk.js'

/** The paths of all tensors of a model; any string where the type of the model says nothing of them. */
export type TensorPath<M> = [keyof State<M>] extends [never] ? string : keyof State<M> & string

/** One tensor of a model, as a walk meets it. */
interface Named<P extends string> {
  /** Dotted, and the name in files: `0.weight`, `encoder.1.bias`. */
  readonly path: P
  /** Whether it is taken out of training. */
  readonly frozen: boolean
  /** For a tied tensor the path that it was met under first. */
  readonly tiedTo: P | undefined
}

/** A trainable tensor of a model. */
export interface NamedParameter<P extends string = string> extends Named<P> {
  readonly role: 'parameter'
  readonly tensor: Parameter<number[], FloatDType>
}

/** A tensor that a model keeps and saves but does not train. */
export interface NamedBuffer<P extends string = string> extends Named<P> {
  readonly role: 'buffer'
  readonly tensor: Buffer<number[], DType>
}

/** One tensor of a model: where it is, what it is for, and itself. `role` tells which of the two it is. */
export type NamedTensor<P extends string = string> = NamedParameter<P> | NamedBuffer<P>

/**
 * Every tensor of a model, parameters and buffers, in the order of its fields: the walk that cloning, counting, freezing,
 * saving, optimizing and updating are loops over. The tensors are the model's own; write to them with `assign`. A tied
 * tensor comes under each of its paths, from the second on with `tiedTo`.
 *
 * Throws: `OptionError` when a module contains itself.
 * Torch: `named_parameters(remove_duplicate=False)` and `named_buffers()` in one.
 * @example for (const { path, role, tensor } of namedTensors(model)) console.log(path, role, tensor.shape)
 */
export function namedTensors<M extends object>(model: M): NamedTensor<TensorPath<M>>[] {
  return tensorsOf(model).map((entry) => named(entry))
}

/**
 * Every parameter of a model, tied ones once, frozen ones too.
 *
 * Throws: `OptionError` when a module contains itself.
 * Torch: `model.named_parameters()`.
 * @example const norms = namedParameters(model).map(({ path, tensor }) => [path, tensor.square().sum().sqrt()])
 */
export function namedParameters<M extends object>(model: M): NamedParameter<TensorPath<M>>[] {
  return untied(tensorsOf(model)).flatMap((entry) => {
    const each = named<TensorPath<M>>(entry)
    return each.role === 'parameter' ? [each] : []
  })
}

/**
 * A model's tensors by path, each with its own type: `stateOf(model)['0.weight']` is a `Parameter<[512, 784]>`. They are
 * the model's own, not copies.
 *
 * Throws: `OptionError` when a module contains itself.
 * Torch: `model.state_dict(keep_vars=True)`.
 * @example const { '0.weight': first } = stateOf(model)
 */
export function stateOf<M extends object>(model: M): State<M> {
  return Object.fromEntries(tensorsOf(model).map(({ path, tensor }) => [path, tensor])) as unknown as State<M>
}

/** The typed face of a walk's entry. P are the paths that the type of the model has. */
export function named<P extends string>({ path, role, tensor, tiedTo }: ModelTensor): NamedTensor<P> {
  // The walk finds the tensors that the type of the model says it has; tests/types and tests/model compare the two.
  const where = { path: path as P, frozen: tensor.frozen, tiedTo: tiedTo as P | undefined }
  return role === 'parameter' ? { ...where, role, tensor: typed(tensor) } : { ...where, role, tensor: typed(tensor) }
}
