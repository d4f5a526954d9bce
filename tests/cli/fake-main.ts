// The command line in a process of its own, with the fake job: what src/cli/main.ts is with the real one.
import { processHost } from '../../src/cli/process-host.js'
import { runProgram } from '../../src/cli/program.js'
import { fakeJob } from './fake-job.js'

const job = fakeJob({ millisecondsAStep: Number(process.env.FAKE_STEP ?? 5) })
process.exitCode = await runProgram(
  process.argv.slice(2),
  processHost({ loadJob: async () => job, openDevice: async () => (await import('dfdt')).wasmDevice() }),
)
