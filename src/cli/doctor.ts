import { cpus } from 'node:os'
import { defaultDevice, normal, scope } from '../entry/index.js'
import { clone, parameter } from '../entry/nn.js'
import { ema, update } from '../entry/update.js'
import type { Backend } from '../tensor/backend.js'
import type { Host } from './host.js'

/** Milliseconds for each of the two measurements. */
const patience = 500
const warmUp = 200
/** And at most this long for tiles to be tried in the background. */
const settling = 5000
const matrix = 512
/** Large enough to leave the caches. */
const average = 4 << 20

/** Says what computes here and why, and measures it for half a second each way. */
export async function doctor(host: Host, flags: { readonly threads?: number | undefined }): Promise<number> {
  await host.loadJob(flags)
  const device = defaultDevice()
  const speeds = await measure(device.backend)
  const { used, peak, reserved, limit } = device.memory()
  const cores = cpus()
  const rows: [string, string][] = [
    ['engine', `Node ${process.version}, V8 ${process.versions.v8}, ${process.platform} ${process.arch}`],
    ['processor', `${cores[0]?.model.trim() ?? 'unknown'}, ${cores.length} ${cores.length === 1 ? 'core' : 'cores'}`],
    ['device', device.backend.description],
    ...Object.entries(device.backend.facts?.() ?? {}),
    [
      'memory',
      `${mebibytes(used)} used, ${mebibytes(peak)} at the peak, ${mebibytes(reserved)} taken, limit ${mebibytes(limit)}`,
    ],
    ...speeds,
  ]
  const width = Math.max(...rows.map(([name]) => name.length))
  host.stdout.write(`${rows.map(([name, fact]) => `${name.padEnd(width)}  ${fact}`).join('\n')}\n`)
  return 0
}

const mebibytes = (bytes: number): string =>
  `${(bytes / 2 ** 20).toLocaleString('en-US', { maximumFractionDigits: 1 })} MiB`

async function measure(backend: Backend): Promise<[string, string][]> {
  // Small products first: the engine optimises a kernel only after it has run a few hundred times.
  const small = normal([96, 96])
  await best(() => scope(() => void small.matmul(small)), warmUp)
  const a = normal([matrix, matrix])
  const multiply = () => scope(() => void a.matmul(a))
  await best(multiply)
  const end = performance.now() + settling
  while (backend.pending && performance.now() < end) await best(multiply, 50)
  const product = await best(multiply)
  const source = { weight: parameter(normal([average])) }
  const target = clone(source)
  const blend = await best(() => update({ target, source }, ema({ decay: 0.999 })))
  const flops = (2 * matrix ** 3) / product / 1e6
  const bytes = (12 * average) / blend / 1e6
  return [
    [
      'products',
      `${flops.toFixed(0)} GFLOP/s (best of ${patience / 1000} s, [${matrix}, ${matrix}] x [${matrix}, ${matrix}])`,
    ],
    [
      'averages',
      `${bytes.toFixed(1)} GB/s (best of ${patience / 1000} s, EMA of ${(average / 1e6).toFixed(1)}M parameters)`,
    ],
  ]
}

/** Shortest time of one call in ms, with turns of the event loop for threads to start. */
async function best(call: () => void, milliseconds = patience): Promise<number> {
  const end = performance.now() + milliseconds
  let shortest = Number.POSITIVE_INFINITY
  let turn = performance.now()
  while (performance.now() < end) {
    const start = performance.now()
    call()
    shortest = Math.min(shortest, performance.now() - start)
    if (performance.now() - turn < 20) continue
    await new Promise((resolve) => setTimeout(resolve, 0))
    turn = performance.now()
  }
  return shortest
}
