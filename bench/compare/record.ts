import { appendFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Failed, Timed } from '../harness/interleave.js'
import { loadWarning, machine } from '../harness/machine.js'
import { median } from '../harness/median.js'
import type { Setting } from '../harness/options.js'
import { brief, columns, markdown } from '../harness/table.js'
import type { Workload } from '../workloads/index.js'

/** One workload on all sides, by name; `dfdt` is ours. */
export interface Comparison {
  readonly workload: Workload
  readonly results: ReadonlyMap<string, Timed | Failed>
}

export interface Run {
  readonly now: Date
  readonly setting: Setting
  readonly comparisons: readonly Comparison[]
  readonly peers: readonly string[]
  readonly commit: string
}

const timed = (result: Timed | Failed | undefined): Timed | undefined => (result && 'ms' in result ? result : undefined)

/** How many times faster than the peer ours is, by the medians. */
export function ratio({ results }: Comparison, peer: string): number | undefined {
  const own = timed(results.get('dfdt'))
  const other = timed(results.get(peer))
  return own && other ? other.ms / own.ms : undefined
}

function rows(comparisons: readonly Comparison[], peers: readonly string[]): string[][] {
  const time = (result: Timed | undefined) => (result ? `${result.ms.toFixed(3)} [${result.best.toFixed(3)}]` : '–')
  const head = [
    'workload',
    'dfdt ms [best]',
    'value',
    'unit',
    ...peers.flatMap((peer) => [`${peer} ms [best]`, `x ${peer}`]),
  ]
  const lines = comparisons.map((comparison) => {
    const { workload, results } = comparison
    const own = timed(results.get('dfdt'))
    const value = own ? brief(workload.work / (own.ms / 1000)) : '–'
    const others = peers.flatMap((peer) => [time(timed(results.get(peer))), ratio(comparison, peer)?.toFixed(2) ?? '–'])
    return [workload.name, time(own), value, workload.unit, ...others]
  })
  return [head, ...lines]
}

function warning(comparisons: readonly Comparison[]): string | undefined {
  const all = comparisons.flatMap(({ results }) => [...results.values()].flatMap((result) => timed(result) ?? []))
  return loadWarning(median(all.map(({ others }) => others)))
}

/** For the terminal. */
export function summary(comparisons: readonly Comparison[], peers: readonly string[]): string {
  const notes = ['x peer: how many times faster dfdt is, by the medians', warning(comparisons)]
  return [columns(rows(comparisons, peers)), ...notes.filter((note) => note !== undefined)].join('\n')
}

/** Adds the run to a file of results. */
export function record(file: string, { now, setting, comparisons, peers, commit }: Run): void {
  const sides = ['dfdt', ...peers].flatMap((name) => {
    const first = comparisons.map(({ results }) => timed(results.get(name))).find((result) => result !== undefined)
    return first ? [`- ${name}: ${first.mode}, ${first.threads} threads, ${first.runtime}`] : []
  })
  const section = [
    `## ${now.toISOString().slice(11, 16)} UTC, commit ${commit}`,
    '',
    `- ${machine()}`,
    ...sides,
    `- ${setting.rounds} rounds of ${setting.budget} ms of each side in turn${setting.eager ? ', eager' : ''}; median and [best] of a run`,
    ...[warning(comparisons)].flatMap((note) => (note ? [`- ${note}`] : [])),
    '',
    markdown(rows(comparisons, peers)),
    '',
  ].join('\n')
  mkdirSync(dirname(file), { recursive: true })
  if (!existsSync(file)) writeFileSync(file, `# Measured on ${now.toISOString().slice(0, 10)}\n`)
  appendFileSync(file, `\n${section}`)
}
