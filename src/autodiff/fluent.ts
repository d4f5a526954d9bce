import { recordOf, TensorRecord } from '../tensor/record.js'
import type { BackwardOptions } from '../tensor/tensor.js'
import { backwardRecord } from './backward.js'

/** Completes the methods of tensors with `x.backward()`. */
Object.assign(TensorRecord.prototype, {
  backward(options?: BackwardOptions) {
    return backwardRecord(recordOf(this), options)
  },
})
