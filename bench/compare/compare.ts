import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { type Entrant, interleave } from '../harness/interleave.js'
import { helpText, type Places, readOptions, settingFrom, shared, UsageError } from '../harness/options.js'
import { ours } from '../harness/ours.js'
import { progressLine } from '../harness/progress.js'
import { sharedWorkloads as workloads } from '../workloads/index.js'
import { installed, type PeerName, peerNamed, peerNames } from './peers.js'
import { type Comparison, record, summary } from './record.js'

const options = {
  ...shared,
  peers: {
    type: 'string',
    help: '--peers a,b      torch, tfjs, jax; default: torch and those installed in bench/compare',
  },
  python: { type: 'string', help: '--python PATH    a Python with PyTorch; default: PYTHON, else python3' },
  out: { type: 'string', help: '--out FILE       default: bench/compare/results/<date>.md; a run is added at the end' },
} as const

/** Returns the exit code: 1 when ours or a peer failed, 2 for a wrong command line. */
export async function main(argv: readonly string[], places: Places): Promise<number> {
  try {
    return await compare(argv, places)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    console.error(`compare: ${error.message}`)
    return 2
  }
}

async function compare(argv: readonly string[], places: Places): Promise<number> {
  const values = readOptions(argv, options)
  if (values.help) {
    console.log(helpText('node bench/compare/run.mjs [options]', options))
    return 0
  }
  const setting = settingFrom(
    values,
    workloads.map(({ name }) => name),
    places,
  )
  const folder = join(places.root, 'bench', 'compare')
  const python = values.python ?? (process.env.PYTHON || 'python3')
  const peers = chosenPeers(values.peers, folder).map((name) => {
    return peerNamed(name, { folder, python, serve: places.serve, setting })
  })
  const chosen = workloads.filter(({ name }) => setting.only.length === 0 || setting.only.includes(name))

  const progress = progressLine(process.stderr)
  const comparisons: Comparison[] = []
  for (const workload of chosen) {
    // One workload after another, all sides of it in turn: short rounds of each in the same minute.
    const sides: { name: string; entrant: Entrant }[] = [
      { name: 'dfdt', entrant: ours(workload, setting, places.player) },
    ]
    for (const peer of peers) {
      const entrant = peer.entrant(workload)
      if (entrant) sides.push({ name: peer.name, entrant })
    }
    const entrants = sides.map(({ entrant }) => entrant)
    const results = await interleave(entrants, setting, (text) => progress.show(`${workload.name}: ${text}`))
    progress.clear()
    const bySide = new Map(sides.flatMap(({ name }, i) => (results[i] ? [[name, results[i]] as const] : [])))
    comparisons.push({ workload, results: bySide })
    for (const [name, result] of bySide)
      if ('failure' in result) console.error(`${name} ${workload.name} failed: ${result.failure}`)
  }

  const names = peers.map(({ name }) => name)
  console.log(summary(comparisons, names))
  const now = new Date()
  const file = values.out ?? join(folder, 'results', `${now.toISOString().slice(0, 10)}.md`)
  record(file, { now, setting, comparisons, peers: names, commit: commitOf(places.root) })
  console.error(`written to ${file}`)
  const failed = comparisons.some(({ results }) => [...results.values()].some((result) => 'failure' in result))
  return failed ? 1 : 0
}

function chosenPeers(asked: string | undefined, folder: string): PeerName[] {
  if (asked === undefined) return peerNames.filter((name) => installed(folder, name))
  const names = asked.split(',')
  const unknown = names.filter((name) => !peerNames.some((known) => known === name))
  if (unknown.length > 0) throw new UsageError(`--peers: no ${unknown.join(', ')}; there are ${peerNames.join(', ')}`)
  return peerNames.filter((name) => names.includes(name))
}

/** The commit that is timed, marked when files differ from it. */
function commitOf(root: string): string {
  const { stdout, status } = spawnSync('git', ['describe', '--always', '--dirty', '--exclude=*'], {
    cwd: root,
    encoding: 'utf8',
  })
  return status === 0 ? stdout.trim() : 'unknown'
}
