import type { Kernel } from '../../kernels/kernel.js'
import type { Target } from './generated.js'
import type { Prepared } from './launch.js'

/** How this backend prepares a kind of kernel whose code comes with the ops that need it (`src/native`). */
export abstract class NativeKernel {
  abstract prepare(kernel: Kernel, target: Target): Prepared
}
