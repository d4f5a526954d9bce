/** Square matrix products, called as a user calls them: each makes its result and gives it back. */
import { normal } from 'dfdt'
import type { Workload } from './workload.js'

export const gemmWorkloads: readonly Workload[] = [256, 512, 1024].map((n) => ({
  name: `gemm-${n}`,
  unit: 'GFLOP/s',
  work: (2 * n ** 3) / 1e9,
  prepare: () => {
    const a = normal([n, n])
    const b = normal([n, n])
    return () => a.matmul(b).dispose()
  },
}))
