import { emaWorkloads } from './ema.js'
import { fileWorkloads } from './files.js'
import { firstStep } from './first-step.js'
import { gemmWorkloads } from './gemm.js'
import { shadowWorkloads } from './shadows.js'
import { trainingWorkloads } from './training.js'
import type { Workload } from './workload.js'

export type { Workload } from './workload.js'

/** What PyTorch and others are timed on, too. */
export const sharedWorkloads: readonly Workload[] = [...emaWorkloads, ...gemmWorkloads, ...trainingWorkloads, firstStep]

/** Everything that `npm run bench` times, in the order of its table. */
export const workloads: readonly Workload[] = [...sharedWorkloads, ...shadowWorkloads, ...fileWorkloads]
