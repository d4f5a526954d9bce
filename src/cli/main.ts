#!/usr/bin/env node
import { processHost } from './process-host.js'
import { runProgram } from './program.js'

const host = processHost({
  loadJob: async (device) => (await import('./load-job.js')).loadJob(device),
  openDevice: async (device) => (await import('./open-device.js')).openDevice(device),
})
// Not process.exit: what was written to a pipe must arrive first.
process.exitCode = await runProgram(process.argv.slice(2), host)
