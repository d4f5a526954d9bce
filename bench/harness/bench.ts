import { workloads } from '../workloads/index.js'
import { type Failed, interleave, type Timed } from './interleave.js'
import { loadWarning, machine } from './machine.js'
import { median } from './median.js'
import { helpText, type Places, readOptions, settingFrom, shared, UsageError } from './options.js'
import { ours } from './ours.js'
import { progressLine } from './progress.js'
import { brief, columns } from './table.js'

/** A line of `--json`. */
export interface Row {
  readonly workload: string
  /** Median time of a run. */
  readonly ms: number
  readonly best: number
  /** Speed at the median, in `unit`. */
  readonly value: number
  readonly unit: string
  readonly threads: number
  readonly mode: string
  readonly node: string
}

const options = {
  ...shared,
  json: { type: 'boolean', help: '--json           the last line is the table as JSON' },
} as const

/** `npm run bench`. Returns the exit code: 1 when a workload failed, 2 for a wrong command line. */
export async function main(argv: readonly string[], places: Places): Promise<number> {
  try {
    return await bench(argv, places)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`bench: ${error.message}`)
    return 2
  }
}

async function bench(argv: readonly string[], places: Places): Promise<number> {
  const values = readOptions(argv, options)
  if (values.help) {
    console.log(helpText('npm run bench -- [options]', options))
    return 0
  }
  const setting = settingFrom(
    values,
    workloads.map(({ name }) => name),
    places,
  )
  const chosen = workloads.filter(({ name }) => setting.only.length === 0 || setting.only.includes(name))
  const entrants = chosen.map((workload) => ours(workload, setting, places.player))
  const progress = progressLine(process.stderr)
  const results = await interleave(entrants, setting, progress.show)
  progress.clear()

  const timed = results.filter((result): result is Timed => 'ms' in result)
  const rows = timed.map(rowOf)
  console.log(`${machine()}${setting.eager ? ', eager' : ''}`)
  console.log(tableOf(rows))
  for (const { workload, failure } of results.filter((result): result is Failed => 'failure' in result))
    console.error(`${workload} failed: ${failure}`)
  const warning = loadWarning(median(timed.map(({ others }) => others)))
  if (warning) console.error(warning)
  if (values.json) console.log(JSON.stringify(rows))
  return rows.length === results.length ? 0 : 1
}

export function rowOf({ workload, ms, best, threads, mode, runtime }: Timed): Row {
  const { work, unit } = workloads.find(({ name }) => name === workload) ?? { work: 1, unit: 'steps/s' }
  return { workload, ms, best, value: work / (ms / 1000), unit, threads, mode, node: runtime }
}

function tableOf(rows: readonly Row[]): string {
  const head = ['workload', 'median ms', 'best ms', 'value', 'unit', 'threads', 'mode', 'node']
  const lines = rows.map(({ workload, ms, best, value, unit, threads, mode, node }) => {
    return [workload, ms.toFixed(3), best.toFixed(3), brief(value), unit, String(threads), mode, node]
  })
  return columns([head, ...lines])
}
