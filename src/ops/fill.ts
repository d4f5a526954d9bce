import type { DType } from '../shapes/dtype.js'
import { scalar } from '../kernels/expr.js'
import type { Device } from '../tensor/device.js'
import { emptyTensor, type TensorRecord } from '../tensor/record.js'
import { mapInto } from './define.js'
import { forDType } from './expressions.js'

const given = forDType((dtype) => scalar(0, dtype))

/** A new tensor that holds `value` everywhere. */
export function filled(device: Device, dtype: DType, shape: readonly number[], value: number): TensorRecord {
  return mapInto(emptyTensor(device, dtype, shape), given(dtype), [], [value])
}
