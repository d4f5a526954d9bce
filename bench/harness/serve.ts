import { createInterface } from 'node:readline'
import { measure } from 'mitata'
import type { Ask, Hello, Round } from './protocol.js'

/** What a player in JavaScript does once its workload is built, until its input ends: see protocol.ts. */
export async function serve(hello: Hello, run: () => unknown, fresh = false): Promise<void> {
  const say = (line: Hello | Round) => process.stdout.write(`${JSON.stringify(line)}\n`)
  const only = fresh ? await timeOnce(run) : undefined
  say(hello)
  for await (const line of createInterface({ input: process.stdin })) {
    say(only ?? (await round(run, (JSON.parse(line) as Ask).milliseconds)))
  }
}

async function timeOnce(run: () => unknown): Promise<Round> {
  const start = performance.now()
  const result = run()
  if (result instanceof Promise) await result
  const ms = performance.now() - start
  // The process was started for this: all of its time is its own.
  return { ms, best: ms, cpu: cpuSince() }
}

async function round(run: () => unknown, milliseconds: number): Promise<Round> {
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

function cpuSince(before?: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}
