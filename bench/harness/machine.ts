import { availableParallelism, cpus, totalmem } from 'node:os'

export const cores = availableParallelism()

export function machine(): string {
  const model = cpus()[0]?.model.trim() || 'unknown processor'
  return `${model}, ${cores} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}`
}

/** Seconds that all processors have been busy since they started. */
function busySeconds(): number {
  const milliseconds = cpus().map(({ times }) => times.user + times.nice + times.sys + times.irq)
  return milliseconds.reduce((sum, time) => sum + time, 0) / 1000
}

/** Begins to watch the machine; the function it returns says how many cores were busy with other work than `own` seconds. */
export function watch(): (own: number) => number {
  const busy = busySeconds()
  const start = performance.now()
  return (own) => {
    const seconds = (performance.now() - start) / 1000
    return Math.max(0, (busySeconds() - busy - own) / seconds)
  }
}

/** Whether so many cores, busy with other work, make times meaningless. */
export const isLoaded = (others: number): boolean => others > 0.25

/** What to tell the reader of times that were taken while other work ran, if anything. */
export function loadWarning(others: number): string | undefined {
  if (!isLoaded(others)) return undefined
  const share = `${others.toFixed(1)} of ${cores} cores`
  return `The machine is loaded: other work kept ${share} busy, so times are too long and ratios mean little. Repeat on an idle machine.`
}
