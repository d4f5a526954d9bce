/** Plays one workload on our side: see protocol.ts. Started by `Player`, with the workload's name and how to run it. */
import { parseArgs } from 'node:util'
import { manualSeed, setDefaultDevice } from 'dfdt'
import { workloads } from '../workloads/index.js'
import { isMode, openDevice } from './device.js'
import { serve } from './serve.js'

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
await serve({ threads, mode, runtime: process.version }, run, workload.fresh)
await device.close()
