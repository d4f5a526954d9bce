import type { DType } from '../shapes/dtype.js'
import { DeviceError, DTypeError, OptionError, ShapeError } from '../shapes/errors.js'
import { describe, recordOf, type Role, type TensorRecord } from '../tensor/record.js'
import type { Shape, Tensor } from '../tensor/tensor.js'
import { copyTensor } from './clone.js'
import { copyInto } from './foreach.js'

/** A tensor that belongs to a model: a parameter, or a buffer. */
export type Owned<S extends Shape = Shape, D extends DType = DType> = Tensor<S, D> & { readonly role: Role }

/**
 * Writes values into a tensor of a model, in place: `target ← values`. Other tensors never change.
 *
 * Shapes: `target: S`, `values: S`.  Gradient: none.
 * Throws: `ShapeError`, `DTypeError` or `DeviceError` when the two do not fit, `OptionError` for a target that is no
 * parameter or buffer; nothing is written then.
 * Torch: `with torch.no_grad(): target.copy_(values)`, which broadcasts and converts.
 * @example for (const { tensor } of namedParameters(model)) assign(tensor, tensor.mul(0.5))
 */
export function assign<S extends Shape, D extends DType>(
  target: Owned<S, D>,
  values: Tensor<NoInfer<S>, NoInfer<D>>,
): void {
  const to = recordOf(target)
  if (!to.role) {
    const remedy = 'tensors that are computed are never changed; make one with parameter(…) or buffer(…)'
    throw new OptionError(`assign: the target is no parameter or buffer of a model; ${remedy}.`, { op: 'assign' })
  }
  write('assign', to, recordOf(values))
}

/** Throws: as `assign`, in the name of `op`. */
export function write(op: string, target: TensorRecord, values: TensorRecord): void {
  requireFit(op, target, values)
  if (values.contiguous) {
    copyInto(target, values)
    return
  }
  const packed = copyTensor(values)
  copyInto(target, packed)
  packed.dispose()
}

/** Throws: what `assign` does when values do not fit a tensor. */
export function requireFit(op: string, target: TensorRecord, values: TensorRecord): void {
  const shapes = [target.shape, values.shape]
  const both = `got a ${describe(values)} for a ${describe(target)}`
  if (target.shape.join() !== values.shape.join()) {
    const remedy = 'reshape or broadcastTo the values first'
    throw new ShapeError(`${op}: ${both}; ${remedy}.`, { op, shapes })
  }
  if (target.dtype !== values.dtype)
    throw new DTypeError(`${op}: ${both}; convert the values with to('${target.dtype}').`, { op, shapes })
  if (target.device !== values.device)
    throw new DeviceError(`${op}: the target is on ${target.device.name}, the values are on another device.`, { op })
}
