import type { Conv2dKernel } from '../../../kernels/kernel.js'
import type { Target } from '../generated.js'
import { kernelEntry } from '../kernel-module.js'
import type { Prepared } from '../launch.js'
import { NativeKernel } from '../native-kernel.js'
import { prepareMatmul } from '../prepare.js'
import { addConvKernels, asMatmul, prepareConv } from './index.js'

export class WasmConvolution extends NativeKernel {
  override prepare(kernel: Conv2dKernel, target: Target): Prepared {
    const product = asMatmul(kernel)
    // The weight is the product's left operand.
    if (product) return prepareMatmul(product, target, [1, 0, 2])
    return prepareConv(kernel, target.mode, (name) => kernelEntry(target, addConvKernels, name))
  }
}
