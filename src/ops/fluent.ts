import { recordOf, TensorRecord } from '../tensor/record.js'
import type { Tensor } from '../tensor/tensor.js'
import { abs } from './elementwise/abs.js'
import { add } from './elementwise/add.js'
import { cast } from './elementwise/cast.js'
import { div } from './elementwise/div.js'
import { eq } from './elementwise/eq.js'
import { exp } from './elementwise/exp.js'
import { ge } from './elementwise/ge.js'
import { gt } from './elementwise/gt.js'
import { le } from './elementwise/le.js'
import { log } from './elementwise/log.js'
import { lt } from './elementwise/lt.js'
import { mul } from './elementwise/mul.js'
import { ne } from './elementwise/ne.js'
import { neg } from './elementwise/neg.js'
import { pow } from './elementwise/pow.js'
import { relu } from './elementwise/relu.js'
import { sigmoid } from './elementwise/sigmoid.js'
import { sqrt } from './elementwise/sqrt.js'
import { square } from './elementwise/square.js'
import { sub } from './elementwise/sub.js'
import { tanh } from './elementwise/tanh.js'
import { gather } from './index/gather.js'
import { matmul } from './linalg/matmul.js'
import { concatRecord } from './movement/concat.js'
import { permute } from './movement/permute.js'
import { realize } from './movement/realize.js'
import { flatten, reshape } from './movement/reshape.js'
import { select } from './movement/select.js'
import { slice } from './movement/slice.js'
import { logSoftmax, softmax } from './norm/softmax.js'
import { argmax } from './reduce/argmax.js'
import { max, min } from './reduce/max.js'
import { mean } from './reduce/mean.js'
import { broadcastTo, sum } from './reduce/sum.js'

/** The methods of `Tensor` that are operations; reading, tracing and disposing are the record's own. */
type Method = Exclude<keyof Tensor, keyof TensorRecord | 'backward'>

/** Each takes the tensor first, then the method's arguments. */
const methods = {
  ...{ add, sub, mul, div, neg, pow, square, sqrt, exp, log, abs, relu, tanh, sigmoid },
  ...{ eq, ne, lt, le, gt, ge },
  ...{ sum, mean, max, min, argmax, softmax, logSoftmax },
  ...{ reshape, permute, broadcastTo, flatten, slice, select, realize, gather, matmul },
  to: cast,
  concat: (x: unknown, other: unknown, axis: number) => concatRecord([recordOf(x), recordOf(other)], axis),
  pipe: <X, R>(x: X, fn: (x: X) => R) => fn(x),
} satisfies Record<Method, unknown>

// Completes the methods of tensors, whose types are those of the interface `Tensor`.
for (const [name, op] of Object.entries(methods)) {
  const call = op as (x: TensorRecord, ...args: readonly unknown[]) => unknown
  Object.defineProperty(TensorRecord.prototype, name, {
    configurable: true,
    writable: true,
    value(this: TensorRecord, ...args: readonly unknown[]) {
      return call(this, ...args)
    },
  })
}
