import type { Pool2dKernel } from '../../../kernels/kernel.js'
import type { Target } from '../generated.js'
import { kernelEntry } from '../kernel-module.js'
import type { Prepared } from '../launch.js'
import { NativeKernel } from '../native-kernel.js'
import { addPoolKernels, preparePool2d } from './index.js'

export class WasmPooling extends NativeKernel {
  override prepare(kernel: Pool2dKernel, target: Target): Prepared {
    return preparePool2d(kernel, (name) => kernelEntry(target, addPoolKernels, name))
  }
}
