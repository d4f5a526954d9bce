/** Plays one workload on our side: see protocol.ts. Started by `Player`, with the workload's name and how to run it. */
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { manualSeed, setDefaultDevice } from 'dfdt'
import { measure } from 'mitata'
import { workloads } from '../workloads/index.js'
import { isMode, openDevice } from './device.js'
import type { Ask, Hello, Round } from './protocol.js'

const { values } = parseArgs({
  options: {
    workload: { type: 'string', default: '' },
    threads: { type: 'string', default: '1' },
    mode: { type: 'string', default: '' },
    eager: { type: 'boolean', default: false },
  },
})
const workload = workloads.find(({ name }) => name === values.workload)
if (!workload) throw new Error(`there is no workload "${values.workload}"`)
const threads = Number(values.threads)
const { device, mode } = openDevice(threads, isMode(values.mode) ? values.mode : undefined)
setDefaultDevice(device)
manualSeed(1)
const run = workload.prepare({ eager: values.eager })
const only = workload.fresh ? timeOnce(run) : undefined

const say = (line: Hello | Round) => process.stdout.write(`${JSON.stringify(line)}\n`)
say({ threads, mode, runtime: process.version })
for await (const line of createInterface({ input: process.stdin })) {
  say(only ?? (await round(run, (JSON.parse(line) as Ask).milliseconds)))
}
await device.close()

function timeOnce(run: () => void): Round {
  const before = process.cpuUsage()
  const start = performance.now()
  run()
  const ms = performance.now() - start
  return { ms, best: ms, cpu: cpuSince(before) }
}

async function round(run: () => void, milliseconds: number): Promise<Round> {
  const before = process.cpuUsage()
  // Short runs are timed 32 at a time, for the clock's sake; nothing is collected in between, as in a training loop.
  const { p50, min } = await measure(run, {
    min_cpu_time: milliseconds * 1e6,
    min_samples: 3,
    batch_samples: 32,
    batch_threshold: 250_000,
    gc: false,
  })
  return { ms: p50 / 1e6, best: min / 1e6, cpu: cpuSince(before) }
}

function cpuSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}
