import type { DType } from '../shapes/dtype.js'
import { recordOf, type TensorRecord } from '../tensor/record.js'
import { scope } from '../tensor/scope.js'
import type { Tensor } from '../tensor/tensor.js'
import { requireFit } from './assign.js'
import { copyModel, copyTensor } from './clone.js'
import { named, type NamedTensor, type TensorPath } from './named.js'
import { tensorsOf } from './walk.js'

/**
 * A model of the same structure whose tensors are copies of what `visit` makes of each: `clone` with other values. A tied
 * tensor is visited once and stays tied, frozen stays frozen, and the model itself does not change.
 *
 * Throws: `ShapeError`, `DTypeError` or `DeviceError` when `visit` gives a tensor that does not fit, `OptionError` as
 * `clone`.
 * Torch: `copy.deepcopy(model)`, then a loop over its `state_dict()`.
 * @example const doubled = mapTensors(model, ({ role, tensor }) => (role === 'parameter' ? tensor.mul(2) : tensor))
 */
export function mapTensors<M extends object>(
  model: M,
  visit: (entry: NamedTensor<TensorPath<M>>) => Tensor<number[], DType>,
): M {
  const entries = new Map<TensorRecord, NamedTensor<TensorPath<M>>>()
  for (const entry of tensorsOf(model)) if (entry.tiedTo === undefined) entries.set(entry.tensor, named(entry))
  return copyModel('mapTensors', model, (tensor) => {
    const entry = entries.get(tensor)
    if (!entry) return copyTensor(tensor)
    return scope(() => {
      const values = recordOf(visit(entry))
      requireFit(`mapTensors: "${entry.path}"`, tensor, values)
      return copyTensor(values, tensor)
    })
  }) as M
}
